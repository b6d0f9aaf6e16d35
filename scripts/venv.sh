#!/bin/sh
# Makes the virtual environment $1, with the newest Python from 3.11 on that is here; says what is missing otherwise.
set -eu
venv=$1

new_enough() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 none; do
    if new_enough "$python"; then break; fi
done
if [ "$python" = none ]; then
    echo "Dragoman needs Python 3.11 or newer, and finds none. On Debian: apt-get install python3 python3-venv" >&2
    exit 1
fi

# Debian ships venv without the part that puts pip into it.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
    else
        echo "$python can't make virtual environments yet. On Debian: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
"$python" -m venv --clear "$venv"
