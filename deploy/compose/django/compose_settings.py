"""The settings of the example, with sessions where a grown-up project has them."""

import os
from pathlib import Path

SECRETS = Path(os.environ.get("SECRETS", "/run/secrets"))

# The example reads its key from here.
os.environ["SECRET_KEY"] = (SECRETS / "secret_key").read_text().removesuffix("\n")

from project.settings import *  # noqa: E402, F403

SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("POSTGRES_HOST", "postgres"),
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "NAME": "sessiongate",
        "USER": "sessiongate",
        "PASSWORD": (SECRETS / "postgres_password").read_text().removesuffix("\n"),
    }
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("REDIS_URL", "redis://redis:6379/1"),
    }
}
