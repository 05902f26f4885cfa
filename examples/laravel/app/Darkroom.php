<?php

namespace App;

use Illuminate\Http\Client\ConnectionException;
use Illuminate\Http\Client\PendingRequest;
use Illuminate\Http\UploadedFile;
use Illuminate\Support\Facades\Http;
use Illuminate\Validation\ValidationException;
use function Darkroom\object_url;
use function Darkroom\sign_url;

require_once __DIR__ . '/sign.php'; // examples/signing/sign.php of Darkroom

/** Uploads, deletions and URLs of pictures. */
final class Darkroom
{
    /** Stores an uploaded file and returns its record, with id, width and height. An error is one of the form's field. */
    public static function upload(UploadedFile $file, string $field): array
    {
        $message = 'Pictures are not available at the moment. Please try again later.';
        try {
            $stream = fopen($file->getRealPath(), 'r');
            $response = self::http()->attach('file', $stream, 'picture')->post('/images');
            if ($response->successful()) {
                return $response->json();
            }
            if (in_array($response->status(), [413, 415, 422])) { // too large, not a picture, corrupt
                $message = $response->json('message');
            } else {
                report($response->toException());
            }
        } catch (ConnectionException $error) {
            report($error);
        }
        throw ValidationException::withMessages([$field => $message]);
    }

    public static function delete(string $id): void
    {
        self::http()->delete("/images/{$id}")->throw();
    }

    /** Width, height and other properties of an object in the bucket. */
    public static function objectInfo(string $key): array
    {
        return self::http()->get(object_url(config('darkroom.bucket'), $key, 'info'))->throw()->json();
    }

    public static function imageUrl(string $id, string $spec): string
    {
        return self::publicUrl("/image/{$id}/{$spec}");
    }

    public static function fileUrl(string $key, string $spec): string
    {
        return self::publicUrl(object_url(config('darkroom.bucket'), $key, $spec));
    }

    private static function publicUrl(string $path): string
    {
        $key = config('darkroom.url_key');
        return config('darkroom.public_url') . ($key ? sign_url($path, $key) : $path);
    }

    private static function http(): PendingRequest
    {
        return Http::baseUrl(config('darkroom.url'))->withToken(config('darkroom.token'))->timeout(60);
    }
}
