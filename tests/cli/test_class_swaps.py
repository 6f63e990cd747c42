"""A class in place of another one starts from its own defaults: these are read from its signature."""

import inspect
import json
from pathlib import Path
from pydoc import locate

import lightning as L
import pytest
import torch
import yaml
from jsonargparse import Namespace

import train
from checkpoints import own_defaults
from checkpoints.load_trained import build
from cli.data_links import add_links
from cli.parser import Parser
from networks.transformer import AnswerDecoder
from optim.muon import MuonWithAdamW
from tests.cli.toys import Loose, OtherNetwork, OtherSchedule, ToyModel, ToyNetwork, WideNetwork

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
# gpu_ddpm is of photographs, and gives another list of callbacks, as test_a_list_of_callbacks does.
OVERLAYS = sorted(path for path in (CONFIGS / "with").glob("*.yaml") if path.stem != "gpu_ddpm")
TOYS = ["--model=tests.cli.toys.ToyModel", "--data=tests.cli.toys.ToyData"]


@pytest.fixture
def parsed(tmp_path):
    """The model that words of a command line come to: words, names of configs, and parts `model` of configs."""

    def call(*words):
        parser = Parser(exit_on_error=False)
        parser.add_argument("--config", action="config")
        parser.add_lightning_class_args(L.LightningModule, "model", subclass_mode=True)
        parser.add_lightning_class_args(L.LightningDataModule, "data", subclass_mode=True)
        add_links(parser, Namespace, set())
        given = TOYS[1:]
        for number, word in enumerate(words):
            if isinstance(word, str) and word.endswith(".yaml"):
                word = yaml.safe_load((CONFIGS / word).read_text())["model"]
            if isinstance(word, dict):
                path = tmp_path / f"{number}.yaml"
                path.write_text(yaml.safe_dump({"model": word}))
                word = f"--config={path}"
            given = [*given, word]
        return yaml.safe_load(parser.dump(parser.parse_args(given), skip_unset=False))["model"]

    return call


def own(kind, *, but=(), **given):
    """The part of a config that names a class with its own defaults, `but` for what its maker gives it."""
    skipped = {"self", *but}
    parameters = inspect.signature(kind.__init__).parameters.values()
    gathered = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)  # of a class without an __init__
    plain = {one.name: one.default for one in parameters if one.name not in skipped and one.kind not in gathered}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()} | given
    return {"class_path": _path(kind)} | ({"init_args": values} if values else {})


def _path(kind):
    return (
        f"torch.optim.{kind.__name__}" if kind.__module__.startswith("torch") else f"{kind.__module__}.{kind.__name__}"
    )


def optimizer(kind, **given):
    return own(kind, but=("params", "lr"), **given)


def network(kind, **given):
    return own(kind, but=("shape", "num_classes"), **given)


def test_sgd_over_the_default_adamw(parsed):
    mlp = "lightning_modules.mlp_classifier.MLPClassifier"
    words = [f"--model={mlp}"]
    assert parsed(*words)["init_args"]["optimizer"] == optimizer(torch.optim.AdamW)
    words += ["--model.optimizer", "torch.optim.SGD"]
    assert parsed(*words)["init_args"]["optimizer"] == optimizer(torch.optim.SGD)
    words += ["--model.optimizer.momentum=0.9"]
    assert parsed(*words)["init_args"]["optimizer"] == optimizer(torch.optim.SGD, momentum=0.9)
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"momentum": 0.9}}
    part = {"class_path": mlp, "init_args": {"optimizer": sgd}}
    assert parsed(part)["init_args"]["optimizer"] == optimizer(torch.optim.SGD, momentum=0.9)


def test_muon_over_a_config_with_adamw(parsed):
    given = parsed("mnist_mlp.yaml")["init_args"]
    assert given["optimizer"] == optimizer(torch.optim.AdamW, weight_decay=0.05)
    other = parsed("mnist_mlp.yaml", "--model.optimizer", "optim.muon.MuonWithAdamW")["init_args"]
    assert other["optimizer"] == optimizer(MuonWithAdamW)
    assert other | {"optimizer": None} == given | {"optimizer": None}
    as_part = {"init_args": {"optimizer": {"class_path": "optim.muon.MuonWithAdamW", "init_args": {"momentum": 0.8}}}}
    assert parsed("mnist_mlp.yaml", as_part)["init_args"]["optimizer"] == optimizer(MuonWithAdamW, momentum=0.8)


@pytest.mark.parametrize("path", ["torch.optim.AdamW", "torch.optim.adamw.AdamW", "AdamW"])
def test_the_same_class_keeps_what_was_given(path, parsed):
    words = ["mnist_mlp.yaml", f"--model.optimizer={path}", "--model.optimizer.eps=1e-6"]
    kept = optimizer(torch.optim.AdamW, weight_decay=0.05, eps=1e-6)
    assert parsed(*words)["init_args"]["optimizer"] == kept
    part = {"init_args": {"optimizer": {"class_path": path, "init_args": {"eps": 1e-6}}}}
    assert parsed("mnist_mlp.yaml", part)["init_args"]["optimizer"] == kept
    unnamed = {"init_args": {"optimizer": {"init_args": {"eps": 1e-6}}}}
    assert parsed("mnist_mlp.yaml", unnamed)["init_args"]["optimizer"] == kept


def test_and_back_again(parsed):
    words = ["mnist_mlp.yaml", "--model.optimizer=torch.optim.SGD", "--model.optimizer=torch.optim.AdamW"]
    assert parsed(*words)["init_args"]["optimizer"] == optimizer(torch.optim.AdamW)


def test_another_network_in_a_second_config(parsed):
    toys = "tests.cli.toys."
    first = {"class_path": f"{toys}ToyModel", "init_args": {"network": {"class_path": f"{toys}ToyNetwork"}}}
    first["init_args"]["network"]["init_args"] = {"width": 128}
    others = [
        ({"class_path": f"{toys}WideNetwork"}, network(WideNetwork)),
        (f"{toys}WideNetwork", network(WideNetwork)),
        ({"class_path": f"{toys}WideNetwork", "init_args": {"gain": 2.0}}, network(WideNetwork, gain=2.0)),
        ({"class_path": f"{toys}OtherNetwork"}, network(OtherNetwork)),
        ({"class_path": f"{toys}ToyNetwork"}, network(ToyNetwork, width=128)),
        ({"init_args": {"width": 7}}, network(ToyNetwork, width=7)),
    ]
    for second, wanted in others:
        found = parsed(first, {"init_args": {"network": second}})
        assert found["init_args"]["network"] == wanted
    third = {"init_args": {"network": {"init_args": {"gain": 3.0}}}}
    found = parsed(first, {"init_args": {"network": f"{toys}WideNetwork"}}, third)
    assert found["init_args"]["network"] == network(WideNetwork, gain=3.0)


def test_another_model(parsed):
    first = {"class_path": "tests.cli.toys.ToyModel", "init_args": {"lr": 0.5, "network": {"init_args": {"width": 9}}}}
    lr = inspect.signature(ToyModel.__init__).parameters["lr"].default
    for second in ("--model=tests.cli.toys.OtherModel", {"class_path": "tests.cli.toys.OtherModel"}):
        found = parsed(first, second)["init_args"]
        assert found["lr"] == lr
        assert found["network"] == network(ToyNetwork)
    assert parsed(first, "--model=tests.cli.toys.ToyModel")["init_args"]["lr"] == 0.5


def test_parts_of_parts(parsed):
    def deep(**values):
        return {"init_args": {"network": {"init_args": {"part": values}}}}

    toys = "tests.cli.toys."
    first = {"class_path": f"{toys}ToyModel", "init_args": {"network": {"class_path": f"{toys}Deep"}}}
    wide = deep(class_path=f"{toys}ToySchedule", init_args={"warmup": 0.3})
    for given, warmup in [((), 0.3), ((deep(class_path=f"{toys}OtherSchedule"),), 0.7), ((deep(init_args={}),), 0.3)]:
        part = parsed(first, wide, *given)["init_args"]["network"]["init_args"]["part"]
        assert part["init_args"]["warmup"] == warmup
    again = {"init_args": {"network": {"class_path": f"{toys}OtherDeep"}}}  # the part goes with what it is a part of
    assert parsed(first, wide, again)["init_args"]["network"]["init_args"] == {"part": None}
    words = ["--model.network.part", f"{toys}OtherSchedule"]
    part = parsed(first, wide, *words)["init_args"]["network"]["init_args"]["part"]
    assert part == own(OtherSchedule)


def test_positions_of_a_transformer(parsed):
    rotary = {"network": {"init_args": {"positions": {"class_path": "networks.positions.RotaryPositions"}}}}
    before = parsed("pig_latin_decoder.yaml")["init_args"]
    after = parsed("pig_latin_decoder.yaml", {"init_args": rotary})["init_args"]
    positions = after["network"]["init_args"].pop("positions")
    assert positions["class_path"] == "networks.positions.RotaryPositions"
    before["network"]["init_args"].pop("positions")
    assert before == after
    found = parsed("sorting_encoder_decoder.yaml", "--model.network=networks.transformer.AnswerDecoder")
    assert found["init_args"]["network"]["init_args"]["depth"] == (
        inspect.signature(AnswerDecoder.__init__).parameters["depth"].default
    )


def test_whatever_else_a_class_takes_is_dropped_with_it(parsed):
    first = {"class_path": "tests.cli.toys.ToyModel"}
    first["init_args"] = {"network": {"class_path": _path(Loose), "dict_kwargs": {"width": 8}}}
    assert parsed(first)["init_args"]["network"]["dict_kwargs"] == {"width": 8}
    found = parsed(first, "--model.network=tests.cli.toys.ToyNetwork")
    assert found["init_args"]["network"] == network(ToyNetwork)


@pytest.fixture
def printed(capsys):
    """The config that words of train.py come to."""

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            train.main(["fit", *words, "--print_config"])
        assert not ended.value.code
        return yaml.safe_load(capsys.readouterr().out)

    return call


def test_a_list_of_callbacks(printed):
    early = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    words = [*TOYS, f"--trainer.callbacks=[{json.dumps(early)}]"]
    assert printed(*words)["trainer"]["callbacks"][0]["init_args"]["monitor"] == "val/loss"
    other = printed(*words, '--trainer.callbacks=["lightning.pytorch.callbacks.ModelCheckpoint"]')
    assert [one["init_args"]["monitor"] for one in other["trainer"]["callbacks"]] == [None]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.stem)
def test_an_overlay_changes_what_it_names_alone(overlay, printed):
    made_for = {"long_lists": "sorting_decoder", "few_steps": "mnist_ddpm"}
    config = f"--config={CONFIGS / made_for.get(overlay.stem, 'pusht')}.yaml"
    given = yaml.safe_load(overlay.read_text())
    assert printed(config, f"--config={overlay}") == _laid_over(printed(config), given)


def _laid_over(base, overlay):
    if isinstance(overlay, list):
        return [_laid_over(None, one) for one in overlay]
    if isinstance(overlay, dict) and base is None:
        return own(locate(overlay["class_path"]), **overlay.get("init_args", {}))
    if not isinstance(overlay, dict):
        return overlay
    added = {name[:-1]: base[name[:-1]] + _laid_over([], value) for name, value in overlay.items() if name[-1] == "+"}
    changed = {name: _laid_over(base[name], value) for name, value in overlay.items() if name[-1] != "+"}
    return base | changed | added


def test_models_that_are_built_of_a_config_alone():
    part = {"class_path": "tests.cli.toys.ToyModel", "init_args": {"shape": [5], "num_classes": 3}}
    part["init_args"]["network"] = {"class_path": _path(WideNetwork)}
    width = inspect.signature(WideNetwork.__init__).parameters["width"].default
    assert build(part).network.layers[0].out_features == width


def test_another_version_without_that_function(monkeypatch):
    monkeypatch.setattr(own_defaults, "CARRY_OVER", "no such function")
    own_defaults.start_from_own_defaults.__wrapped__()
    monkeypatch.setattr(own_defaults, "typehints", None)
    own_defaults.start_from_own_defaults.__wrapped__()
