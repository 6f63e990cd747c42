"""A run that is stopped and resumed equals one that never stopped, to the bit: checkpoints and what is logged."""

import contextlib
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import train
from tests.families import FAMILIES
from tests.runs import (
    ROOT,
    checkpoint,
    differences,
    fit,
    parted_run,
    resumed_differs,
    scalars,
    stop_at,
    undisturbed,
)
from tests.stops import with_callback

BATCHES = 4  # an epoch of a short run, of which there are two
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")


@pytest.mark.parametrize(
    "config", [name if name in SIX else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_within_an_epoch(config, tmp_path):
    assert not resumed_differs(config, BATCHES + 2, tmp_path)


@pytest.mark.parametrize("stop", [BATCHES, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "config", ["svhn_gan", *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != "svhn_gan")]
)
def test_at_the_end_of_an_epoch_and_within_the_first(config, stop, tmp_path):
    assert not resumed_differs(config, stop, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", FAMILIES)
def test_as_large_as_the_config_says(config, tmp_path):
    """Networks, batches and callbacks are the config's own."""
    assert not resumed_differs(config, BATCHES + 2, tmp_path, tiny=False)


def test_several_of_the_best(tmp_path):
    """Their names hold the metric, and best.ckpt is one of them."""
    assert not resumed_differs("mnist_mlp", BATCHES + 2, tmp_path, "--checkpoint.save_top_k=2")
    names = {path.name.partition("-val_accuracy=")[0] for path in tmp_path.glob("whole/**/*.ckpt")}
    assert names == {"best.ckpt", "last.ckpt", "epoch=0-step=4", "epoch=1-step=8"}


WITHIN = "--trainer.check_val_every_n_epoch null --trainer.val_check_interval 3 "
SHARED = "--trainer.accumulate_grad_batches 2 "


@pytest.mark.parametrize("end", ["--trainer.max_epochs 2", "--trainer.max_epochs -1 --trainer.max_steps 8"])
@pytest.mark.parametrize("stop", [3, BATCHES, pytest.param(5, marks=pytest.mark.slow)])
def test_where_validation_comes_within_an_epoch(stop, end, tmp_path):
    """In the very batch, at the end of an epoch, and between two; in epochs and in steps."""
    assert not resumed_differs("mnist_mlp", stop, tmp_path, *shlex.split(WITHIN + end))


@pytest.mark.parametrize("words", [SHARED, pytest.param(SHARED + WITHIN, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stop", [1, pytest.param(3, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_where_batches_share_a_step(stop, words, tmp_path):
    """A stop in the first of two waits for the second: no checkpoint holds gradients."""
    assert not resumed_differs("mnist_mlp", stop, tmp_path, *shlex.split(words))


def parted_differs(config: str, by: str, root: Path, *words: str, stop: int = BATCHES + 2, at: int | None = None):
    """What a run that stops within an epoch, but by no signal, and goes on leaves other than one that never stopped.

    But what a validation leaves: there is one more where the run stops, if this epoch has any.
    """
    gan = config == "svhn_gan"  # makes two steps a batch
    stops = {
        "max_steps": [f"--trainer.max_steps={2 * stop if gan else stop}"],
        "max_time": with_callback("TimeIsUp", batch=stop),
        "should_stop": with_callback("ShouldStop", batch=stop),
        "EarlyStopping": with_callback("StopsEarly", batch=stop, monitor="val/real_logit" if gan else "val/loss"),
    }
    whole = undisturbed(config, root / "whole", *words)
    code, before, parted = parted_run(config, root / "parted", words, stops[by])
    ours, theirs = checkpoint(parted), checkpoint(whole)
    for content in (ours, theirs):
        content["callbacks"] = content["callbacks"]["RandomState"]
        for name in [name for name in content["loops"]["fit_loop"] if "val_loop" in name]:
            del content["loops"]["fit_loop"][name]
    logs = [
        {tag: values for tag, values in scalars(run).items() if not tag.startswith(("val/", "epoch"))}
        for run in (parted, whole)
    ]
    steps = (stop if at is None else at) * (2 if gan else 1)
    found = [] if (code, before) == (0, steps) else [f"exit code {code}, after step {before}"]
    return found + differences(ours, theirs, "last") + differences(*logs, "log")


HELD_OUT = {"cifar10_fast": ["--data.val_share=0.1"]}  # what an early stop asks for, where the config has nothing
STOPS = ("max_steps", "max_time", "should_stop", "EarlyStopping")
QUICK = [
    *(("mnist_mlp", by) for by in STOPS),
    ("sorting_encoder_decoder", "max_steps"),
    ("svhn_gan", "should_stop"),
    ("pusht", "max_time"),
]


@pytest.mark.parametrize(
    ("config", "by"),
    [
        pytest.param(config, by, marks=[] if (config, by) in QUICK else pytest.mark.slow)
        for config in ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")
        for by in STOPS
    ],
)
def test_whatever_stops_it_within_an_epoch(config, by, tmp_path):
    words = ["--trainer.val_check_interval=2", *HELD_OUT.get(config, [])] if by == "EarlyStopping" else []
    assert not parted_differs(config, by, tmp_path, *words)


@pytest.mark.parametrize("by", ["should_stop", pytest.param("max_time", marks=pytest.mark.slow)])
def test_whatever_stops_it_where_batches_share_a_step(by, tmp_path):
    assert not parted_differs("mnist_mlp", by, tmp_path, *shlex.split(SHARED), stop=BATCHES + 1, at=3)


def test_early_stopping_waits_for_batches_that_share_a_step(tmp_path):
    words = shlex.split(SHARED + WITHIN)  # a validation after batch 3 of 4
    assert not parted_differs("mnist_mlp", "EarlyStopping", tmp_path, *words, stop=3, at=2)


EXAMPLE = (
    "--data.source fonts --trainer.callbacks [] --trainer.limit_val_batches 1 --trainer.enable_model_summary false "
    "--trainer.enable_progress_bar false --trainer.max_epochs 4 --trainer.check_val_every_n_epoch 1 "
    "--trainer.log_every_n_steps 1"
)
STOPPED_AT = 100
WAYS = {
    "signal": stop_at(STOPPED_AT),
    "max_steps": [f"--trainer.max_steps={STOPPED_AT}"],
    "max_time": with_callback("TimeIsUp", batch=STOPPED_AT),
    "should_stop": with_callback("ShouldStop", batch=STOPPED_AT),
    "EarlyStopping": ["--trainer.val_check_interval=13", *with_callback("StopsEarly", batch=99, monitor="val/loss")],
}


def example(root: Path, *words: str) -> Path:
    """The run of the page, 4 epochs of 74 steps: its folder, in that folder of runs."""
    root.mkdir(exist_ok=True)
    config = ["--config", str(ROOT / "configs/mnist_softmax.yaml")]
    with contextlib.chdir(root), contextlib.suppress(SystemExit):
        train.main(["fit", *config, *shlex.split(EXAMPLE), *words])
    return root / "runs/mnist_softmax/version_0"


@pytest.fixture(scope="module")
def undisturbed_example(tmp_path_factory):
    return example(tmp_path_factory.mktemp("example") / "whole")


@pytest.mark.parametrize("by", WAYS)
def test_the_example_of_the_page(by, undisturbed_example, tmp_path, capsys):
    """296 steps, whatever stopped the run on its way; weights, optimizer and all rates are the undisturbed run's."""
    example(tmp_path, *WAYS[by])
    said = capsys.readouterr().err
    assert ("max_steps=100 stops this run before max_epochs=4" in said) == (by == "max_steps")
    stopped = checkpoint(tmp_path / "runs/mnist_softmax/version_0")
    assert stopped["global_step"] == STOPPED_AT
    parted = example(tmp_path, "--ckpt_path=last", *([WAYS[by][0]] if by == "EarlyStopping" else []))
    assert "along the schedule of" not in capsys.readouterr().err
    ours, theirs = checkpoint(parted), checkpoint(undisturbed_example)
    assert ours["global_step"] == 296
    for name in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert not differences(ours[name], theirs[name], name)
    rates = [scalars(run)["lr-AdamW/pg1"] for run in (parted, undisturbed_example)]
    assert rates[0] == rates[1]
    assert [step for step, _ in rates[0]] == list(range(296))
    assert ours["lr_schedulers"][0]["_last_lr"] == [0.0, 0.0]


def test_without_epochs_the_steps_are_the_plan(tmp_path, capsys):
    """The rate falls to 0 by `max_steps`; a run that goes on for longer says that its schedule is another one."""
    rare = "--trainer.check_val_every_n_epoch=5"
    ended = checkpoint(example(tmp_path, "--trainer.max_epochs=-1", "--trainer.max_steps=100", rare))
    assert ended["lr_schedulers"][0]["_last_lr"] == [0.0, 0.0]
    said = capsys.readouterr().err
    assert "no best.ckpt: val/accuracy was not measured in these 100 steps" in said
    assert "stops this run" not in said
    run = example(tmp_path, "--ckpt_path=last")
    assert "along the schedule of 296 steps; up to step 100 it was that of 100" in capsys.readouterr().err
    rates = dict(scalars(run)["lr-AdamW/pg1"])
    assert rates[100] > rates[295] > 0 == checkpoint(run)["lr_schedulers"][0]["_last_lr"][1]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_averages_are_of_weights_alone(config):
    """An averaged buffer is not quite what it was, and one that no checkpoint holds starts anew in a resumed run."""
    for callback in yaml.safe_load(config.read_text())["trainer"].get("callbacks", []):
        if callback["class_path"].endswith("WeightAveraging"):
            assert callback["init_args"]["use_buffers"] is False


def test_last_is_the_newest_run_of_the_config_and_goes_on_in_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs/svhn_gan"
    fit("svhn_gan", "--ckpt_path", "last")
    assert "runs/svhn_gan holds no last.ckpt" in capsys.readouterr().err
    shutil.copytree(runs / "version_0", runs / "version_10")
    shutil.copytree(runs / "version_0", runs / "version_9")
    fit("svhn_gan", "--ckpt_path", "last", "--trainer.max_epochs", "3")
    assert "going on from runs/svhn_gan/version_10/checkpoints/last.ckpt" in capsys.readouterr().err
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_10", "version_9"]
    assert checkpoint(runs / "version_10")["epoch"] == 2
    assert checkpoint(runs / "version_9")["epoch"] == 1


def test_a_difference_is_seen():
    ours = {"a": [torch.zeros(3), 1], "b": "x"}
    assert not differences(ours, {"a": [torch.zeros(3), 1], "b": "x"})
    for theirs in (
        {"a": [torch.tensor([0.0, 0.0, 1e-45]), 1], "b": "x"},
        {"a": [torch.zeros(3).double(), 1], "b": "x"},
        {"a": [torch.zeros(3), 1], "b": "y"},
        {"a": [torch.zeros(3)], "b": "x"},
        {"a": [torch.zeros(3), 1]},
    ):
        assert differences(ours, theirs)
