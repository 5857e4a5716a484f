"""Django's `cache` sessions over real caches, doing what a test tells it: a line of JSON comes in, a line goes out.

`CACHES`, as JSON, is the setting of that name. Each command names the alias that it is about.
"""
import json
import os
import sys
import traceback

import django
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings

settings.configure(
    SECRET_KEY="test-secret-key-0123456789",
    CACHES=json.loads(os.environ["CACHES"]),
    INSTALLED_APPS=["django.contrib.sessions"],
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends.cache import KEY_PREFIX, SessionStore  # noqa: E402


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def write_one(source):
    session = SessionStore()
    session.update(json.loads(source))
    session.save()
    return {"key": session.session_key, "json": compact(session._session)}


def read_one(key):
    """The session as Django loads it; null where it finds none."""
    session = SessionStore(session_key=key)
    data = session._session
    return compact(data) if session.session_key == key else None


def value_of(alias, key):
    """What the cache itself says, past the sessions: as JSON, `"missing"` where nothing is."""
    return compact(caches[alias].get(KEY_PREFIX + key, "missing"))


COMMANDS = {
    "write": lambda alias, sources: [write_one(source) for source in sources],
    "read": lambda alias, keys: [read_one(key) for key in keys],
    "values": lambda alias, keys: [value_of(alias, key) for key in keys],
}

if __name__ == "__main__":
    for line in sys.stdin.buffer:
        command, arguments, _ = json.loads(line)
        try:
            with override_settings(SESSION_CACHE_ALIAS=arguments["alias"]):
                answer = {"value": COMMANDS[command](**arguments)}
        except Exception as error:  # The test tells what went wrong; a traceback on stderr would tell nobody.
            answer = {"error": "".join(traceback.format_exception(error))}
        print(json.dumps(answer), flush=True)
