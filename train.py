"""Train, validate, test or use any Firstlight model: `python train.py fit --config configs/NAME.yaml`."""

import os
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pkgutil import resolve_name

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback

from cli.firstlight_cli import FirstlightCLI
from cli.freed_memory import keep_freed_memory
from cli.quiet import keep_quiet
from cli.usage import FINISHED, RUNNING, check_first_word, usage, version

DEBUG = "FIRSTLIGHT_DEBUG"  # set it to see tracebacks
FOREIGN = re.compile(r"loading state_dict")
LOST = re.compile(r"gloo/transport|Connection (closed|reset) by peer|NCCL.*(remote|abort|timeout)", re.I | re.S)


def main(args: list[str] | None = None, callbacks: Sequence[Callback] = ()) -> FirstlightCLI | None:
    """Do what the words of a command line say; by default this process's own.

    Args:
        args: the words after `train.py`.
        callbacks: of the trainer, beside those of the config, which does not hear of them.

    Raises ValueError, OSError or MisconfigurationException for a mistake, with one line that says what to do; ends the
    process only where a signal told it to stop.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] == "--version":
        print(version() if args else usage())
        return None
    check_first_word(args[0])
    keep_quiet()
    if args[0] in RUNNING:
        resolve_name(RUNNING[args[0]])(args[1:], main)
        return None
    if args[0] in FINISHED:
        resolve_name(FINISHED[args[0]])(args[1:])
        return None
    keep_freed_memory()
    try:
        with ExitStack() as held:
            return FirstlightCLI(args, held, callbacks)
    except RuntimeError as error:
        if FOREIGN.search(str(error)):
            raise ValueError(
                f"the checkpoint is of another model: {' '.join(str(error).split())[:300]}; use the config.yaml of the "
                "run that it comes from, without options that change a weight's shape"
            ) from error
        if LOST.search(str(error)):
            raise ConnectionError(
                "another process of this run ended or was killed: what it said, if anything, stands above; "
                "go on from the last checkpoint with --ckpt_path"
            ) from error
        raise


def _say_of_a_thread(failed: threading.ExceptHookArgs) -> None:
    """What ends a thread, such as that of TensorBoard's log, in one line; who waits for it raises it, too."""
    print(f"train.py: {' '.join(str(failed.exc_value).split())}", file=sys.stderr)


def command_line(args: list[str] | None = None) -> None:
    """`main`, where a mistake ends the process with one line and code 2."""
    if not os.environ.get(DEBUG):
        threading.excepthook = _say_of_a_thread
    try:
        main(args)
    except (ValueError, OSError, MisconfigurationException) as error:
        if os.environ.get(DEBUG):
            raise
        print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    command_line()
