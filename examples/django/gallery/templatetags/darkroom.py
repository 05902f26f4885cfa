from django import template
from django.utils.html import format_html

register = template.Library()
WIDTHS = (400, 800, 1200)


@register.simple_tag
def darkroom_img(picture, sizes="100vw"):
    """An <img> of anything with darkroom_url(spec), width, height and alt."""
    widths = [width for width in WIDTHS if width <= picture.width] or [WIDTHS[0]]
    return format_html(
        '<img src="{}" srcset="{}" sizes="{}" width="{}" height="{}" alt="{}" loading="lazy" decoding="async">',
        picture.darkroom_url(f"{widths[-1]}w"),
        ", ".join(f"{picture.darkroom_url(f'{width}w')} {width}w" for width in widths),
        sizes,
        picture.width,
        picture.height,
        picture.alt,
    )
