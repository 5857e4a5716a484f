"""Django's side of `bench/engines.ts`: its own `SessionStore`, doing what a line of JSON says; a line of JSON answers.

`SETTINGS`, as JSON, is what the project's settings would say. One process, one operation after the other, as Django's
backends work; only `merge` has threads, because changes that never meet would lose nothing.
"""
import importlib.metadata
import json
import os
import platform
import resource
import sys
import threading
import time
import traceback
from importlib import import_module

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.sessions"], USE_TZ=True, **json.loads(os.environ["SETTINGS"]))
django.setup()

from django.db import connections  # noqa: E402

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


def versions():
    names = ("Django", "psycopg", "redis", "pymemcache")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"Python": platform.python_version(), **found}


def seed(count, source):
    """Sessions of this process alone, for the cache that is its own memory."""
    keys = []
    for _ in range(count):
        session = SessionStore()
        session.update(json.loads(source))
        session.save()
        keys.append(session.session_key)
    return keys


def opened(key):
    session = SessionStore(session_key=key)
    if "_auth_user_id" not in session:
        raise LookupError("a session was not found")
    return session


def load(key, _):
    opened(key)


def save(key, number):
    """As a request does it: what is changed was loaded before."""
    session = opened(key)
    session["seen"] = number
    session.save()


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def sample(durations, elapsed, cpu, lost=0, failed=0):
    durations.sort()
    count = len(durations)

    def at(share):
        return durations[min(count - 1, int(count * share))] * 1000 if count else 0

    return {
        "operations": count,
        "perSecond": count / elapsed,
        "p50Ms": at(0.5),
        "p99Ms": at(0.99),
        "cpuMicrosPerOperation": cpu * 1e6 / max(1, count),
        "lost": lost,
        "failed": failed,
    }


def sequential(work, keys, seconds, inFlight):
    assert inFlight == 1
    if work is load:  # As on the gateway's side: what is measured has been read once.
        for key in keys:
            load(key, 0)
    durations = []
    cpu, start = cpu_seconds(), time.perf_counter()
    end, at, number = start + seconds, start, 0
    while at < end:
        work(keys[number % len(keys)], number)
        now = time.perf_counter()
        durations.append(now - at)
        at, number = now, number + 1
    return sample(durations, at - start, cpu_seconds() - cpu)


class Writer(threading.Thread):
    """Counts in a member of its own, and looks each time whether its last number is still there."""

    def __init__(self, key, name, end):
        super().__init__()
        self.key, self.member, self.end = key, name, end
        self.durations, self.number, self.last, self.lost, self.failed = [], 0, None, 0, 0

    def run(self):
        at = time.perf_counter()
        while at < self.end:
            try:
                self.change()
                self.durations.append(time.perf_counter() - at)
            except Exception:
                self.failed += 1
            at = time.perf_counter()
        connections.close_all()

    def change(self):
        session = opened(self.key)
        if self.last is not None and session.get(self.member) != self.last:
            self.lost += 1
        self.number += 1
        session[self.member] = self.number
        # If saving fails, nobody knows whether it was done: then there is nothing to be missed.
        self.last = None
        session.save()
        self.last = self.number


def merge(keys, seconds, names):
    cpu, start = cpu_seconds(), time.perf_counter()
    writers = [Writer(keys[0], name, start + seconds) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    durations = [duration for writer in writers for duration in writer.durations]
    lost, failed = sum(writer.lost for writer in writers), sum(writer.failed for writer in writers)
    result = sample(durations, time.perf_counter() - start, cpu_seconds() - cpu, lost, failed)
    return {**result, "last": {writer.member: writer.last for writer in writers if writer.last is not None}}


def missing(key, last):
    """How many of these members do not have these values, when all writers of all processes are done."""
    session = opened(key)
    return sum(session.get(name) != number for name, number in last.items())


COMMANDS = {
    "versions": versions,
    "seed": seed,
    "load": lambda **slot: sequential(load, **slot),
    "save": lambda **slot: sequential(save, **slot),
    "merge": merge,
    "missing": missing,
}

for line in sys.stdin:
    command, arguments = json.loads(line)
    try:
        answer = {"value": COMMANDS[command](**arguments)}
    except Exception as error:
        answer = {"error": "".join(traceback.format_exception(error))}
    print(json.dumps(answer), flush=True)
