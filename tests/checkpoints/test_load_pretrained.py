"""Models of others: by name, folder and Hub id, and what their configs may not do."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from jsonargparse import _common
from safetensors.torch import save_file
from torch import nn

from checkpoints.hub import is_hub_id, upload
from checkpoints.load_pretrained import load_pretrained
from checkpoints.load_trained import build, load_trained
from lightning_modules.diffusion_policy import DiffusionPolicy
from lightning_modules.mlp_classifier import MLPClassifier
from tests.checkpoints.hub_server import hub_server

MODEL = {
    "class_path": "lightning_modules.mlp_classifier.MLPClassifier",
    "init_args": {"hidden": [3], "shape": [1, 2, 2], "num_classes": 2},
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hub(tmp_path):
    with hub_server(str(tmp_path / "kept")) as server:
        yield server


def folder_of(path: Path, **arguments) -> Path:
    """A published model whose config has these arguments beside the usual ones; its weights are random."""
    path.mkdir()
    weights = build(MODEL).state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, path / "model.safetensors")
    model = MODEL | {"init_args": MODEL["init_args"] | arguments}
    (path / "config.yaml").write_text(yaml.safe_dump({"model": model}))
    return path


def same_weights(ours: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_by_the_name_of_what_ships():
    assert isinstance(load_pretrained("pusht", DiffusionPolicy), DiffusionPolicy)
    assert same_weights(load_pretrained("mnist_mlp"), load_pretrained("pretrained/mnist_mlp"))
    with pytest.raises(ValueError, match="is of a MLPClassifier, and a DiffusionPolicy is needed"):
        load_pretrained("mnist_mlp", DiffusionPolicy)


@pytest.mark.parametrize(
    ("class_path", "written"),
    [
        ("own_net.Net", "part"),  # not imported, and never is
        ("own_net.Net", "text"),  # a text that is read as YAML
        ("own_net.Net", "name"),
        ("own_net.Net", "file"),  # a text that names a file of YAML
        ("os.system", "part"),
        ("builtins.eval", "part"),
        ("torch.hub.load", "part"),
        ("networks.attention.torch.load", "part"),  # through a module of ours
        ("torch.nn.functional.torch.load", "part"),
        ("tests.cli.toys.ToyNetwork", "part"),
        ("ToyNetwork", "part"),  # known by its short name, as it is imported
    ],
)
def test_a_config_names_no_foreign_class(class_path, written, tmp_path, monkeypatch):
    import tests.cli.toys  # noqa: F401

    (tmp_path / "own_net.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    part = {"class_path": class_path, "init_args": {}}
    Path("part.yaml").write_text(yaml.safe_dump(part))
    loss = {"part": part, "text": json.dumps(part), "name": class_path, "file": "part.yaml"}[written]
    with pytest.raises(ValueError, match=r"^[^\n]* which is not Firstlight's and could run any code[^\n]*$"):
        load_pretrained(folder_of(tmp_path / "given", loss=loss))
    assert "own_net" not in sys.modules


def test_the_rule_ends_with_the_call(tmp_path):
    before = dict(_common.parsing_settings)
    load_pretrained(folder_of(tmp_path / "given", loss={"class_path": "torch.nn.MultiMarginLoss"}))
    assert _common.parsing_settings == before
    with pytest.raises(ValueError, match="could run any code"):
        load_pretrained(folder_of(tmp_path / "other", loss={"class_path": "tests.cli.toys.ToySchedule"}))
    assert _common.parsing_settings == before


def test_what_the_user_trusts_must_be_imported(tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text(
        "from torch import nn\nclass Loss(nn.Module):\n"
        "    def __init__(self, x: int = 1):\n        super().__init__()\n        self.x = x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = folder_of(tmp_path / "given", loss={"class_path": "own_loss.Loss", "init_args": {"x": 5}})
    for trust in (False, True):
        with pytest.raises(ValueError, match="import own_loss and say trust_remote_config=True"):
            load_pretrained(folder, trust_remote_config=trust)
    monkeypatch.setitem(sys.modules, "own_loss", __import__("own_loss"))
    with pytest.raises(ValueError, match="trust_remote_config=True"):
        load_pretrained(folder)
    assert load_pretrained(folder, trust_remote_config=True).loss.x == 5


def test_from_the_hub_and_no_other_file(hub, tmp_path):
    folder = folder_of(tmp_path / "given")
    hub.repositories["me/digits"] = {
        **{file.name: file.read_bytes() for file in folder.iterdir()},
        **{"README.md": b"# digits", "card.json": b"{}"},
        **{"pytorch_model.bin": b"pickle", "modeling.py": b"raise", "checkpoints/best.ckpt": b"pickle"},
    }
    commit = hub.commit_of("me/digits")
    model = load_pretrained("me/digits", MLPClassifier)
    assert same_weights(model, load_trained(folder))
    assert not model.training
    fetched = {path.rpartition(f"/resolve/{commit}/")[2] for _, path in hub.asked if "/resolve/" in path}
    assert fetched == {"config.yaml", "card.json", "README.md", "model.safetensors"}
    for revision in ("main", commit):
        assert same_weights(load_pretrained(f"me/digits@{revision}"), model)
    hub.repositories["me/digits"]["model.safetensors"] = b"broken"
    assert same_weights(load_pretrained(f"me/digits@{commit}"), model), "a commit stays what it was"
    with pytest.raises(ValueError, match="is not a readable safetensors file"):
        load_pretrained("me/digits")


def test_what_is_kept_needs_no_network(hub, tmp_path, monkeypatch):
    upload(folder_of(tmp_path / "given"), "me/digits")
    model = load_pretrained("me/digits")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same_weights(load_pretrained("me/digits"), model)
    with pytest.raises(ConnectionError, match=r"^me/letters is not on this machine, and the Hub cannot be reached"):
        load_pretrained("me/letters")


def test_what_the_hub_does_not_have_is_one_line(hub, tmp_path):
    folder = folder_of(tmp_path / "given")
    upload(folder, "me/digits")
    with pytest.raises(FileNotFoundError, match=r"^there is no model me/nothing, neither here nor on the Hub"):
        load_pretrained("me/nothing")
    with pytest.raises(FileNotFoundError, match=r"^me/digits has no revision 'v9'"):
        load_pretrained("me/digits@v9")
    with pytest.raises(ValueError, match=r"^'-me/digits' names no model on the Hub"):
        load_pretrained("-me/digits")
    (folder / "model.safetensors").unlink()
    upload(folder, "me/empty")
    with pytest.raises(FileNotFoundError, match=r"^me/empty on the Hub has no model\.safetensors"):
        load_pretrained("me/empty")


def test_what_is_here_is_not_looked_for_on_the_hub(tmp_path):
    Path("runs").mkdir()
    for given in ("runs/mine", "mnist", "a/b/c", "me/last.ckpt", "me/model.safetensors", "", "/me/x", "../x"):
        assert not is_hub_id(given), given
        with pytest.raises(FileNotFoundError, match="there are no weights"):
            load_pretrained(given)
    assert is_hub_id("me/digits")
    assert is_hub_id("me/digits@refs/pr/1")


def test_a_config_beside_weights_of_another_model_is_one_line(tmp_path):
    folder = folder_of(tmp_path / "given", hidden=[4])
    with pytest.raises(ValueError, match=r"^the weights in [^\n]* do not fit MLPClassifier[^\n]*$"):
        load_pretrained(folder)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        load_pretrained(folder)
