# shellcheck shell=bash
# What scripts say, and the packages that they need. To be sourced by bash.

say() { printf '== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# root_prefix: sets `root` to what goes before a command that must be root's. Fails where there is no way without asking.
root_prefix() {
    root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo -n)
    command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null
}

# install PACKAGE...: with apt-get where that is possible, else says what is missing.
install() {
    local root
    root_prefix || die "please install: $* (or what your system calls them), and run this again"
    say "apt-get install $*"
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

# python_environment NAME REQUIREMENTS: sets `python` to a Python that has these packages from PyPI. It is kept in the
# target folder, and made anew when the requirements change.
python_environment() {
    local name=$1 requirements=$2 folder
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        install python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed"
    folder=${CARGO_TARGET_DIR:-target}/$name-$(sha256sum "$requirements" | cut -c -12)
    python=$folder/bin/python
    [ -f "$folder/complete" ] && return
    say "installing $(basename "$(dirname "$requirements")")/$(basename "$requirements") into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    touch "$folder/complete"
}
