<?php

return [
    'url' => env('DARKROOM_URL', 'http://127.0.0.1:8080'), // for this server
    'public_url' => env('DARKROOM_PUBLIC_URL', env('DARKROOM_URL', 'http://127.0.0.1:8080')), // for browsers
    'token' => env('DARKROOM_TOKEN'),
    'url_key' => env('DARKROOM_URL_KEY'), // the first of URL_KEYS, with SIZE_POLICY=signed
    'bucket' => env('DARKROOM_BUCKET', 'photos'), // the alias in BUCKETS_FILE of the bucket of the disk s3
];
