"""Lines on consoles of several widths."""

import io
import re

import lightning as L
import pytest
import rich
from rich.console import Console

from callbacks.progress_lines import ProgressLines, _Bars, folded, told
from tests.cli.toys import ToyData, ToyModel
from tests.terminal import rendered

NAMES = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/exact_match")


def console_of(monkeypatch, columns: int, terminal: bool = True) -> io.StringIO:
    """Rich's own console, but of so many columns, and what is written on it."""
    file = io.StringIO()
    monkeypatch.setattr(rich, "_console", Console(file=file, width=columns, height=50, force_terminal=terminal))
    return file


def shown(file: io.StringIO, columns: int) -> list[str]:
    return rendered(file.getvalue().replace("\n", "\r\n").encode(), columns)


class Talker(ToyModel):
    """Logs what a classifier shows in a progress bar."""

    def __init__(self):
        super().__init__((5,), 3)

    def training_step(self, batch, batch_idx):
        loss = self._step(batch)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", 0.5, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        for name in ("loss", "exact_match"):
            self.log(f"val/{name}", 0.25, prog_bar=True)


def fitted(tmp_path, bar, **options) -> L.Trainer:
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_model_summary"], False)
    options = {"max_epochs": 2, **quiet, **options}
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[bar], **options)
    trainer.fit(Talker(), ToyData())
    return trainer


@pytest.mark.parametrize("columns", [80, 120, 30])
def test_metrics_break_between_metrics_alone(columns):
    metrics = dict.fromkeys(NAMES, 0.123456)
    pieces = told(metrics)
    lines = folded(pieces, columns, "epoch 10/40: ").splitlines()
    assert max(map(len, lines)) <= columns
    assert all(any(piece in line for line in lines) for piece in pieces)
    assert " ".join(lines).startswith("epoch 10/40: train loss 0.1235,")


def test_a_name_longer_than_the_terminal_is_shown_whole():
    name = "a_metric_of_a_name_longer_than_this_terminal"
    assert name in folded(told({f"val/{name}": 1.0}), 20).replace("\n", "")


def test_nothing_is_told_of_no_metrics():
    assert told({}) == []
    assert told({"loss": 2.0}) == ["loss 2"]


@pytest.mark.parametrize("columns", [80, 120])
def test_each_validation_leaves_a_line_and_the_bar_leaves_none(columns, monkeypatch, tmp_path):
    file = console_of(monkeypatch, columns)
    trainer = fitted(tmp_path, ProgressLines())
    metrics = "accuracy 0.5; val loss 0.25, exact_match 0.25"
    lines = [line for line in shown(file, columns) if line]
    assert [re.sub(r"train loss [\d.]+", "train loss X", line) for line in lines] == [
        f"epoch {epoch}/2: train loss X, {metrics}" for epoch in (1, 2)
    ]
    assert f"loss {trainer.progress_bar_metrics['train/loss']:.4g}" in lines[1]


@pytest.mark.parametrize("columns", [80, 120])
def test_bars_and_metrics_fit_the_terminal(columns, monkeypatch):
    """No line is cut, and none is folded but between metrics."""
    file = console_of(monkeypatch, columns)
    bars = _Bars()
    training, _ = bars.add_task("epoch 10/40", total=11200), bars.add_task("validation", total=None)
    bars.update(training, completed=31)
    bars.left, bars.beneath = 100_000.0, folded(told(dict.fromkeys(NAMES, 0.123456)), columns)
    rich.get_console().print(bars.get_renderable())
    first, second, *metrics = shown(file, columns)
    assert re.fullmatch(r"epoch 10/40 +[━╸╺]{20,} +31/11200 +1 day, 3:46:40 left", first)
    assert re.fullmatch(r"validation +[━╸╺]{20,} +0/\?", second.rstrip())
    assert len(first) <= columns
    assert len(metrics) == (2 if columns == 80 else 1)
    assert " ".join(metrics).startswith("train loss 0.1235, accuracy 0.1235; val loss 0.1235, accuracy 0.1235, exact_")


def test_a_file_gets_the_lines_alone(monkeypatch, tmp_path):
    file = console_of(monkeypatch, 80, terminal=False)
    fitted(tmp_path, ProgressLines())
    lines = file.getvalue().splitlines()
    assert [line[:11] for line in lines] == ["epoch 1/2: ", "epoch 2/2: "]
    assert "\x1b" not in file.getvalue()


def test_a_run_without_validation_is_told_of_at_its_end(monkeypatch, tmp_path):
    file = console_of(monkeypatch, 80, terminal=False)
    fitted(tmp_path, ProgressLines(), limit_val_batches=0)
    (line,) = file.getvalue().splitlines()
    assert re.fullmatch(r"epoch 2/2: train loss [\d.]+, accuracy 0.5", line)


def test_a_bar_that_is_off_says_nothing(monkeypatch, tmp_path):
    """As Lightning turns it off while it looks for a learning rate."""
    file, bar = console_of(monkeypatch, 80), ProgressLines()
    bar.disable()
    fitted(tmp_path, bar)
    assert not file.getvalue()
    bar.enable()
    fitted(tmp_path, bar)
    assert "epoch 1/2" in file.getvalue()


def test_an_error_leaves_no_bar(monkeypatch, tmp_path):
    file = console_of(monkeypatch, 80)

    class Failing(ProgressLines):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if batch_idx == 2:
                raise KeyError("no reason")

    with pytest.raises(KeyError):
        fitted(tmp_path, Failing())
    assert not [line for line in shown(file, 80) if line]
    assert not rich.get_console()._live_stack


@pytest.mark.parametrize("rate", [0.0, -1.0, 101.0, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="refresh_rate="):
        ProgressLines(refresh_rate=rate)
