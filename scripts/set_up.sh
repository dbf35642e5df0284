#!/bin/sh
# Makes the virtual environment VENV from requirements.lock (every file checked by its hash), installs Mizzen into it and
# takes Envoy's API out of the Envoy binary. Run by make; safe to run again.
set -eu
venv=$1

say() { printf '%s\n' "$*" >&2; }

# The newest Python that works here: 3.11 or newer, with venv and ensurepip.
python=
no_venv=
for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2]) if sys.version_info >= (3, 11) else None' 2>/dev/null) || continue
    case $version in 3.*) ;; *) continue ;; esac
    if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
    no_venv=${no_venv:-$version}
done
if [ -z "$python" ]; then
    if [ -n "$no_venv" ]; then
        say "Python $no_venv has no venv module: as root, apt-get install python$no_venv-venv"
    else
        say "Mizzen needs Python 3.11 or newer: as root, apt-get install python3 python3-venv"
    fi
    exit 1
fi

say "setting up $venv with $("$python" --version) (half a minute at the first time)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

# uv installs in a third of pip's time. It is in the lock file like everything else, so it is checked by hash, too.
lock=requirements.lock
uv_only=$(mktemp)
trap 'rm -f "$uv_only"' EXIT
awk '/^[a-z]/{wanted = /^uv==/} wanted' "$lock" > "$uv_only"
if "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$uv_only" 2>/dev/null; then
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes -r "$lock"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
else
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
"$venv/bin/python" -m mizzen.proto.build --stubs build/stubs
