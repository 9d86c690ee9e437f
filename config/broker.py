"""Where the embedded broker listens, and how each library spells a broker's address."""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# sockaddr_un holds 108 bytes on Linux and 104 on the BSDs, the closing NUL included.
MAX_SOCKET_PATH_BYTES = 100


def embedded_socket(data_dir: Path) -> Path:
    """The unix socket of the embedded broker of this `DATA_DIR`.

    Below `DATA_DIR`, or, where that path would be too long for a socket, in a folder of this
    user's below the system's temporary folder.
    """
    socket = data_dir / "run" / "broker.sock"
    if len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES:
        return socket
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"bulkwatch-{os.getuid()}-{name}" / "broker.sock"


def celery_url(redis_url: str) -> str:
    """`REDIS_URL` as kombu spells it: a unix socket is `redis+socket://path?virtual_host=0`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"
