"""The site of `django_project.py`: a few addresses that do to the session what Django apps do.

Each answers with the session as its view left it. `/say?header=value` lets an answer carry headers beside what Django
does, such as the gateway's commands.
"""
import json
import threading
from datetime import datetime, timezone
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


def answer(request):
    said = {"user": request.user.username, "key": request.session.session_key, "data": dict(request.session.items())}
    return HttpResponse(json.dumps(said), content_type="application/json")


def show(request):
    return answer(request)


def log_in(request):
    login(request, User.objects.get(username=request.GET["user"]))
    return answer(request)


def log_out(request):
    logout(request)
    return answer(request)


def cycle(request):
    request.session.cycle_key()
    return answer(request)


def put(request):
    for name, text in request.GET.items():
        request.session[name] = json.loads(text)
    return answer(request)


def expire(request):
    """`seconds`, or `date` in milliseconds; neither is Django's own default."""
    seconds, date = request.GET.get("seconds"), request.GET.get("date")
    if date:
        request.session.set_expiry(datetime.fromtimestamp(int(date) / 1000, tz=timezone.utc))
    else:
        request.session.set_expiry(int(seconds) if seconds else None)
    return answer(request)


# A view that holds its session in its hands: the test waits until it does, and lets it go on.
HELD = threading.Semaphore(0)
RELEASED = threading.Semaphore(0)


def hold(request):
    request.session["held"] = len(request.session.keys())
    HELD.release()
    RELEASED.acquire(timeout=20)
    return answer(request)


def say(request):
    """Headers from the query, beside what the query's own words ask of the session: `set`, `cycle`, `flush`."""
    asked = request.GET.copy()
    for text in asked.pop("set", []):
        request.session.update(json.loads(text))
    if asked.pop("cycle", None):
        request.session.cycle_key()
    if asked.pop("flush", None):
        request.session.flush()
    response = answer(request)
    for name, value in asked.items():
        response[name] = value
    return response


urlpatterns = [
    path("login", log_in), path("logout", log_out), path("cycle", cycle), path("put", put), path("say", say),
    path("expire", expire), path("hold", hold), path("private", show), path("", show),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve():
    """Serves the site on a free port of 127.0.0.1, beside the project's commands, and gives its origin."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=Server, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
