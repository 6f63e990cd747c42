"""A PostgreSQL server for a test, in a folder of its own."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


@contextlib.contextmanager
def server(folder):
    """The SQLAlchemy URL of an empty database; the server ends with the block. It refuses to run as root."""
    user = "postgres" if os.getuid() == 0 else None
    socket_folder = Path(tempfile.mkdtemp())  # its path must be short
    folder = Path(tempfile.mkdtemp()) / folder.name  # where another user may write
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if user:
        owner = pwd.getpwnam(user)
        for own in (socket_folder, folder.parent):
            os.chown(own, owner.pw_uid, owner.pw_gid)

    def run(*words):
        subprocess.run(words, check=True, user=user, cwd=socket_folder, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-D", str(folder), "-U", "tuner", "--auth=trust")
        options = f"-h 127.0.0.1 -p {port} -k {socket_folder}"
        run("pg_ctl", "-D", str(folder), "-w", "-l", str(socket_folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(folder), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.rmtree(socket_folder, ignore_errors=True)
