"""Uploads, deletions and URLs of pictures. sign.py is examples/signing/sign.py of Darkroom."""
import json
import logging
import urllib.error
import urllib.request

from django.conf import settings

from .sign import object_url, sign_url

logger = logging.getLogger(__name__)


class DarkroomError(Exception):
    """Its text is for the user."""


def upload(file):
    """Stores an uploaded file. Returns its record, with id, width and height."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.size)}
    return request("POST", "/images", file, headers)


def delete(image_id):
    request("DELETE", f"/images/{image_id}")


def object_info(key):
    """Width, height and other properties of an object in the bucket."""
    return request("GET", object_url(settings.DARKROOM_BUCKET, key, "info"))


def image_url(image_id, spec):
    return public_url(f"/image/{image_id}/{spec}")


def file_url(key, spec):
    return public_url(object_url(settings.DARKROOM_BUCKET, key, spec))


def public_url(path):
    key = settings.DARKROOM_URL_KEY
    return settings.DARKROOM_PUBLIC_URL + (sign_url(path, key) if key else path)


def request(method, path, data=None, headers=None):
    headers = {"Authorization": f"Bearer {settings.DARKROOM_TOKEN}", **(headers or {})}
    sent = urllib.request.Request(settings.DARKROOM_URL + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=60) as response:
            return json.loads(response.read() or "{}")
    except urllib.error.HTTPError as error:
        answer = json.load(error)
        if error.code in (413, 415, 422):  # too large, not a picture, corrupt
            raise DarkroomError(answer["message"]) from error
        logger.error("Darkroom: %s %s: %s", method, path, answer)
    except OSError:
        logger.exception("Darkroom: %s %s", method, path)
    raise DarkroomError("Pictures are not available at the moment. Please try again later.")
