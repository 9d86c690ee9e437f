# Sourced by bin/up and bin/test from the project's folder: makes and refreshes `.venv`.

die() {
    printf '%s\n' "$1" >&2
    exit 1
}

# Print the name of a Python 3.11 or later.
find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    python=$(find_python) || die "Python 3.11 or later is needed and was not found: install it, or name it in PYTHON."
    rm -rf .venv
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv .venv
    # Debian parts ensurepip from Python; a pip outside can fill an environment too.
    elif "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip .venv; then
        "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip
    else
        die "Python's venv module is not complete: install it (on Debian: apt install python3-venv)."
    fi || die "The environment .venv could not be made; the lines above say why."
}

# Install a lock file into `.venv`, if it is not the one installed there last.
install_locked() {
    lock=$1
    stamp=.venv/installed-$lock
    # An environment whose Python is gone, or was moved, is made anew.
    .venv/bin/python -c '' 2>/dev/null || make_environment
    checksum=$(cksum <"$lock")
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$checksum" ] && return
    rm -f "$stamp"
    printf 'Installing %s into .venv …\n' "$lock" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --requirement "$lock" >&2 ||
        die "Installing $lock failed; the lines above say why."
    printf '%s\n' "$checksum" >"$stamp"
}
