from urllib.parse import quote

from django.conf import settings
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe


@require_safe
def home(request):
    # The classic, on top of every view. Behind the gateway nobody comes here who is not logged in, but it does no harm.
    user = request.session.get(settings.LOGIN_KEY)
    if not user:
        return redirect(f"/login/?next={quote(request.get_full_path(), safe='')}")
    return render(request, "members/home.html", {"user": user, "session": dict(request.session.items())})


@require_http_methods(["GET", "HEAD", "POST"])
def log_in(request):
    if request.method != "POST":
        return render(request, "members/login.html")
    name = request.POST.get("name", "").strip()
    if not name:
        return render(request, "members/login.html", {"problem": "Please tell your name."}, status=422)
    # A new key for what is now a session of somebody: whoever knew the old one stays outside.
    request.session.cycle_key()
    request.session[settings.LOGIN_KEY] = {"name": name}
    return redirect(safe_next(request))


@require_POST
def log_out(request):
    request.session.flush()
    return redirect("login")


@require_POST
def note(request):
    request.session["note"] = request.POST.get("note", "")[:200]
    return redirect("home")


def safe_next(request):
    target = request.GET.get("next", "/")
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "/"
