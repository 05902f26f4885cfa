<?php
/**
 * Plugin Name: Darkroom
 * Description: Darkroom serves the images of the media library in every size. WordPress makes no thumbnails.
 * Version: 1.0
 * Requires at least: 6.0
 * Requires PHP: 8.0
 * License: MIT
 */
declare(strict_types=1);

namespace Darkroom;

require_once __DIR__ . '/sign.php'; // examples/signing/sign.php of Darkroom

const WIDTHS = [400, 800, 1200, 1600];
const MIME_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/avif', 'image/gif'];

if (defined('DARKROOM_URL')) {
    add_filter('intermediate_image_sizes_advanced', fn() => []);
    add_filter('big_image_size_threshold', '__return_false');
    add_filter('image_downsize', __NAMESPACE__ . '\downsize', 10, 3);
    add_filter('wp_calculate_image_srcset_meta', __NAMESPACE__ . '\srcset_meta', 10, 4);
    add_filter('wp_calculate_image_srcset', __NAMESPACE__ . '\srcset', 10, 5);
    add_filter('wp_content_img_tag', __NAMESPACE__ . '\content_image', 10, 3);
}

/** The URL of an image of the uploads folder, such as 2026/11/photo.jpg. */
function image_url(string $file, string $spec): string
{
    if (defined('DARKROOM_BUCKET')) {
        $path = object_url(DARKROOM_BUCKET, (defined('DARKROOM_PREFIX') ? DARKROOM_PREFIX : '') . $file, $spec);
    } else {
        $encoded = implode('/', array_map('rawurlencode', explode('/', $file)));
        $path = remote_url(wp_get_upload_dir()['baseurl'] . '/' . $encoded, $spec);
    }
    return DARKROOM_URL . (defined('DARKROOM_URL_KEY') ? sign_url($path, DARKROOM_URL_KEY) : $path);
}

/** File, width and height of an attachment; null if it is no image for Darkroom. */
function image_of(int $id): ?array
{
    $meta = wp_get_attachment_metadata($id);
    if (empty($meta['width']) || !in_array(get_post_mime_type($id), MIME_TYPES, true)) {
        return null;
    }
    return ['file' => $meta['file'], 'width' => $meta['width'], 'height' => $meta['height']];
}

/** The spec of an image in a size that is not larger than it. Another shape is a crop. */
function spec(array $image, int $width, int $height, int $density = 1): string
{
    if (wp_image_matches_ratio($width, $height, $image['width'], $image['height'])) {
        return $width * $density . 'w';
    }
    return ($width === $height ? "{$width}s" : "{$width}w{$height}h,cover") . ($density === 1 ? '' : ",{$density}x");
}

/** Width and height of an image in a registered size, such as medium, or in a box of [width, height]. */
function size_in(array $image, string|array $size): array
{
    $registered = is_string($size) ? wp_get_registered_image_subsizes()[$size] ?? null : null;
    [$width, $height] = is_array($size) ? $size : [$registered['width'] ?? 0, $registered['height'] ?? 0];
    if (empty($registered['crop']) || !$width || !$height) {
        return wp_constrain_dimensions($image['width'], $image['height'], (int) $width, (int) $height);
    }
    $scale = min(1, $image['width'] / $width, $image['height'] / $height);
    return [(int) round($width * $scale), (int) round($height * $scale)];
}

/** Sources of a srcset, by width, as WordPress has them. */
function sources(array $image, int $width, int $height): array
{
    $specs = [];
    foreach ([1, 2] as $density) {
        if ($width * $density <= $image['width'] && $height * $density <= $image['height']) {
            $specs[$width * $density] = spec($image, $width, $height, $density);
        }
    }
    if (wp_image_matches_ratio($width, $height, $image['width'], $image['height'])) {
        foreach (array_filter(WIDTHS, fn($each) => $each <= $image['width']) as $each) {
            $specs[$each] = "{$each}w";
        }
    }
    ksort($specs);
    $sources = [];
    foreach ($specs as $value => $spec) {
        $sources[$value] = ['url' => image_url($image['file'], $spec), 'descriptor' => 'w', 'value' => $value];
    }
    return $sources;
}

/** For the_post_thumbnail(), wp_get_attachment_image() and the media library. */
function downsize($result, $id, $size)
{
    $image = image_of((int) $id);
    if ($image === null) {
        return $result;
    }
    [$width, $height] = size_in($image, $size);
    return [image_url($image['file'], spec($image, $width, $height)), $width, $height, $size !== 'full'];
}

/** WordPress calculates no srcset without sizes, or if src does not contain the name of a file. */
function srcset_meta($meta, $size, $src, $id)
{
    $image = image_of((int) $id);
    if ($image === null || !str_starts_with($src, DARKROOM_URL)) {
        return $meta;
    }
    $sizes = [['file' => DARKROOM_URL, 'width' => $image['width'], 'height' => $image['height']]];
    return ['file' => wp_basename($image['file']), 'sizes' => $sizes] + $meta;
}

function srcset($sources, $size, $src, $meta, $id)
{
    $image = image_of((int) $id);
    return $image === null || !str_starts_with($src, DARKROOM_URL) ? $sources : sources($image, $size[0], $size[1]);
}

/** For <img class="wp-image-7" src="…/uploads/photo-300x225.jpg"> in posts, old and new. */
function content_image($img, $context, $id)
{
    $image = image_of((int) $id);
    if ($image === null) {
        return $img;
    }
    $width = preg_match('/\swidth="(\d+)"/', $img, $found) ? (int) $found[1] : $image['width'];
    $height = preg_match('/\sheight="(\d+)"/', $img, $found) ? (int) $found[1] : 0;
    $height = $height ?: (int) round($width * $image['height'] / $image['width']);
    $candidates = [];
    foreach (sources($image, $width, $height) as $source) {
        $candidates[] = "{$source['url']} {$source['value']}w";
    }
    $attributes = '<img src="' . esc_attr(image_url($image['file'], spec($image, $width, $height))) . '"';
    if ($candidates) {
        $attributes .= ' srcset="' . esc_attr(implode(', ', $candidates)) . '"';
    }
    if (!str_contains($img, ' sizes=')) {
        $attributes .= " sizes=\"(max-width: {$width}px) 100vw, {$width}px\"";
    }
    return preg_replace(['/\s(?:src|srcset)=("[^"]*"|\'[^\']*\')/', '/^<img/'], ['', $attributes], $img);
}
