/**
 * What the project's own Python is asked: its settings as Django sees them, as one JSON object on the first output. What the
 * project prints goes elsewhere. It asks no database and starts no server. Plain enough for Python 3.6 and Django 3.2.
 */
export const DJANGO_PROGRAM = `
import importlib, json, os, sys

out = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
sys.path.insert(0, os.getcwd())


def tell(answer):
    def text(value):
        if isinstance(value, type) or callable(value):
            return getattr(value, "__module__", "") + "." + getattr(value, "__qualname__", type(value).__name__)
        return str(value)

    json.dump(answer, out, default=text)
    out.flush()
    os._exit(0)


def fail(stage, error):
    tell({"stage": stage, "why": (type(error).__name__ + ": " + str(error))[:300], "python": sys.executable})


try:
    import django
except BaseException as error:
    fail("django", error)

try:
    from django.conf import settings

    settings.SECRET_KEY
    django.setup()
except BaseException as error:
    fail("settings", error)


def attempt(read, default=None):
    try:
        return read()
    except BaseException:
        return default


def session_class():
    cls = importlib.import_module(settings.SESSION_ENGINE).SessionStore
    names = [base.__module__ for base in cls.__mro__]
    known = [name.rsplit(".", 1)[1] for name in names if name.startswith("django.contrib.sessions.backends.")]
    base = known[0] if known else None
    answer = {"base": base, "saltClass": cls.__qualname__}
    if base in ("db", "cached_db"):
        model = cls.get_model_class()
        from django.db import router

        answer["table"] = model._meta.db_table
        answer["database"] = router.db_for_write(model)
    if base in ("cache", "cached_db"):
        answer["keyPrefix"] = getattr(cls, "cache_key_prefix", "")
    return answer


def database(alias):
    from django.db import connections

    found = connections.databases[alias]
    wanted = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
    return dict([(key.lower(), str(found.get(key) or "")) for key in wanted], options=found.get("OPTIONS") or {})


def cache(alias):
    found = settings.CACHES[alias]
    prefix, version = found.get("KEY_PREFIX", ""), found.get("VERSION", 1)
    location = found.get("LOCATION", "")
    if isinstance(location, str):
        location = [part for part in location.replace(";", ",").split(",") if part]

    def layout():
        from django.core.cache import caches

        return str(caches[alias].make_key("x")) == "{}:{}:x".format(prefix, version)

    return {
        "backend": str(found["BACKEND"]),
        "location": [str(part) for part in location],
        "keyPrefix": str(prefix),
        "version": version,
        "options": found.get("OPTIONS") or {},
        "hasDjangoKeys": attempt(layout, "KEY_FUNCTION" not in found),
    }


def reversed_path(name, args=()):
    from django.urls import reverse

    return attempt(lambda: reverse(name, args=args))


def leads_somewhere(url):
    from django.urls import Resolver404, resolve

    try:
        resolve(url.split("?")[0])
        return True
    except Resolver404:
        return False
    except BaseException:
        return None


def login_url():
    from django.shortcuts import resolve_url

    return str(attempt(lambda: resolve_url(settings.LOGIN_URL), settings.LOGIN_URL))


try:
    engine = attempt(session_class, {"base": None, "saltClass": "SessionStore"})
    login = login_url()
    tell(
        {
            "django": django.get_version(),
            "module": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
            "secretKey": str(settings.SECRET_KEY),
            "fallbacks": [str(key) for key in getattr(settings, "SECRET_KEY_FALLBACKS", [])],
            "engine": str(settings.SESSION_ENGINE),
            "sessionClass": engine,
            "serializer": str(settings.SESSION_SERIALIZER),
            "cookie": {
                "name": settings.SESSION_COOKIE_NAME,
                "age": settings.SESSION_COOKIE_AGE,
                "domain": settings.SESSION_COOKIE_DOMAIN,
                "path": settings.SESSION_COOKIE_PATH,
                "secure": bool(settings.SESSION_COOKIE_SECURE),
                "httponly": bool(settings.SESSION_COOKIE_HTTPONLY),
                "samesite": settings.SESSION_COOKIE_SAMESITE or False,
            },
            "saveEveryRequest": bool(settings.SESSION_SAVE_EVERY_REQUEST),
            "expireAtBrowserClose": bool(settings.SESSION_EXPIRE_AT_BROWSER_CLOSE),
            "filePath": settings.SESSION_FILE_PATH and str(settings.SESSION_FILE_PATH),
            "database": attempt(lambda: database(engine["database"])),
            "cacheAlias": settings.SESSION_CACHE_ALIAS,
            "cache": attempt(lambda: cache(settings.SESSION_CACHE_ALIAS)),
            "loginUrl": login,
            "loginIsThere": leads_somewhere(login) if login.startswith("/") else None,
            "adminLogin": reversed_path("admin:login"),
            "openPaths": [
                path
                for path in (
                    reversed_path("password_reset"),
                    reversed_path("password_reset_done"),
                    reversed_path("password_reset_confirm", ("uid", "token")),
                    reversed_path("password_reset_complete"),
                )
                if path
            ],
            "allowedHosts": [str(host) for host in settings.ALLOWED_HOSTS],
            "useTz": bool(settings.USE_TZ),
            "staticUrl": settings.STATIC_URL and str(settings.STATIC_URL),
            "hasAuth": "django.contrib.auth" in settings.INSTALLED_APPS,
            "knowsHttps": settings.SECURE_PROXY_SSL_HEADER is not None,
        }
    )
except BaseException as error:
    fail("settings", error)
`
