"""Training runs in processes of their own, which begin with everything imported."""

import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from rich.console import Console

PROCESSES = multiprocessing.get_context("forkserver")  # each is new, from one that has imported what all need
PROCESSES.set_forkserver_preload(
    ["train", "benchmarks.reliability.plain_lightning", "lightning_modules.mlp_classifier", "datamodules.mnist"]
)


def start(
    main: Callable, words: list[str], folder: Path, *before: object, temporary: Path | None = None
) -> BaseProcess:
    """A process that calls `main(words)` in a folder; what it says goes to output.txt there.

    `before` are a function and its arguments, called first; `temporary` is where temporary files go, the folder itself
    by default.
    """
    process = PROCESSES.Process(target=_run, args=(main, words, folder, temporary or folder, before))
    process.start()
    return process


def _run(main: Callable, words: list[str], folder: Path, temporary: Path, before: tuple) -> None:
    os.chdir(folder)
    tempfile.tempdir = str(temporary)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    warnings.filterwarnings("ignore")
    if before:
        prepare, *arguments = before
        prepare(*arguments)
    main(words)


def last_line(folder: Path) -> str:
    """The last line that a run in that folder printed."""
    return (folder / "output.txt").read_text().strip().splitlines()[-1]


def opened(path: Path) -> dict | None:
    """What a checkpoint holds, or None where it does not open."""
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a torn file raises
        Console().print(f"{path} does not open: {error}"[:200])
        return None
