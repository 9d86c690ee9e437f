"""Secrets of an installation that names none in its environment: made once, kept in `DATA_DIR`.

Nothing here is a default: each installation draws its own, readable by its user alone.
"""

import contextlib
import os
import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet
from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY_FILE = "secret_key"  # noqa: S105 - a file's name
ENCRYPTION_KEYS_FILE = "encryption_keys"


def data_dir(env: Env) -> Path:
    """The absolute folder that holds what this installation keeps (`DATA_DIR`, default `var/`)."""
    return Path(BASE_DIR, env.str("DATA_DIR", "var")).resolve()


def ensure_local_secrets() -> None:
    """Make the secret key and the encryption key where neither environment nor `DATA_DIR` has them.

    Ends the process with one line on standard error where `DATA_DIR` cannot be written.
    """
    env = Env()
    env.read_env(str(BASE_DIR / ".env"), recurse=False)
    folder = data_dir(env)
    wanted = {
        "SECRET_KEY": (SECRET_KEY_FILE, lambda: secrets.token_urlsafe(50)),
        "ENCRYPTION_KEYS": (ENCRYPTION_KEYS_FILE, lambda: Fernet.generate_key().decode()),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (file_name, make) in wanted.items():
            if not env.str(name, ""):
                _write_once(folder / file_name, make())
    except OSError as error:
        sys.exit(cannot_be_written(folder, error))


def cannot_be_written(folder: Path, error: OSError) -> str:
    """What to tell who runs the product where `DATA_DIR` cannot be written."""
    return (
        f"DATA_DIR {folder} cannot be written ({error.strerror}): make it writable for this user, "
        "or set DATA_DIR to a folder that is."
    )


def read_local_secret(folder: Path, file_name: str) -> str:
    """The kept secret, or an empty text where there is none."""
    try:
        return (folder / file_name).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _write_once(path: Path, value: str) -> None:
    if path.exists():
        return
    # Written beside and linked into place: of two commands starting at once, one secret wins,
    # and nobody ever reads half of it.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(value + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
