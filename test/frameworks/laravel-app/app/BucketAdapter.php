<?php

namespace App;

use GuzzleHttp\Client;
use League\Flysystem\Adapter\NullAdapter;
use League\Flysystem\Config;

/** Puts objects into a bucket. In the place of Flysystem's driver for S3, which Debian lacks. */
class BucketAdapter extends NullAdapter
{
    public function __construct(private array $config)
    {
    }

    public function writeStream($path, $resource, Config $config)
    {
        return $this->write($path, stream_get_contents($resource), $config);
    }

    public function write($path, $contents, Config $config)
    {
        $target = "/{$this->config['bucket']}/{$path}";
        (new Client())->put($this->config['endpoint'] . $target, [
            'body' => $contents,
            'headers' => $this->signedHeaders($target, hash('sha256', $contents)),
        ]);
        return ['path' => $path, 'type' => 'file'];
    }

    /** AWS Signature Version 4. @param string $target A path without characters that need encoding. */
    private function signedHeaders(string $target, string $digest): array
    {
        ['key' => $key, 'secret' => $secret, 'region' => $region] = $this->config;
        $time = gmdate('Ymd\THis\Z');
        $scope = substr($time, 0, 8) . "/{$region}/s3/aws4_request";
        $host = preg_replace('~^https?://~', '', $this->config['endpoint']);
        $names = 'host;x-amz-content-sha256;x-amz-date';
        $headers = "host:{$host}\nx-amz-content-sha256:{$digest}\nx-amz-date:{$time}\n";
        $request = "PUT\n{$target}\n\n{$headers}\n{$names}\n{$digest}";
        $derived = "AWS4{$secret}";
        foreach (explode('/', $scope) as $part) {
            $derived = hash_hmac('sha256', $part, $derived, true);
        }
        $text = "AWS4-HMAC-SHA256\n{$time}\n{$scope}\n" . hash('sha256', $request);
        $signature = hash_hmac('sha256', $text, $derived);
        return [
            'x-amz-content-sha256' => $digest,
            'x-amz-date' => $time,
            'Authorization' => "AWS4-HMAC-SHA256 Credential={$key}/{$scope}, SignedHeaders={$names}, Signature={$signature}",
        ];
    }
}
