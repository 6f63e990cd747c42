"""How a benchmark runs as a command: anything missing is reported in one line, at once."""

import os
import subprocess
import sys
from collections.abc import Callable

import datasets
from huggingface_hub import constants, get_session

PATIENCE = 3.0  # seconds for the Hugging Face Hub to answer


def as_command(main: Callable[[], None]) -> None:
    """Call `main`; data, files or packages that are not there end the process with one line (FIRSTLIGHT_DEBUG: all)."""
    _do_without_network()
    try:
        main()
    except (OSError, ValueError, ImportError, subprocess.CalledProcessError) as error:
        if os.environ.get("FIRSTLIGHT_DEBUG"):
            raise
        sys.exit(" ".join(str(error).split()))


def _do_without_network() -> None:
    """Where the Hub does not answer, use what is on this machine without a minute of retries."""
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of the HTTP library that the installed version uses
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
