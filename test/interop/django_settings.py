"""Settings of a stock project, but for what a test says in `PROJECT`, as JSON.

A module of its own and no `settings.configure()`: only then does Django set the process's time zone to TIME_ZONE.
"""
import json
import os

PROJECT = json.loads(os.environ["PROJECT"])

SECRET_KEY = PROJECT["secret_key"]
SECRET_KEY_FALLBACKS = PROJECT["fallbacks"]
if PROJECT["postgres"]:
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **PROJECT["postgres"]}}
else:
    options = {"transaction_mode": PROJECT["transaction_mode"]} if PROJECT["transaction_mode"] else {}
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(PROJECT["folder"], "db.sqlite3"),
            "OPTIONS": {"timeout": 30, **options},
        }
    }
if PROJECT["cache"]:
    CACHES = {"default": PROJECT["cache"]}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_site"
USE_TZ = PROJECT["use_tz"]
TIME_ZONE = PROJECT["time_zone"]
SESSION_ENGINE = "django.contrib.sessions.backends." + PROJECT["engine"]
if PROJECT["store_class"]:
    SESSION_ENGINE = "django_shop_store"
SESSION_FILE_PATH = PROJECT["folder"]
SESSION_COOKIE_AGE = PROJECT["cookie_age"]
