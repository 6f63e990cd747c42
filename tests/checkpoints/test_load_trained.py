"""A trained model is built from the config.yaml beside its weights, and from nothing else."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from checkpoints.load_trained import build, load_trained
from checkpoints.run_model import config_beside, model_beside, other_hyperparameters, taken
from tests.cli.runs import RUN, toy
from tests.cli.toys import OtherNetwork, ToyData, ToyModel, ToySchedule


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory):
    """A finished run with parts that are not the defaults, in the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trained"))
        toy(
            "fit",
            "--data.size=6",
            "--model.network=tests.cli.toys.OtherNetwork",
            "--model.network.depth=2",
            "--model.lr_schedule=tests.cli.toys.ToySchedule",
            "--model.lr_schedule.warmup=0.5",
            "--model.optimizer=torch.optim.AdamW",
            "--model.optimizer.betas=[0.5, 0.6]",
        )
        yield RUN


@pytest.mark.parametrize("name", ["", "checkpoints/last.ckpt", "checkpoints/best.ckpt"])
def test_objects_factories_and_weights_are_those_of_the_run(name, run):
    model = load_trained(run / name, ToyModel)
    weights = torch.load(run / (name or "checkpoints/best.ckpt"), weights_only=True)["state_dict"]
    assert model.state_dict().keys() == weights.keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key])
    assert isinstance(model.network, OtherNetwork)
    assert model.network.layers[0].weight.shape == (6, 6)  # width 3 * depth, size of the data
    assert isinstance(model.lr_schedule, ToySchedule)
    assert model.lr_schedule.warmup == 0.5
    optimizer = model.make_optimizer(list(model.parameters()), 0.25)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.defaults["betas"], optimizer.defaults["lr"]) == ((0.5, 0.6), 0.25)
    assert not model.training


def test_a_checkpoint_holds_plain_hyperparameters_alone(run):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    hyperparameters = content["hyper_parameters"]
    assert list(hyperparameters.pop("shape")) == [6]
    assert hyperparameters == {"num_classes": 3, "lr": 0.1, "kind": "a"}


def test_another_kind_of_model_is_refused(run):
    class Other(ToyModel):
        pass

    with pytest.raises(ValueError, match=r"best.ckpt is of a ToyModel, and a Other is needed"):
        load_trained(run, Other)


def test_weights_without_a_config_and_a_config_without_weights_are_refused(run, tmp_path):
    shutil.copy(run / "checkpoints/last.ckpt", tmp_path / "alone.ckpt")
    with pytest.raises(FileNotFoundError, match=r"alone\.ckpt has no config\.yaml beside it"):
        load_trained(tmp_path / "alone.ckpt")
    shutil.copy(run / "config.yaml", tmp_path)
    assert load_trained(tmp_path / "alone.ckpt").hparams.num_classes == 3
    (tmp_path / "empty").mkdir()
    shutil.copy(run / "config.yaml", tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        load_trained(tmp_path / "empty")


def test_a_config_of_another_size_is_one_line(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["network"]["init_args"]["depth"] = 1
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"the weights in .*best\.ckpt do not fit ToyModel"):
        load_trained(tmp_path / "run")


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("os.mkdir", {"path": "made"}, "LightningModule"),
        ("tests.cli.toys.None", {}, "None"),
        ("tests.cli.toys.ToyModel", {"shape": [3], "num_classes": 2, "lrr": 1}, "lrr"),
        ("tests.cli.toys.ToyModel", {"shape": [3], "num_classes": 2, "lr": -1}, "lr=-1.0 must be at least 0"),
        ("tests.cli.toys.ToyModel", {}, "required"),
    ],
)
def test_a_config_that_cannot_be_built_is_one_line(path, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        build({"class_path": path, "init_args": arguments})
    assert str(caught.value).startswith(f"{path} cannot be built as its config says: ")
    assert "\n" not in str(caught.value)
    assert not Path("made").exists()


def test_an_older_config_is_told_the_new_names():
    older = {
        "class_path": "lightning_modules.ddpm.DDPM",
        "init_args": {"shape": [1, 8, 8], "train_steps": 9, "betas": []},
    }
    with pytest.raises(ValueError, match=r"; `train_steps` is now `num_train_timesteps`; `betas` is now `optimizer"):
        build(older)
    older = {"class_path": "lightning_modules.gan.GAN", "init_args": {"betas": [0, 0.9]}}
    with pytest.raises(ValueError, match=r"; `betas` is now `generator_optimizer.init_args.betas`$"):
        build(older)
    with pytest.raises(ValueError, match=r"cannot be built as its config says: [^;]*$"):  # no class, no names
        build({"class_path": "nowhere.Model", "init_args": {"betas": [0, 0.9]}})


def test_the_command_line_tells_the_new_names_too(run, tmp_path, capsys):
    older = Path(shutil.copytree(run, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"] |= {"betas": [0.5, 0.6], "colour": "red"}
    (older / "config.yaml").write_text(yaml.safe_dump(config))
    toy("validate", "--data.size=6", f"--ckpt_path={older}/checkpoints/last.ckpt")
    said = next(line for line in capsys.readouterr().err.splitlines() if "no longer takes" in line)
    assert said.endswith(
        "has betas, colour, which tests.cli.toys.ToyModel no longer takes: left out; "
        "`betas` is now `optimizer.init_args.betas`"
    )


def test_the_config_of_a_run_lies_in_its_folder(run, tmp_path):
    assert config_beside(run / "checkpoints/last.ckpt") == (run / "config.yaml").absolute()
    assert config_beside("pretrained/x/model.safetensors") is None
    assert model_beside(tmp_path / "none.ckpt") is None
    assert model_beside(run / "checkpoints/best.ckpt")["class_path"] == "tests.cli.toys.ToyModel"


def test_what_a_class_no_longer_takes_is_named():
    ours = {"class_path": "M", "init_args": {"lr": 1, "width": 2}}
    theirs = {"class_path": "M", "init_args": {"lr": 3, "old": 4}}
    assert taken(theirs, ours) == ({"class_path": "M", "init_args": {"lr": 3}}, ["old"])
    with pytest.raises(ValueError, match="of another model, N, than the config, M"):
        taken({"class_path": "N"}, ours)


def test_hyperparameters_that_differ_are_found():
    ours = {"class_path": "M", "init_args": {"lr": 1, "shape": [1, 2], "net": {"class_path": "A"}, "more": 5}}
    checkpoint = {"hyper_parameters": {"lr": 2, "shape": (1, 2), "net": "anything", "old": 3}}
    assert other_hyperparameters(checkpoint, ours) == {"model.lr": (2, 1)}
    assert other_hyperparameters({}, ours) == {}


def test_data_have_no_say_in_it(run, monkeypatch):
    """Nothing is read for the sake of a link."""

    def read(*_):
        raise AssertionError("the data are not needed")

    monkeypatch.setattr(ToyData, "__init__", read)
    assert load_trained(run).network.layers[0].in_features == 6
