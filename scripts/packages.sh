#!/bin/sh
# Sees to it that the Debian packages that it is given are there: installs those that are missing where it may (root,
# apt-get), else says which, and fails. A package counts as there when its program (or file) is, wherever that comes from.
#
#     sh scripts/packages.sh postgresql redis-server
set -eu

there() {
    case $1 in
        postgresql) ls /usr/lib/postgresql/*/bin/initdb || command -v initdb ;;
        python3-venv) python3 -c 'import ensurepip, venv' ;;
        pocketsphinx-testdata) ls /usr/share/pocketsphinx/test/data/goforward.raw ;;
        *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing=
for package in "$@"; do
    there "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086  # the names are words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "missing:$missing. On Debian: sudo apt-get install$missing" >&2
    exit 1
fi
