"""Commands on a terminal of a given width, and what stands there when they have ended."""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte

ROOT = Path(__file__).parent.parent
ROWS = 50


def rendered(output: bytes, columns: int) -> list[str]:
    """The lines that a terminal shows of this output, those that have scrolled away included."""
    screen = pyte.HistoryScreen(columns, ROWS, history=10_000, ratio=0.5)
    pyte.ByteStream(screen).feed(output)
    above = ["".join(line[place].data for place in range(columns)) for line in screen.history.top]
    return "\n".join(line.rstrip() for line in [*above, *screen.display]).rstrip().splitlines()


def on_terminal(words: list[str], columns: int, folder: Path) -> list[str]:
    """What `python WORDS` leaves on a terminal of so many columns; raises where it fails."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "FIRSTLIGHT_DATA": "", "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONWARNINGS", None)
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # as Linux ends a terminal whose other side is closed
        while part := os.read(ours, 65536):
            output += part
    os.close(ours)
    shown = rendered(output, columns)
    assert process.wait(timeout=60) == 0, "\n".join(shown)
    return shown
