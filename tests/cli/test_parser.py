"""One line for every mistake, whatever jsonargparse says of it."""

from pathlib import Path
from typing import Union, get_args

import pytest
from jsonargparse import ArgumentParser

from cli import parser as parser_module
from cli.parser import CommandError, Parser, whole_numbers_first
from tests.cli.runs import toy


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("--model.lr fast", "model: lr=fast is not allowed; give float"),
        ("--model.kind c", "model: kind=c is not allowed; give 'a', 'b'"),
        ("--model.kinds a", "model: Option 'kinds' is not accepted; did you mean 'kind'?"),
        ("--model.lr -1", "lr=-1.0 must be at least 0"),
        ("--model.lr_schedule.warmup x", "model: lr_schedule: warmup=x is not allowed; give float"),
        ("--model.lr_schedule tests.cli.toys.ToySchedule --model.lr_schedule.warmup 2", "warmup=2.0 must be in [0, 1]"),
        (
            "--model.lr_schedule tests.cli.toys.ToySchedule --model.lr_schedule.warmpu 1",
            "model: lr_schedule: Option 'warmpu' is not accepted; did you mean 'warmup'?",
        ),
        ("--model.network.widht 8", "model: network: Option 'widht' is not accepted; did you mean 'width'?"),
        (
            "--model.optimizer.momentun 0.9",
            "model: optimizer: Option 'momentun' is not accepted; did you mean 'momentum'?",
        ),
        ("--data.batch_sizes 3", "data: Option 'batch_sizes' is not accepted; did you mean 'batch_size'?"),
        ("--trainer.max_epoch 3", "unrecognized arguments: --trainer.max_epoch 3; did you mean 'trainer.max_epochs'?"),
        ("--trainer.max_epochs many", "trainer.max_epochs=many is not allowed; give int or null"),
        ("--seed_everything soon", "seed_everything=soon is not allowed; give bool or int"),
        ("stray", "unrecognized arguments: stray"),
    ],
)
def test_a_mistake_and_its_line(words, answer):
    with pytest.raises(CommandError) as caught:
        toy("fit", *words.split())
    assert str(caught.value) == answer


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--trainer.precision bf17", ["trainer.precision=bf17 is not allowed", "bf16-mixed"]),
        ("--model.optimizer lion", ["model: optimizer: ", "lion"]),
        ("--model.optimizer torch.optim.Lion", ["model: optimizer: ", "'torch.optim' has no attribute 'Lion'"]),
        ("--model.network torch.optim.SGD", ["model: network: ", "torch.optim.SGD", "Module"]),
        ("--model.lr_schedule tests.cli.toys.None", ["model: lr_schedule: ", "no attribute 'None'"]),
        ("--trainer.callbacks callbacks.none.None", ["trainer.callbacks: ", "'callbacks.none.None'", "none"]),
        ("--trainer.callbacks+=lightning.pytorch.callbacks.Timer --trainer.callbacks.intervall=x", ["mean 'interval'"]),
        ("--model pathlib.Path", ["model=pathlib.Path: ", "does not correspond to a subclass of LightningModule"]),
        ("--config torn.yaml", ["torn.yaml is no YAML"]),
        ("--config none.yaml", ["there is no config none.yaml"]),
        ("--config list.yaml", ["list.yaml must name values"]),
        ("--config key.yaml", ["batch_sise", "did you mean 'batch_size'"]),
        ("--config group.yaml", ["max_epoch", "did you mean 'trainer.max_epochs'"]),
    ],
)
def test_a_mistake_names_what_is_wrong(words, parts):
    Path("torn.yaml").write_text("model: {class_path: [")
    Path("list.yaml").write_text("- 1\n- 2\n")
    Path("key.yaml").write_text("data: {class_path: tests.cli.toys.ToyData, init_args: {batch_sise: 3}}")
    Path("group.yaml").write_text("trainer: {max_epoch: 3}")
    with pytest.raises((ValueError, OSError)) as caught:
        toy("fit", *words.split())
    line = str(caught.value)
    assert "\n" not in line.strip()
    assert len(line) < 500
    for part in parts:
        assert part in line, line


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--model.weight_decay 1", "`weight_decay` is now `optimizer.init_args.weight_decay`"),
        ("--model.warmup 1", "`warmup` is now `lr_schedule.init_args.warmup`"),
        ("--model.size 1", "`size` is now `kind.width`"),
        ("--config old.yaml", "`callbacks.sample_files.SampleFiles` is now `callbacks.image_prediction_writer.ImageP"),
        ("--config older.yaml", "`finite_loss` is now `non_finite_guard`"),
    ],
)
def test_an_old_name_is_told_its_new_one(words, hint, monkeypatch):
    monkeypatch.setitem(parser_module.RENAMED, "size", ("width", "kind.width"))
    Path("old.yaml").write_text("trainer: {callbacks: [{class_path: callbacks.sample_files.SampleFiles}]}")
    Path("older.yaml").write_text("finite_loss: {patience: 3}")
    with pytest.raises(CommandError) as caught:
        toy("fit", *words.split())
    assert hint in str(caught.value)


def test_new_names_are_there():
    """What RENAMED promises can be imported, or is a key of some model or of the command line."""
    for old, new in parser_module.RENAMED.items():
        if "." in old:
            module, _, name = new.rpartition(".")
            assert hasattr(__import__(module, fromlist=[name]), name), new


def test_keys_cannot_be_abbreviated():
    parser = Parser(exit_on_error=False)
    parser.add_argument("--long_name", type=int)
    with pytest.raises(CommandError, match="did you mean 'long_name'"):
        parser.parse_args(["--long_nam=3"])


def test_one_batch_is_not_all_batches():
    """Whichever type any library named first: Python holds the two unions to be equal, jsonargparse tries in order."""

    def trains(batches: Union[float, int, None] = None, name: Union[str, float] = "") -> None:  # noqa: UP007
        """Takes both."""

    whole_numbers_first(trains)
    assert get_args(trains.__annotations__["batches"]) == (int, float, type(None))
    assert get_args(trains.__annotations__["name"]) == (str, float)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(trains)
    for given, expected in {"1": 1, "1.0": 1.0, "null": None}.items():
        found = parser.parse_args([f"--batches={given}"]).batches
        assert (found, type(found)) == (expected, type(expected))
