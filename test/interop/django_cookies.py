"""Drives Django's own SessionMiddleware through the rows of the cookie table and prints what it sent, as JSON.

One argument: the folder for the database. Every case starts with its own session row where it says `valid`.
"""
import json
import sys

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="test-secret-key-0123456789",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1] + "/django.sqlite3"}},
    INSTALLED_APPS=["django.contrib.sessions"],
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.exceptions import SessionInterrupted  # noqa: E402
from django.contrib.sessions.middleware import SessionMiddleware  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import RequestFactory, override_settings  # noqa: E402

call_command("migrate", verbosity=0)


def set_value(session):
    session["a"] = 2


def flush_then_set(session):
    session.flush()
    session["b"] = 1


def expire(seconds):
    def act(session):
        session.set_expiry(seconds)
    return act


ACTIONS = {
    "read": lambda session: session.get("a"),
    "set": set_value,
    "delete missing": lambda session: session.pop("missing", None),
    "delete": lambda session: session.pop("a", None),
    "clear": lambda session: session.clear(),
    "flush": lambda session: session.flush(),
    "flush then set": flush_then_set,
    "cycle": lambda session: session.cycle_key(),
    "expiry 300": expire(300),
    "expiry 0": expire(0),
    "expiry -10": expire(-10),
    "expiry default": expire(None),
}

COOKIES = ["none", "valid", "unknown", "short", "empty", "expired"]
SETTINGS = {
    "default": {},
    "save every request": {"SESSION_SAVE_EVERY_REQUEST": True},
    "browser close": {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
    "attributes": {
        "SESSION_COOKIE_NAME": "sid", "SESSION_COOKIE_PATH": "/app", "SESSION_COOKIE_DOMAIN": "example.test",
        "SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_HTTPONLY": False, "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_AGE": 3600,
    },
    "no samesite": {"SESSION_COOKIE_SAMESITE": False},
    "samesite none": {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
}


def cookie_value(kind):
    if kind == "none":
        return None
    if kind == "unknown":
        return "unknownunknownunknownunknownunkn"
    if kind == "short":
        return "short"
    if kind == "empty":
        return ""
    store = SessionStore()
    store["a"] = 1
    store.save()
    if kind == "expired":
        from datetime import datetime, timezone
        Session.objects.filter(pk=store.session_key).update(expire_date=datetime(2001, 1, 1, tzinfo=timezone.utc))
    return store.session_key


def run(name, kind, action, status):
    value = cookie_value(kind)
    request = RequestFactory().get("/")
    if value is not None:
        request.COOKIES[settings.SESSION_COOKIE_NAME] = value

    def view(request):
        ACTIONS[action](request.session)
        return HttpResponse(status=status)

    before = set(Session.objects.values_list("pk", flat=True))
    try:
        response = SessionMiddleware(view)(request)
    except SessionInterrupted:
        # clear() does not load, so an unknown key is still there when the middleware saves.
        return {
            "settings": name, "cookie": kind, "action": action, "status": status, "interrupted": True,
            "lines": [], "brought": value, "vary": "", "rows": {"new": 0, "gone": 0},
        }
    after = set(Session.objects.values_list("pk", flat=True))
    lines = [morsel.OutputString() for morsel in response.cookies.values()]
    return {
        "settings": name, "cookie": kind, "action": action, "status": status,
        "lines": lines, "brought": value, "vary": response.get("Vary", ""),
        "interrupted": False, "rows": {"new": len(after - before), "gone": len(before - after)},
    }


results = []
for name, changed in SETTINGS.items():
    with override_settings(**changed):
        for kind in COOKIES:
            for action in ACTIONS:
                for status in ([200, 404, 500, 503] if name == "default" else [200]):
                    results.append(run(name, kind, action, status))
print(json.dumps({"django": django.get_version(), "results": results}))
