<?php
// Signs URLs of Darkroom for SIZE_POLICY=signed; docs/signing.md describes the algorithm. Copy the functions that you need.
// Self-test: php sign.php vectors.json
declare(strict_types=1);

namespace Darkroom;

const NAME_AND_FORMAT =
    '~^((?:/image/[^/?]+|/s3/[^?]+/-)/[^/?]+?)(?:/[^/?]+)?\.(jpg|png|webp|avif|gif)(\?.*)?$~';

/**
 * Signs a URL in its canonical spelling, without scheme and host.
 *
 * @param string $key The first key of URL_KEYS.
 * @param int|null $expires Unix time in seconds; null: never.
 * @example \Darkroom\sign_url('/image/3f2a…/400w/cat.webp', $key, time() + 3600)
 */
function sign_url(string $url, string $key, ?int $expires = null): string
{
    $separator = str_contains($url, '?') ? '&' : '?';
    $expiry = $expires === null ? '' : "{$separator}e={$expires}";
    $text = preg_replace(NAME_AND_FORMAT, '$1/.$2$3', $url) . $expiry;
    $digest = hash_hmac('sha256', $text, $key, true);
    $signature = rtrim(strtr(base64_encode($digest), '+/', '-_'), '=');
    return $url . $expiry . ($expiry === '' ? $separator : '&') . "s={$signature}";
}

/**
 * The URL of a picture of an object in a bucket.
 *
 * @param string $key As in S3, not encoded.
 * @param string $picture Such as 400w, 400w.webp or 400w/cat.webp.
 */
function object_url(string $bucket, string $key, string $picture, ?string $versionId = null): string
{
    $path = '';
    $before = null;
    foreach (explode('/', $key) as $segment) {
        if ($before !== null) {
            // Clients resolve the segments "." and ".." of a path, unless the slashes beside them are encoded.
            $path .= array_intersect([$before, $segment], ['.', '..']) ? '%2F' : '/';
        }
        $path .= encode($segment);
        $before = $segment;
    }
    $query = $versionId === null ? '' : '?versionId=' . encode($versionId);
    return "/s3/{$bucket}/{$path}/-/{$picture}{$query}";
}

/**
 * The URL of a picture of a remote image.
 *
 * @param string $url Absolute.
 * @param string $size Such as 400w.
 */
function remote_url(string $url, string $size, ?string $format = null): string
{
    return '/image?url=' . encode($url) . "&size={$size}" . ($format === null ? '' : "&format={$format}");
}

/** Percent-encodes as encodeURIComponent of JavaScript does. */
function encode(string $text): string
{
    return str_replace(['%21', '%27', '%28', '%29', '%2A'], ['!', "'", '(', ')', '*'], rawurlencode($text));
}

function self_test(string $file): int
{
    $vectors = json_decode(file_get_contents($file), true, 512, JSON_THROW_ON_ERROR);
    $mismatches = 0;
    foreach ($vectors as $vector) {
        $object = $vector['object'] ?? null;
        $remote = $vector['remote'] ?? null;
        $url = match (true) {
            $object !== null =>
                object_url($object['bucket'], $object['key'], $object['picture'], $object['versionId'] ?? null),
            $remote !== null => remote_url($remote['url'], $remote['size'], $remote['format'] ?? null),
            default => $vector['url'],
        };
        $result = sign_url($url, $vector['key'], $vector['expires'] ?? null);
        if ($result !== $vector['signed']) {
            fwrite(STDERR, "{$vector['name']}:\n  is        {$result}\n  should be {$vector['signed']}\n");
            $mismatches++;
        }
    }
    printf("%d of %d vectors match\n", count($vectors) - $mismatches, count($vectors));
    return $mismatches === 0 ? 0 : 1;
}

if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    exit(self_test($argv[1]));
}
