"""The progress of a run on a terminal of any width."""

import textwrap
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich import get_console
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text
from torch import Tensor

from callbacks.pace import Pace
from limits import number

UNBROKEN = "\N{NO-BREAK SPACE}"  # `textwrap` breaks lines at other blanks alone


class ProgressLines(ProgressBar):
    """A bar of the epoch, the run's metrics beneath it, and a line that stays for each validation.

        epoch 3/40 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 31/112 24.1/s 0:02:51 left
        train loss 0.614, accuracy 0.9622; val loss 0.1023, accuracy 0.9814

    Metrics are those that are logged with `prog_bar`, under their names in the logs: train loss is train/loss. The time
    that is left is the whole run's. Where the output is no terminal, such as a file, the lines of validations are all
    there is.

    Args:
        refresh_rate: how many times a second it is drawn at most.
    """

    def __init__(self, refresh_rate: float = 10.0):
        super().__init__()
        number("(0, 100]", refresh_rate=refresh_rate)
        self.refresh_rate = refresh_rate
        self._enabled = True
        self._bars: _Bars | None = None
        self._pace: Pace | None = None
        self._tasks: dict[str, TaskID] = {}
        self._drawn = 0.0  # when, in seconds
        self._epoch = ""  # in words
        self._told = -1  # the step of the last line

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        """As Lightning does while it looks for a learning rate, and in all processes but the first."""
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        get_console().print(*args, **kwargs)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._pace, self._told = Pace(trainer), trainer.global_step

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._epoch = _epoch(trainer)
        self._begin("train", self._epoch, self.total_train_batches)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if "train" not in self._tasks:  # resumed within an epoch
            self.on_train_epoch_start(trainer, module)
        self._draw("train", batch_idx + 1)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._tell(trainer)

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            name = "sanity check" if trainer.sanity_checking else "validation"
            self._begin("validate", name, self.total_val_batches_current_dataloader)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._draw("validate", batch_idx + 1)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._end("validate")
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._tell(trainer)

    def on_test_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            self._begin("test", "test", self.total_test_batches_current_dataloader)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._draw("test", batch_idx + 1)

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._end("test")

    def on_predict_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            self._begin("predict", "predict", self.total_predict_batches_current_dataloader)

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._draw("predict", batch_idx + 1)

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._end("predict")

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._close()

    def _begin(self, name: str, description: str, total: float) -> None:
        """Show a bar from its beginning."""
        if not self._enabled:
            return
        if self._bars is None:
            self._bars = _Bars()
            self._bars.start()
        task = self._tasks.pop(name, None)
        if task is not None:
            self._bars.remove_task(task)
        self._tasks[name] = self._bars.add_task(description, total=total if total != float("inf") else None)
        self._draw(name, 0, now=True)

    def _end(self, name: str) -> None:
        self.reset_dataloader_idx_tracker()
        task = self._tasks.pop(name, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)

    def _draw(self, name: str, completed: int, now: bool = False) -> None:
        """Draw a bar with so many batches completed, unless it was drawn a moment ago.

        Metrics are read only then: a GPU would have to wait for each.
        """
        task, moment = self._tasks.get(name), time.monotonic()
        if self._bars is None or task is None or not (now or moment - self._drawn >= 1 / self.refresh_rate):
            return
        self._drawn = moment
        self._bars.update(task, completed=completed)
        if self._bars.disable:
            return
        if self.trainer.state.fn == "fit" and self._pace is not None:
            self._bars.left = self._pace.seconds_left()
            self._bars.beneath = folded(told(self._metrics()), self._bars.console.width)
        self._bars.refresh()

    def _tell(self, trainer: L.Trainer) -> None:
        """A line of metrics that stays; none where the last one was of this step."""
        if not self._enabled or self._told == trainer.global_step:
            return
        self._told = trainer.global_step
        if metrics := told(self._metrics()):
            within = "" if trainer.is_last_batch else f", step {trainer.global_step}"
            console = get_console()
            line = folded(metrics, console.width, f"{self._epoch}{within}: ")
            console.print(Text(line), soft_wrap=True)

    def _metrics(self) -> dict[str, float]:
        metrics = self.trainer.progress_bar_metrics
        return {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks, self._pace = None, {}, None

    def __getstate__(self) -> dict[str, Any]:
        """Without what belongs to this process: the trainer may be sent to others before it runs."""
        return self.__dict__ | {"_bars": None, "_pace": None, "_tasks": {}}


def told(metrics: Mapping[str, float]) -> list[str]:
    """Metrics in words that belong together, those of a stage one after the other.

    >>> told({"train/loss": 0.61234, "val/loss": 0.1, "train/accuracy": 0.9622})
    ['train loss 0.6123,', 'accuracy 0.9622;', 'val loss 0.1']
    """
    stages: dict[str, list[str]] = {}
    for name, value in metrics.items():
        stage, _, rest = name.rpartition("/")
        stages.setdefault(stage, []).append(f"{rest} {value:.4g}")
    pieces = [(f"{stage} {own[0]}".lstrip(), *own[1:]) for stage, own in stages.items()]
    words = [piece + ("," if number < len(own) else ";") for own in pieces for number, piece in enumerate(own, 1)]
    return [*words[:-1], words[-1].rstrip(";")] if words else []


def folded(pieces: Iterable[str], width: int, begin: str = "") -> str:
    """Pieces of text after a beginning, in lines of at most `width` characters that break between pieces.

    >>> print(folded(["loss 0.5,", "accuracy 0.9"], 22, "epoch 1: "))
    epoch 1: loss 0.5,
             accuracy 0.9
    """
    pieces = [piece.replace(" ", UNBROKEN) for piece in pieces]
    room = max(width - len(begin), 1)
    if begin and max(map(len, pieces), default=0) > room:  # a narrow terminal
        return f"{begin.rstrip()}\n{folded(pieces, width)}"
    lines = textwrap.wrap(" ".join(pieces), room, break_long_words=False)
    return (begin + f"\n{' ' * len(begin)}".join(lines)).replace(UNBROKEN, " ")


def _epoch(trainer: L.Trainer) -> str:
    epochs = trainer.max_epochs or -1
    return f"epoch {trainer.current_epoch + 1}" + (f"/{epochs}" if epochs > 0 else "")


class _Speed(ProgressColumn):
    """Batches a second, or seconds a batch."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.3g}/s" if speed >= 1 else f"{1 / speed:.3g} s", style="progress.data.speed")


class _Left(ProgressColumn):
    """Until the run's end, which is the same for all bars: it stands in the first."""

    def __init__(self, bars: "_Bars"):
        super().__init__()
        self.bars = bars

    def render(self, task: Task) -> Text:
        if self.bars.left is None or task.id != self.bars.tasks[0].id:
            return Text("")
        return Text(f"{timedelta(seconds=round(self.bars.left))} left", style="progress.remaining")


class _Bars(Progress):
    """Bars as wide as the terminal, and a text beneath them. They are drawn when they are told to."""

    def __init__(self) -> None:
        self.beneath = ""
        self.left: float | None = None  # seconds
        console = get_console()
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Speed(),
            _Left(self),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
            disable=not (console.is_terminal or console.is_jupyter),
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """As `Progress` has it, and the text."""
        yield self.make_tasks_table(self.tasks)
        if self.beneath:
            yield Text(self.beneath)
