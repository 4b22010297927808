#!/usr/bin/env bash
# Makes the virtual environment FOLDER (default .venv) with what requirements.lock pins, and Stretto itself in it.
# Needs Python >= 3.11: $PYTHON if set, else the first that fits. `make` calls this; run it alone at will.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.venv}

say() { printf 'stretto: %s\n' "$*" >&2; }

# A name on PATH is not yet a Python: version managers leave stubs that only print an error.
fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ] && ! fits "$PYTHON"; then
        say "PYTHON=$PYTHON is not a Python >= 3.11."
        return 1
    fi
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python >= 3.11 found. On Debian: apt-get install python3 python3-venv; elsewhere: make PYTHON=/path/to/python3"
    return 1
}

# Debian ships Python without ensurepip; then `python3 -m venv` cannot put pip into the environment.
need_ensurepip() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "$1 cannot make environments. Run: sudo apt-get install $package"
        return 1
    fi
    say "installing $package, which $1 needs to make environments"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
}

python=$(find_python)
need_ensurepip "$python"
# An environment that was copied, or whose Python is gone, is made anew; a working one is brought up to date.
again=()
if [ -e "$folder" ] && ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then again=(--clear); fi
say "preparing $folder with $("$python" --version) (once; a minute or two)"
"$python" -m venv "${again[@]}" "$folder"
pip=("$folder/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install --requirement requirements.lock
# The build backend is pinned in the lock too, so nothing unpinned is fetched to install Stretto itself.
"${pip[@]}" install --no-deps --no-build-isolation --editable .
