"""The Push-T episodes that are kept: written to `--out` whenever one is added or taken back."""

import shutil
import threading
from pathlib import Path

from envs.recording import EpisodeActions, record


class Recorder:
    """The episodes of all visitors, in the columns of the human data (`envs.recording`).

    Args:
        out: a folder or a .parquet file, which does not exist yet; None keeps nothing.
    """

    def __init__(self, out: Path | None = None):
        self.out = out
        self._kept: list[EpisodeActions] = []
        self._drivers: list[dict[str, int]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, episode: EpisodeActions, drivers: dict[str, int]) -> None:
        """Write an episode with those kept before; `drivers` says how many steps were whose.

        Raises ValueError where nothing is kept, OSError where it cannot be written: then it is not kept.
        """
        with self._lock:
            self._write([*self._kept, episode], [*self._drivers, drivers])

    def undo(self) -> EpisodeActions:
        """Take back the episode that was kept last; ValueError where there is none."""
        with self._lock:
            if not self._kept:
                raise ValueError("no episode is kept: there is nothing to take back")
            last = self._kept[-1]
            self._write(self._kept[:-1], self._drivers[:-1])
            return last

    def command(self) -> str:
        """The command that trains the shipped policy on what is kept."""
        overlay = "--config configs/pusht.yaml --config configs/with/own.yaml"
        return f"python train.py fit {overlay} --data.source {self.out or 'FOLDER'} --init_from pretrained/pusht"

    def _write(self, kept: list[EpisodeActions], drivers: list[dict[str, int]]) -> None:
        if self.out is None:
            raise ValueError("nothing is kept; begin with python -m app --out FOLDER")
        if kept:
            record(kept, self.out, {"made_by": "python -m app", "steps_by": drivers})
        elif self.out.is_dir():
            shutil.rmtree(self.out)  # it holds nothing but what was kept: main refuses a path that exists
        else:
            self.out.unlink()
        self._kept, self._drivers = kept, drivers
