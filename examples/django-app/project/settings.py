"""A stock project: nothing in it knows of the gateway. Its sessions are Django's own, in its own database."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# The gateway is given the same one, so that each can read what the other has signed.
SECRET_KEY = os.environ["SECRET_KEY"]

DEBUG = False

# The browser's Host: the gateway sends it up as it came.
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.sessions",
    "members",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "db.sqlite3"),
    }
}

TIME_ZONE = "UTC"
USE_TZ = True

# The key of the session that says who is logged in, as so many tutorials have it.
LOGIN_KEY = "userInfo"
