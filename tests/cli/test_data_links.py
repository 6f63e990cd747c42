"""What follows from the data reaches the model, whoever says it; what contradicts the data is refused."""

from pathlib import Path

import pytest
import yaml

from checkpoints.load_trained import load_trained
from tests.cli.runs import RUN, TOYS, toy

SILENT = ["--model=tests.cli.toys.ToyModel", "--data=tests.cli.toys.SilentData"]
UNCERTAIN = ["--model=tests.cli.toys.ToyModel", "--data=tests.cli.toys.UncertainData"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_shape_and_classes_of_the_data_reach_the_model_and_its_config():
    cli = toy("fit", "--data.size=7", "--data.classes=4")
    assert cli.model.network.layers[0].in_features == 7
    assert cli.model.network.layers[2].out_features == 4
    saved = yaml.safe_load((RUN / "config.yaml").read_text())["model"]["init_args"]
    assert (saved["shape"], saved["num_classes"]) == ([7], 4)
    assert "vocab_size" not in saved
    loaded = load_trained(RUN)
    assert loaded.network.layers[0].in_features == 7
    assert not loaded.training


def test_a_config_that_says_the_same_is_no_mistake():
    toy("fit", "--model.num_classes=3", "--model.shape=[5]")
    toy("fit", "--config", str(RUN / "config.yaml"), toys=[])


@pytest.mark.parametrize("how", ["word", "config", "run"])
def test_a_value_that_contradicts_the_data_is_refused(how):
    Path("mine.yaml").write_text("model:\n  class_path: tests.cli.toys.ToyModel\n  init_args: {num_classes: 5}\n")
    if how == "run":
        toy("fit")
    words, toys = {
        "word": (["fit", "--model.num_classes", "5"], TOYS),
        "config": (["fit", "--config", "mine.yaml"], TOYS[1:]),
        "run": (["test", "--data.classes=6", f"--ckpt_path={RUN}/checkpoints/last.ckpt"], TOYS),
    }[how]
    with pytest.raises(ValueError, match=r"^model\.num_classes=(5|3) does not fit the data, where it is (3|6); leave"):
        toy(*words, toys=toys)


def test_data_that_say_nothing_leave_the_models_arguments_alone():
    cli = toy("fit", "--model.shape=[5]", "--model.num_classes=9", toys=SILENT)
    assert cli.model.network.layers[2].out_features == 9
    cli = toy("fit", "--model.num_classes=9", toys=UNCERTAIN)
    assert cli.model.network.layers[0].in_features == 5
    assert cli.model.network.layers[2].out_features == 9


def test_a_model_may_know_no_classes_of_data_that_have_some():
    cli = toy("fit", "--model.num_classes=0", "--trainer.limit_train_batches=0", "--trainer.limit_val_batches=0")
    assert cli.model.hparams.num_classes == 0


def test_a_model_that_does_not_ask_is_told_nothing():
    toy("fit", toys=["--model=tests.cli.toys.Unasking", TOYS[1]])
    saved = yaml.safe_load(Path("runs/Unasking/version_0/config.yaml").read_text())
    assert not saved["model"].get("init_args")
