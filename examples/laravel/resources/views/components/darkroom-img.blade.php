@props(['picture', 'sizes' => '100vw', 'widths' => [400, 800, 1200]])
@php
    $widths = array_filter($widths, fn ($width) => $width <= $picture->width) ?: [$widths[0]];
    $srcset = array_map(fn ($width) => $picture->darkroomUrl("{$width}w") . " {$width}w", $widths);
@endphp
<img
    src="{{ $picture->darkroomUrl(max($widths) . 'w') }}"
    srcset="{{ implode(', ', $srcset) }}"
    sizes="{{ $sizes }}"
    width="{{ $picture->width }}"
    height="{{ $picture->height }}"
    alt="{{ $picture->alt }}"
    {{ $attributes->merge(['loading' => 'lazy', 'decoding' => 'async']) }}>
