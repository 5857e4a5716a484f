#!/usr/bin/env bash
# Installs what the tests use beside Node: Redis, PostgreSQL, nginx, Chromium, PHP, Python with Django.
# Debian's packages where this user may install them (root, or sudo without a password), Django in .venv.
# Nothing is started. What cannot be installed is named, and the tests that need it say that they are skipped.
# Run again it only looks, and takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."

django_version=5.2.17
unmet=0

say() { printf 'setup:servers: %s\n' "$*"; }
lack() { say "$*" >&2; unmet=$((unmet + 1)); }

# A package, and the test for what it brings. The package's own state does not matter: a program from elsewhere will do.
has() {
  case $1 in
    redis-server) command -v redis-server ;;
    postgresql) command -v postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' ;;
    nginx) command -v nginx || test -x /usr/sbin/nginx ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    php-cli) command -v php ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
  esac >/dev/null 2>&1
}

missing_packages() {
  local package
  for package in redis-server postgresql nginx chromium php-cli python3-venv; do
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

install_django() {
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "Django==$django_version"
}

has_django() {
  .venv/bin/python -c "import django, sys; sys.exit(django.__version__ != '$django_version')" 2>/dev/null
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  if may_install; then
    install_packages "${missing[@]}"
  else
    for package in "${missing[@]}"; do lack "$package is missing, and this user may not install it"; done
  fi
fi

if ! has_django; then
  say "installing Django $django_version into .venv"
  install_django || lack "Django $django_version cannot be installed into .venv"
fi

if [ "$unmet" = 0 ]; then say 'everything is there'; fi
