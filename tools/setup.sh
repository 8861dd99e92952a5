#!/usr/bin/env bash
# Builds .venv with everything that training, running, testing and measuring need. `make setup` calls it when the pins in
# pyproject.toml or constraints.txt changed; it may be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "make setup: $*" >&2
    exit 2
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Videos are drawn by EGL. Without it everything but the video works, so a failure here is a notice.
install_egl() {
    [ "$(uname -s)" = Linux ] || return 0
    if ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' && compgen -G '/usr/share/glvnd/egl_vendor.d/*.json' >/dev/null; then
        return 0
    fi
    local packages="libegl1 libgl1-mesa-dri libopengl0"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "make setup: installing $packages"
        if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >/dev/null 2>&1; then
            return 0
        fi
    fi
    echo "make setup: no EGL, so there will be no video; install it with: apt-get install $packages" >&2
}

python=$(find_python) || fail "Python 3.11 or newer expected, none found; install one (Debian: apt-get install python3 python3-venv)"
install_egl
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || fail "cannot make .venv with $python; install its venv module (Debian: apt-get install python3-venv)"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
# torch comes first: later packages then accept the build that this line chose instead of pulling their own.
.venv/bin/python -m pip install -q torch==2.13.0
.venv/bin/python -m pip install -q -c constraints.txt -e '.[all,dev]'
rm -f .venv/.setup-*
echo "make setup: warming the kernel caches"
.venv/bin/python -m fleet.warm
.venv/bin/python -m sim.warm
echo "make setup: done"
