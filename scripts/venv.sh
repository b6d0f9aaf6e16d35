#!/bin/sh
# Makes the virtual environment $1, with a Python from 3.11 on that is here; says what is missing otherwise.
# The system's own comes first: distributions build theirs with profile-guided optimisation, and a gateway on one takes
# a tenth less CPU than on most that were compiled by hand. PYTHON=… chooses another.
set -eu
venv=$1

new_enough() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }
complete() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; } # Debian ships venv without the part that brings pip

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

found=none
for python in "${PYTHON:-/usr/bin/python3}" python3 python3.14 python3.13 python3.12 python3.11; do
    if new_enough "$python"; then
        if complete "$python"; then
            found=$python
            break
        fi
        if [ "$found" = none ]; then found=$python; fi
    fi
done
if [ "$found" = none ]; then
    echo "Dragoman needs Python 3.11 or newer, and finds none. On Debian: apt-get install python3 python3-venv" >&2
    exit 1
fi

if ! complete "$found"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
    else
        echo "$found can't make virtual environments yet. On Debian: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
"$found" -m venv --clear "$venv"
