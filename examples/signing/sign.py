# Signs URLs of Darkroom for SIZE_POLICY=signed; docs/signing.md describes the algorithm. Copy the functions that you need.
# Self-test: python3 sign.py vectors.json
import base64
import hashlib
import hmac
import json
import re
import sys
from urllib.parse import quote

NAME_AND_FORMAT = re.compile(
    r"^((?:/image/[^/?]+|/s3/[^?]+/-)/[^/?]+?)(?:/[^/?]+)?\.(jpg|png|webp|avif|gif)(\?.*)?$"
)


def sign_url(url, key, expires=None):
    """Signs a URL in its canonical spelling, without scheme and host.

    key: the first key of URL_KEYS. expires: Unix time in seconds; None: never.
    Example: sign_url("/image/3f2a…/400w/cat.webp", key, int(time.time()) + 3600)
    """
    separator = "&" if "?" in url else "?"
    expiry = "" if expires is None else f"{separator}e={expires}"
    text = NAME_AND_FORMAT.sub(r"\1/.\2\3", url) + expiry
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return f"{url}{expiry}{'&' if expiry else separator}s={signature}"


def object_url(bucket, key, picture, version_id=None):
    """The URL of a picture of an object in a bucket.

    key: as in S3, not encoded. picture: such as 400w, 400w.webp or 400w/cat.webp.
    """
    segments = key.split("/")
    path = encode(segments[0])
    for before, segment in zip(segments, segments[1:]):
        # Clients resolve the segments "." and ".." of a path, unless the slashes beside them are encoded.
        path += ("%2F" if {before, segment} & {".", ".."} else "/") + encode(segment)
    query = "" if version_id is None else f"?versionId={encode(version_id)}"
    return f"/s3/{bucket}/{path}/-/{picture}{query}"


def remote_url(url, size, format=None):
    """The URL of a picture of a remote image. url: absolute. size: such as 400w."""
    return f"/image?url={encode(url)}&size={size}" + ("" if format is None else f"&format={format}")


def encode(text):
    """Percent-encodes as encodeURIComponent of JavaScript does."""
    return quote(text, safe="!~*'()")


def self_test(file):
    with open(file, encoding="utf-8") as vectors_file:
        vectors = json.load(vectors_file)
    mismatches = 0
    for vector in vectors:
        url = vector["url"]
        if "object" in vector:
            given = vector["object"]
            url = object_url(given["bucket"], given["key"], given["picture"], given.get("versionId"))
        elif "remote" in vector:
            given = vector["remote"]
            url = remote_url(given["url"], given["size"], given.get("format"))
        result = sign_url(url, vector["key"], vector.get("expires"))
        if result != vector["signed"]:
            print(f"{vector['name']}:\n  is        {result}\n  should be {vector['signed']}", file=sys.stderr)
            mismatches += 1
    print(f"{len(vectors) - mismatches} of {len(vectors)} vectors match")
    return 0 if mismatches == 0 else 1


if __name__ == "__main__":
    sys.exit(self_test(sys.argv[1]))
