"""A call in a process of its own, which can ask this process and dies with it.

A training that runs out of memory, or that the system kills, ends its own process alone.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from types import FrameType
from typing import Any, Self, TypeVar

import limits
from cli.messages import say

CONTEXT: Any = multiprocessing.get_context("spawn")  # CUDA does not live through a fork
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Returned:
    """What the call returned."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """Why the call came to nothing, in one line."""

    reason: str


@dataclass(frozen=True)
class Stopped:
    """A signal told the process to stop, and it did."""

    code: int  # 128 plus the signal's number


Outcome = Returned | Failed | Stopped
Name = TypeVar("Name")


class OwnProcess:
    """Calls `work(*arguments, ask)` in a new process; leaving its context ends it, as SIGTERM does.

    Args:
        work: what is called, by its name in a module. There `ask(message)` returns what `answer(message)` returns here.
        arguments: plain values and functions of modules.
        output: the file to which all goes that the process prints.
        answer: called here, by `outcomes`.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        output: Path,
        answer: Callable[[Any], Any] = lambda message: None,
    ):
        self.connection, theirs = CONTEXT.Pipe()
        self.answer = answer
        self._process = CONTEXT.Process(target=_call, args=(work, arguments, theirs, output))
        self._ended = False
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if not self._ended:
                self._process.terminate()
            self._process.join()
        except BaseException:  # a second signal
            self._process.kill()
            raise
        finally:
            self.connection.close()

    def serve(self) -> Outcome | None:
        """Wait for a message and answer it; the outcome where it was the last one."""
        try:
            message = self.connection.recv()
            self._ended = isinstance(message, Outcome)
            if self._ended:
                return message
            self.connection.send(self.answer(message))
            return None
        except (EOFError, ConnectionError):
            self._ended = True
            self._process.join()
            code = self._process.exitcode
            if -code in SIGNALS:
                return Stopped(128 - code)
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            return Failed(f"its process {how} without a word; -9 is what the system does where memory runs out")


def outcomes(running: Collection[OwnProcess], seconds: float) -> dict[OwnProcess, Outcome]:
    """Answer what these processes ask, for so long at most; the outcomes of those that came to their end."""
    ready = connection.wait([process.connection for process in running], seconds)
    served = {process: process.serve() for process in running if process.connection in ready}
    return {process: outcome for process, outcome in served.items() if outcome is not None}


def call_all(
    waiting: Mapping[Name, Callable[[], OwnProcess]], parallel: int, ended: Callable[[Name, Returned | Failed], None]
) -> None:
    """Begin these calls in their order, at most `parallel` at once; `ended` hears of each.

    Raises SystemExit where a signal told one of them to stop.
    """
    limits.whole(1, 64, parallel=parallel)
    left, running = dict(waiting), dict[OwnProcess, Name]()
    with contextlib.ExitStack() as processes:
        while left or running:
            while left and len(running) < parallel:
                name = next(iter(left))
                running[processes.enter_context(left.pop(name)())] = name
            for process, outcome in outcomes(running, seconds=60).items():
                name = running.pop(process)
                if isinstance(outcome, Stopped):
                    raise SystemExit(outcome.code)
                ended(name, outcome)


@contextlib.contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise SystemExit, with 128 plus the signal's number, in the main thread; a line says so."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except SystemExit:
        say("stopped; the same command goes on")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _call(work: Callable[..., Any], arguments: tuple[Any, ...], theirs: Any, output: Path) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C reaches the parent alone, which then tells this process once
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    sys.stdout = sys.stderr = output.open("a", buffering=1, encoding="utf-8")
    for descriptor in (1, 2):  # libraries write to these
        os.dup2(sys.stdout.fileno(), descriptor)

    def ask(message: Any) -> Any:
        theirs.send(message)
        return theirs.recv()

    outcome: Outcome
    try:
        outcome = Returned(work(*arguments, ask))
    except SystemExit as error:
        outcome = Stopped(error.code if isinstance(error.code, int) else 1)
    except KeyboardInterrupt:
        outcome = Stopped(128 + signal.SIGINT)
    except BaseException as error:
        traceback.print_exc()
        outcome = Failed(_one_line(error))
    theirs.send(outcome)


def _die_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())[:500]
    return said if isinstance(error, ValueError | OSError) and said else f"{type(error).__name__}: {said}"
