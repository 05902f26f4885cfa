import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1").split()
INSTALLED_APPS = ["gallery"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "gallery.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

DARKROOM_URL = os.environ.get("DARKROOM_URL", "http://127.0.0.1:8080")  # for this server
DARKROOM_PUBLIC_URL = os.environ.get("DARKROOM_PUBLIC_URL", DARKROOM_URL)  # for browsers
DARKROOM_TOKEN = os.environ.get("DARKROOM_TOKEN", "")
DARKROOM_URL_KEY = os.environ.get("DARKROOM_URL_KEY", "")  # the first of URL_KEYS, with SIZE_POLICY=signed

# Files of models are in a bucket, by django-storages. Darkroom's BUCKETS_FILE has the same bucket under this alias.
DARKROOM_BUCKET = "photos"
STORAGES = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": os.environ.get("S3_BUCKET", "my-photos"),
            "endpoint_url": os.environ.get("S3_ENDPOINT"),
            "file_overwrite": False,
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
