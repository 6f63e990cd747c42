"""The page's server as a process of its own: for what measures it, and for what takes its pictures."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory


class PageServer:
    """`python -m app` with one thread on a free port, and with the shipped models alone. A context manager.

    Args:
        core: the core that it may use, where the system lets choose; None for all.
        options: further ones of the command.
    """

    def __init__(self, *options: str, core: int | None = None):
        self.options, self.core = options, core

    def __enter__(self) -> "PageServer":
        self.no_runs = TemporaryDirectory()
        command = [sys.executable, "-m", "app", "--port", "0", "--no-browser", "--runs", self.no_runs.name]
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        if before and self.core is not None:
            os.sched_setaffinity(0, {self.core})  # which a process hands on to those it starts
        try:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        finally:
            if before:
                os.sched_setaffinity(0, before)
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if not found:
            raise ValueError(f"the server did not start; it said {line!r}")
        self.host = found.group()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.no_runs.cleanup()

    def resident(self) -> float:
        """MB of memory that it holds; from /proc, which Linux alone has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1000

    def open_files(self) -> int:
        """Files and sockets that it holds open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
