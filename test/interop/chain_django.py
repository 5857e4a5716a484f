"""A Django shop for `chain.test.ts`, twice: under /django/ its sessions are Django's own, in the database that the gateway
shares; under /headers/ it knows of the session only what the gateway's signed header says, and answers with commands.

Arguments: the folder for the database and for receipts, the folder of `verify.py`, and the keys, as JSON by upstream.
Prints its origin.
"""
import base64
import gzip
import hashlib
import json
import os
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

FOLDER, VERIFIER, KEYS = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, VERIFIER)
from verify import verify_session  # noqa: E402

settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "db.sqlite3",
            "OPTIONS": {"timeout": 30},
        }
    },
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ALLOWED_HOSTS=["shop.example"],
    # Without it every form is refused behind https: Django compares the browser's Origin with its own.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402


def told(request, upstream):
    lines = [(name[5:].replace("_", "-"), value) for name, value in request.META.items() if name.startswith("HTTP_")]
    key = base64.urlsafe_b64decode(KEYS[upstream] + "=" * (-len(KEYS[upstream]) % 4))
    return verify_session(lines, {"chain": key}, "sessiongate", upstream)


class OwnSession:
    """Django's, in the database."""

    upstream = "django"

    def __init__(self, request):
        self.session = request.session

    def read(self):
        return dict(self.session.items())

    def log_in(self, response, user):
        self.session.cycle_key()
        self.session["userInfo"] = user

    def put(self, response, name, value):
        self.session[name] = value

    def end(self, response):
        self.session.flush()


class SignedSession:
    """The gateway's: read from its signed header, changed by headers of the answer."""

    upstream = "headers"

    def __init__(self, request):
        self.claims, _ = told(request, self.upstream)

    def read(self):
        return self.claims["ses"]

    def log_in(self, response, user):
        self.put(response, "userInfo", user)

    def put(self, response, name, value):
        response["X-Session-Set"] = json.dumps({name: value})

    def end(self, response):
        response["X-Session-Command"] = "flush"


def leave_for(request, to):
    return HttpResponseRedirect(request.build_absolute_uri(to))


def log_in(request, kind):
    get_token(request)
    if request.method != "POST":
        return HttpResponse("<form method=post>")
    response = leave_for(request, request.GET.get("next", f"/{kind.upstream}/"))
    name = request.POST["name"]
    kind(request).log_in(response, {"id": len(name), "name": name})
    return response


def home(request, kind):
    cart = kind(request).read().get("cart", {})
    return HttpResponse("\n".join(f'<li data-item="{item}">{item}: {count}</li>' for item, count in cart.items()))


@require_POST
def add(request, kind):
    session, item = kind(request), request.POST["item"]
    cart = session.read().get("cart", {})
    response = leave_for(request, f"/{kind.upstream}/")
    session.put(response, "cart", {**cart, item: cart.get(item, 0) + 1})
    return response


def receipt_of(request, kind):
    user = kind(request).read()["userInfo"]
    return FOLDER / "receipts" / hashlib.sha256(f"{kind.upstream} {user['id']}".encode()).hexdigest()


@require_POST
def upload(request, kind):
    with receipt_of(request, kind).open("wb") as file:
        for chunk in request.FILES["receipt"].chunks():
            file.write(chunk)
    return leave_for(request, f"/{kind.upstream}/")


def receipt(request, kind):
    response = HttpResponse(content_type="application/octet-stream")
    response["X-Accel-Redirect"] = "/receipts/" + receipt_of(request, kind).name
    del response["Content-Length"]
    return response


def stream(request, kind):
    file = receipt_of(request, kind).open("rb")
    return StreamingHttpResponse(iter(lambda: file.read(50_000), b""), content_type="application/octet-stream")


def compressed(request, kind):
    body = gzip.compress(b"A line that is there many times.\n" * 50_000, mtime=0)
    digest = hashlib.sha256(body).hexdigest()
    return HttpResponse(body, headers={"Content-Encoding": "gzip", "X-Digest": digest})


def seen(request, kind):
    claims, plain = told(request, kind.upstream)
    headers = {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    return JsonResponse({"headers": headers, "claims": claims, "plain": plain, "url": request.build_absolute_uri("/")})


@require_POST
def log_out(request, kind):
    response = leave_for(request, f"/{kind.upstream}/login")
    kind(request).end(response)
    return response


VIEWS = {
    "": home, "login": log_in, "add": add, "upload": upload, "receipt": receipt, "stream": stream, "gzip": compressed,
    "seen": seen, "logout": log_out,
}
urlpatterns = [
    path(f"{kind.upstream}/{name}", view, {"kind": kind}) for kind in (OwnSession, SignedSession) for name, view in VIEWS.items()
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


call_command("migrate", verbosity=0)
server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=Server, handler_class=Quiet)
# Ends with the test, however that ends.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
