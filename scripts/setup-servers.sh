#!/usr/bin/env bash
# Installs what the tests use beside Node: Redis, memcached, PostgreSQL, pgbouncer, nginx, HAProxy, Apache, Varnish, Chromium,
# PHP, strace, Python with Django.
# And what checks the files in deploy/: Prometheus with promtool, docker-compose, kubectl, kubernetes-validate, systemd-analyze.
# Debian's packages where this user may install them (root, or sudo without a password), Django in .venv and .venv-django32.
# Nothing is started. What cannot be installed is named, and the tests that need it say that they are skipped.
# Run again it only looks, and takes a second.
# With --bench (npm run setup:servers -- --bench) also what `npm run bench -- compare` measures beside the gateway.
set -euo pipefail
cd "$(dirname "$0")/.."

# Django, and the clients that its databases and caches use: the present one, and the oldest that sessions are shared with.
# Django 3.2 knows Python up to 3.10 and runs on 3.11 and 3.12 too; later ones lack modules that it needs.
django=(Django==5.2.17 psycopg==3.3.9 psycopg-binary==3.3.9 redis==8.1.0 django-redis==7.0.0 pymemcache==4.0.0)
manifests=(kubernetes-validate==1.37.0) # knows the schemas of Kubernetes up to 1.37
django32=(Django==3.2.25 psycopg2-binary==2.9.13 redis==8.1.0 django-redis==5.4.0 pymemcache==4.0.0)
packages=(redis-server postgresql pgbouncer nginx haproxy apache2 chromium php-cli php-fpm memcached strace python3-venv)
packages+=(varnish prometheus docker-compose kubernetes-client systemd)
unmet=0

case ${1-} in
  '') ;;
  --bench) packages+=(libaprutil1-dbd-pgsql libnginx-mod-http-lua lua-cjson) ;;
  *) printf 'usage: setup-servers.sh [--bench]\n' >&2; exit 2 ;;
esac

say() { printf 'setup:servers: %s\n' "$*"; }
lack() { say "$*" >&2; unmet=$((unmet + 1)); }

# A package, and the test for what it brings. The package's own state does not matter: a program from elsewhere will do.
has() {
  case $1 in
    redis-server) command -v redis-server ;;
    postgresql) command -v postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' ;;
    memcached) command -v memcached || test -x /usr/sbin/memcached ;;
    nginx) command -v nginx || test -x /usr/sbin/nginx ;;
    pgbouncer) command -v pgbouncer || test -x /usr/sbin/pgbouncer ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    php-cli) command -v php ;;
    php-fpm) command -v php-fpm || compgen -G '/usr/sbin/php-fpm*' ;;
    strace) command -v strace ;;
    prometheus) command -v prometheus && command -v promtool ;;
    docker-compose) command -v docker-compose ;;
    kubernetes-client) command -v kubectl ;;
    systemd) command -v systemd-analyze ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    varnish) command -v varnishd || test -x /usr/sbin/varnishd ;;
    haproxy) command -v haproxy || test -x /usr/sbin/haproxy ;;
    apache2) command -v apache2 || command -v httpd || test -x /usr/sbin/apache2 ;;
    libaprutil1-dbd-pgsql) compgen -G '/usr/lib/*/apr-util-1/apr_dbd_pgsql*.so' ;;
    libnginx-mod-http-lua) test -e /usr/lib/nginx/modules/ngx_http_lua_module.so ;;
    lua-cjson) compgen -G '/usr/lib/*/lua/5.1/cjson.so' ;;
  esac >/dev/null 2>&1
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    has "$package" || printf '%s\n' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null 2>&1 && as_root true 2>/dev/null
}

# Debian starts a server as soon as it is installed, unless this file forbids it. Ours is taken away again.
forbid_starting() {
  local policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_packages() {
  local package
  forbid_starting
  say "installing $*"
  as_root apt-get update -qq || say 'apt-get update failed; trying with the lists that are there'
  apt_install "$@" && return
  for package in "$@"; do
    apt_install "$package" || lack "apt-get cannot install $package"
  done
}

# A virtual environment, and the packages in it.
has_python_packages() {
  local python=$1/bin/python
  shift
  "$python" - "$@" 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version
sys.exit(any(version(name) != wanted for name, wanted in (package.split("==") for package in sys.argv[1:])))
PYTHON
}

install_python_packages() {
  local folder=$1
  shift
  [ -x "$folder/bin/python" ] || python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

need_python_packages() {
  has_python_packages "$@" && return
  say "installing ${*:2} into $1"
  install_python_packages "$@" || lack "${*:2} cannot be installed into $1"
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  if may_install; then
    install_packages "${missing[@]}"
  else
    for package in "${missing[@]}"; do lack "$package is missing, and this user may not install it"; done
  fi
fi

need_python_packages .venv "${django[@]}"
need_python_packages .venv-django32 "${django32[@]}"
need_python_packages .venv-manifests "${manifests[@]}"

if [ "$unmet" = 0 ]; then say 'everything is there'; fi
