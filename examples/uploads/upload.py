"""DARKROOM_TOKEN=… python3 upload.py photo.jpg"""
import json
import os
import sys
import time
import urllib.error
import urllib.request

DARKROOM_URL = os.environ.get("DARKROOM_URL", "http://127.0.0.1:8080")
ATTEMPTS = 3


def upload_image(data: bytes) -> dict:
    """Uploads an image and returns its record. Repeating is safe: the same bytes have the same id."""
    headers = {
        "Authorization": "Bearer " + os.environ.get("DARKROOM_TOKEN", ""),
        "Content-Type": "application/octet-stream",
    }
    request = urllib.request.Request(DARKROOM_URL + "/images", data=data, headers=headers)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
            if error.code < 500 or attempt == ATTEMPTS:
                raise RuntimeError("%s: %s" % (answer["error"], answer["message"])) from error
            time.sleep(int(error.headers.get("Retry-After", 1)))
        except urllib.error.URLError as error:
            if attempt == ATTEMPTS:
                raise RuntimeError("%s does not answer: %s" % (DARKROOM_URL, error.reason)) from error
            time.sleep(1)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    try:
        with open(sys.argv[1], "rb") as file:
            print(upload_image(file.read())["urls"]["html"])
    except (RuntimeError, OSError) as error:
        sys.exit(str(error))
