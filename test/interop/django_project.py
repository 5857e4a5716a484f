"""A Django project that does what a test tells it: a line of JSON comes in, a line of JSON goes out.

`django_settings.py` beside this file tells where its settings come from, `django_site.py` is the site that it can serve.

Only the clock is not Django's own, where a command says `at` (milliseconds): then dates and signatures can be compared
to the last digit with those of a gateway whose clock stands at the same moment.

Runs on Django 3.2 and on 5.2.
"""
import contextlib
import json
import os
import re
import sqlite3
import stat
import sys
import time
from datetime import datetime, timezone as zones
from importlib import import_module
from unittest import mock

import django
from django.conf import settings
from django.core.cache import caches

os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"
django.setup()

from django.contrib.sessions.middleware import SessionMiddleware  # noqa: E402
from django.core import signing  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import RequestFactory  # noqa: E402

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore
FOLDER = settings.SESSION_FILE_PATH
DATABASE = settings.DATABASES["default"]["NAME"]
IS_DB = settings.SESSION_ENGINE.endswith((".db", ".cached_db", "_store"))
IS_FILE = settings.SESSION_ENGINE.endswith(".file")
IS_COOKIE = settings.SESSION_ENGINE.endswith(".signed_cookies")
CACHE = settings.CACHES["default"] if settings.SESSION_ENGINE.endswith((".cache", ".cached_db")) else None


class SourceText:
    """Takes the place of Django's JSONSerializer, so that a session's bytes are seen before anybody parses them."""

    def loads(self, data):
        return data.decode("latin-1")


def compact(value):
    return json.dumps(value, separators=(",", ":"))


@contextlib.contextmanager
def clock_at(at):
    """Lets Django's clock stand at `at` milliseconds; None leaves it alone."""
    if at is None:
        yield
        return
    now = datetime.fromtimestamp(at / 1000, tz=zones.utc if settings.USE_TZ else None)
    with mock.patch("django.utils.timezone.now", return_value=now), mock.patch("time.time", return_value=at / 1000):
        yield


def path_of(key):
    return os.path.join(FOLDER, settings.SESSION_COOKIE_NAME + key)


def row_of(key):
    """What the store holds, past Django: (text, date), or None. Of a value in a cache the text stays there."""
    if IS_DB:
        # With an operator around it, no converter takes the column for a date.
        date = "expire_date || ''"
        if connection.vendor == "postgresql":
            date = "to_char(expire_date AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        with connection.cursor() as cursor:
            cursor.execute("SELECT session_data, " + date + " FROM django_session WHERE session_key = %s", [key])
            row = cursor.fetchone()
            return row and (row[0], re.sub(r"\.000000$", "", row[1]))
    if IS_FILE:
        try:
            with open(path_of(key), encoding="ascii") as file:
                return file.read(), None
        except FileNotFoundError:
            return None
    if CACHE:
        return ("", None) if cached_of(key) else None
    return key, None


def cached_of(key):
    """What the cache holds, and until when (milliseconds), or None. Django's own None counts as nothing."""
    if not CACHE:
        return None
    name = SessionStore.cache_key_prefix + key
    value = caches["default"].get(name)
    left = None if value is None else remaining(caches["default"].make_key(name))
    return None if left is None else {"json": compact(value), "endsAt": time.time() * 1000 + left}


def remaining(raw_key):
    """The milliseconds that the cache's own server gives a value, asked past Django's client; None for no value."""
    global server
    if CACHE["BACKEND"].endswith("PyMemcacheCache"):
        if server is None:
            import pymemcache
            server = pymemcache.Client(CACHE["LOCATION"])
        # "HD t86399", or "EN" for nothing.
        answer = server.raw_command("mg %s t" % raw_key).decode()
        return int(answer[4:]) * 1000 if answer.startswith("HD t") else None
    if server is None:
        import redis
        server = redis.Redis.from_url(CACHE["LOCATION"])
    left = server.pttl(raw_key)
    return None if left == -2 else left


server = None


def source_of(text):
    salt = "django.contrib.sessions.backends.signed_cookies" if IS_COOKIE else SessionStore().key_salt
    return signing.loads(text, salt=salt, serializer=SourceText)


def date_text(date):
    """As Django's SQLite backend stores it, whatever the database is."""
    return str(date.astimezone(zones.utc).replace(tzinfo=None) if settings.USE_TZ else date)


def facts_of(data):
    """What Django says of a session with this data, without a store: what it would store, and send as a cookie."""
    session = SessionStore()
    session._session_cache = data
    return {
        "json": compact(data),
        "text": session._get_session_key() if IS_COOKIE else session.encode(data),
        "age": session.get_expiry_age(),
        "browserClose": session.get_expire_at_browser_close(),
        "expireDate": date_text(session.get_expiry_date()),
        "cookie": cookie_of(session),
        "loggedIn": bool(data.get("userInfo")),
    }


def cookie_of(session):
    """The line that Django's middleware sends, with `KEY` in the place of the key."""
    request = RequestFactory().get("/")
    request.session = session
    session.modified, session.save, session._session_key = True, lambda: None, "KEYKEYKEY"
    response = SessionMiddleware(lambda _: None).process_response(request, HttpResponse())
    return response.cookies[settings.SESSION_COOKIE_NAME].OutputString().replace("KEYKEYKEY", "KEY")


def write_one(source):
    session = SessionStore()
    session.update(json.loads(source))
    began_at = time.time() * 1000
    session.save()
    span = [began_at, time.time() * 1000]
    key = session.session_key
    if IS_FILE:
        # The file system's clock cannot be stopped.
        os.utime(path_of(key), (time.time(), time.time()))
    kept = {"stored": stored_of(key), "cached": cached_of(key)}
    return {"key": key, "json": compact(session._session), "span": span, **kept}


def stored_of(key):
    row = row_of(key)
    return row and {"text": row[0], "expireDate": row[1]}


def read_one(key):
    """The session as Django loads it; `found` is false where it begins a new one instead."""
    stored = stored_of(key)
    if stored is None:
        return {"found": False, "stored": None, "cached": cached_of(key), "json": "{}"}
    cached = cached_of(key)
    session = SessionStore(session_key=key)
    data = session._session
    try:
        stored["source"] = source_of(stored["text"]) if stored["text"] else None
    except signing.BadSignature:
        stored["source"] = None
    # An expired file is deleted while Django reads it, and an empty one takes its place under a new key.
    found = session.session_key == key and not session.modified
    return {"found": found, "stored": stored, "cached": cached, "json": compact(data)}


def fitting(text):
    """What an app is told: the keys that do not begin with `_`, and null for what is not JSON by the RFC."""
    def strict(value):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return None
        if isinstance(value, dict):
            return {key: strict(member) for key, member in value.items()}
        return [strict(item) for item in value] if isinstance(value, list) else value

    return compact(strict({key: value for key, value in json.loads(text).items() if not key.startswith("_")}))


def transacted(step, items):
    with transaction.atomic() if IS_DB else contextlib.nullcontext():
        return [step(item) for item in items]


def changed(step):
    """A source text with members set and deleted, as a Python dict does it."""
    data = json.loads(step["source"])
    for name in step.get("delete", []):
        data.pop(name, None)
    for name, text in step.get("set", []):
        data[name] = json.loads(text)
    return compact(data)


def hammer(key, range, is_atomic):
    """Changes of one session, each as a quick request makes it: load, set, think, save; and a breath after."""
    number, end = range
    while number < end:
        with transaction.atomic() if is_atomic else contextlib.nullcontext():
            session = SessionStore(session_key=key)
            session["d%d" % number] = number
            time.sleep(0.001)
            session.save()
        number += 1
        time.sleep(0.002)


def act(key, steps):
    """Calls methods of one session, saves it and hands back its key."""
    session = SessionStore(session_key=key)
    for name, *arguments in steps:
        if name == "set":
            session[arguments[0]] = json.loads(arguments[1])
        elif name == "set_expiry_date":
            session.set_expiry(datetime.fromtimestamp(arguments[0] / 1000, tz=zones.utc))
        else:
            getattr(session, name)(*arguments)
    if not session.is_empty():
        session.save()
    return session.session_key


def listing():
    names = [name for name in os.listdir(FOLDER) if name.startswith(settings.SESSION_COOKIE_NAME)]
    states = {name: os.stat(os.path.join(FOLDER, name)) for name in sorted(names)}
    return [[name, stat.S_IMODE(state.st_mode), round(state.st_mtime * 1000)] for name, state in states.items()]


def keys():
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_key FROM django_session ORDER BY session_key")
        return [key for (key,) in cursor.fetchall()]


def site_module():
    return import_module("django_site")


def site():
    return site_module().serve()


def user(name):
    from django.contrib.auth.models import User
    return User.objects.create_user(name).pk


COMMANDS = {
    "migrate": lambda **_: call_command("migrate", verbosity=0),
    "facts": lambda sources: [facts_of(json.loads(source)) for source in sources],
    "fitting": lambda sources: [fitting(source) for source in sources],
    "changed": lambda steps: [changed(step) for step in steps],
    "write": lambda sources: transacted(write_one, sources),
    "read": lambda keys: transacted(read_one, keys),
    "act": act,
    "hammer": hammer,
    "listing": listing,
    "keys": keys,
    "clearsessions": lambda: call_command("clearsessions"),
    "site": site,
    "held": lambda: site_module().HELD.acquire(timeout=10),
    "release": lambda: site_module().RELEASED.release(),
    "user": user,
    "pragma": lambda name: sqlite3.connect(DATABASE).execute("PRAGMA " + name).fetchone()[0],
    "version": django.get_version,
}

if __name__ == "__main__":
    for line in sys.stdin.buffer:
        command, arguments, at = json.loads(line)
        try:
            with clock_at(at):
                answer = {"value": COMMANDS[command](**arguments)}
        except Exception as error:  # The test tells what went wrong; a traceback on stderr would tell nobody.
            import traceback
            answer = {"error": "".join(traceback.format_exception(error))}
        print(json.dumps(answer), flush=True)
