"""No file that is opened can run code, and no data set reads files outside its folder.

The payload of every hostile file would create a file; that this one is still missing is what is tested.
"""

import contextlib
import os
import pickle
import re
import tomllib
from pathlib import Path
from shutil import copy

import pyarrow as pa
import pytest
import torch
import yaml
from lightning import __version__ as lightning_version
from PIL import Image
from pyarrow import parquet

from callbacks.rollouts import run_checkpoint
from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO
from checkpoints.load_trained import load_trained
from cli import record
from datamodules import cache, sources
from datamodules.image_files import read_image_files
from datamodules.mnist import MNIST
from numpy_core import storage
from tests.datamodules.read_images import read_images
from tests.test_bad_input import digits, refused  # noqa: F401  the fixture
from tests.test_train import ROOT

PAYLOAD = "executed"
MLP = "--config configs/mnist_mlp.yaml --data.source fonts"
FORMS = ("pickle", "checkpoint", "legacy checkpoint", "global of its own")


class Payload:
    """Whoever unpickles it creates a file."""

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))

    def __init__(self, path: Path):
        self.path = path


@pytest.fixture
def payload(tmp_path):
    """After the test: did it run? That it would have run is made sure of first."""
    path = tmp_path / PAYLOAD
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.is_dir(), "the payload is a dud"
    path.rmdir()
    yield Payload(path)
    assert not path.exists(), "the payload ran"


def write(form: str, path: Path, payload: Payload) -> Path:
    checkpoint = {"state_dict": {"w": torch.zeros(2)}, "pytorch-lightning_version": "2.6.6", "callbacks": payload}
    if form == "pickle":
        path.write_bytes(pickle.dumps(payload))
    elif form == "checkpoint":
        torch.save(checkpoint, path)
    elif form == "legacy checkpoint":
        torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(checkpoint | {"callbacks": os.system, "hyper_parameters": {"x": payload}}, path)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["hostile.ckpt", "hostile", "hostile.safetensors"])
@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_a_checkpoint_cannot_run_code(command, name, form, payload, refused, tmp_path):  # noqa: F811
    write(form, tmp_path / name, payload)
    assert name in refused(f"{command} {MLP} --ckpt_path {name}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", [None, False, True])
def test_whatever_lightning_asks_for_only_values_are_read(form, asked, payload, tmp_path, monkeypatch):
    """Also where an environment variable or an argument would have torch read everything."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0")
    path = write(form, tmp_path / "hostile.ckpt", payload)
    with pytest.raises(ValueError, match=r"hostile\.ckpt"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=asked)


@pytest.mark.parametrize("form", FORMS)
def test_recording_with_a_hostile_checkpoint(form, payload, tmp_path, capsys):
    copy(ROOT / "pretrained/pusht/config.yaml", tmp_path)
    path = write(form, tmp_path / "hostile.ckpt", payload)
    with pytest.raises(ValueError, match=r"hostile\.ckpt"):
        run_checkpoint(str(path), [0])
    with pytest.raises(SystemExit):
        record.main(["--checkpoint", str(path), "--out", str(tmp_path / "o.parquet"), "--seeds", "1"])
    assert "hostile.ckpt is torn, or no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["_instantiator", "_class_path"])
def test_hyperparameters_that_name_code_are_not_called(name, payload, tmp_path):
    """What lightning 2.6.6 mended in `load_from_checkpoint`: a word in the hyperparameters was imported and called."""
    copy(ROOT / "pretrained/pusht/config.yaml", tmp_path)
    path = tmp_path / "hostile.ckpt"
    named = {"network": str(payload.path), name: "os.mkdir"}
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", "hyper_parameters": named}, path)
    with pytest.raises(Exception, match=r".") as caught:
        run_checkpoint(str(path), [0])
    assert not isinstance(caught.value, SystemExit)


def test_the_floor_of_lightning_is_the_release_that_mended_it():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (lightning,) = (requirement for requirement in wanted if requirement.startswith("lightning"))
    floor = re.search(r">=([\d.]+)", lightning).group(1)
    assert tuple(map(int, floor.split("."))) >= (2, 6, 6)
    assert tuple(map(int, lightning_version.split(".")[:3])) >= (2, 6, 6)


@pytest.mark.parametrize("form", FORMS)
def test_weights_and_config_of_a_shipped_model(form, payload, tmp_path):
    (tmp_path / "config.yaml").write_text((ROOT / "pretrained/mnist_mlp/config.yaml").read_text())
    write(form, tmp_path / "model.safetensors", payload)
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_trained(tmp_path)


@pytest.mark.parametrize("named", ["os.mkdir", "subprocess.Popen", "builtins.exec", "lightning.Trainer"])
def test_the_config_of_a_shipped_model_names_a_model_and_nothing_else(named, payload, tmp_path):
    arguments = {"path": str(payload.path)} if named == "os.mkdir" else {"args": ["mkdir", str(payload.path)]}
    config = {"model": {"class_path": named, "init_args": arguments}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="LightningModule"):
        load_trained(tmp_path)


def test_yaml_that_calls_functions(payload, refused, tmp_path):  # noqa: F811
    text = f"model: !!python/object/apply:os.mkdir ['{payload.path}']\n"
    (tmp_path / "hostile.yaml").write_text(text)
    assert "hostile.yaml is no YAML" in refused("fit --config hostile.yaml")
    assert "is not allowed" in refused(
        f"fit {MLP} --model.hidden \"!!python/object/apply:os.mkdir ['{payload.path}']\""
    )
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"config\.yaml is no YAML"):
        load_trained(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_file_is_no_pickle(form, payload, tmp_path, monkeypatch):
    """It is made again."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    parquet.write_table(digits(), tmp_path / "rows.parquet")
    place = (str(tmp_path / "rows.parquet"), "train", (1, 28, 28), MNIST.class_names)
    expected = read_images(*place).images
    (kept,) = (tmp_path / "cache").iterdir()
    write(form, kept, payload)
    assert torch.equal(read_images(*place).images, expected)


def test_arrays_of_numpy_are_no_pickle(payload, tmp_path):
    import numpy as np

    np.savez(tmp_path / "hostile.npz", weights=np.array([payload], dtype=object))
    with pytest.raises(ValueError, match=r"hostile\.npz"):
        storage.load(tmp_path / "hostile.npz")


@pytest.mark.parametrize("kept", ["data.py", "train.pkl", "train.pickle"])
def test_a_folder_of_data_runs_no_script_and_reads_no_pickle(kept, payload, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write("pickle", folder / kept, payload)
    if kept.endswith(".py"):
        (folder / kept).write_text(f"import os\nos.mkdir({str(payload.path)!r})\n")
    for _ in range(2):
        with contextlib.suppress(ValueError, FileNotFoundError):
            assert sources.load(str(folder))["text"] == ["inside"]
        parquet.write_table(pa.table({"text": ["inside"]}), folder / "train.parquet")


@pytest.mark.parametrize("named", ["../outside/train.parquet", "{outside}/train.parquet", "train.parquet"])
def test_a_readme_leads_to_no_file_outside(named, tmp_path):
    folder, outside = tmp_path / "data", tmp_path / "outside"
    for place in (folder, outside):
        place.mkdir()
        parquet.write_table(pa.table({"text": [place.name]}), place / "train.parquet")
    named = named.format(outside=outside)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files: {named}\n---\n")
    if named == "train.parquet":
        assert sources.load(str(folder))["text"] == ["data"]
        return
    with pytest.raises(ValueError, match="lies outside of the folder"):
        sources.load(str(folder))


@pytest.mark.parametrize("link", [False, True])
def test_images_that_data_name_lie_in_their_folder(link, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "secret.png")
    if link:
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for path in ["link.png"] if link else ["../secret.png", str(tmp_path / "secret.png"), None, "none.png"]:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        files = pa.array([{"bytes": None, "path": path}], kind)
        parquet.write_table(pa.table({"image": files, "label": [0]}), folder / "rows.parquet")
        with pytest.raises(ValueError, match="is no file in"):
            read_images(str(folder / "rows.parquet"), "train", (1, 28, 28), MNIST.class_names)


def test_images_to_predict_from_other_folders_come_by_links_to_files_only(tmp_path):
    """A link to a file is its user's word; a link to a folder is not entered, so that none is walked twice."""
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
        Image.new("L", (28, 28)).save(place / f"{place.name}.png")
    (folder / "file.png").symlink_to(elsewhere / "elsewhere.png")
    (folder / "folder").symlink_to(elsewhere)
    (folder / "itself").symlink_to(folder)
    assert read_image_files(folder, (1, 28, 28)).files == ["file.png", "mine.png"]


def test_no_other_way_to_read_pickles_is_in_the_project():
    """Every call that could unpickle is one of those tested above, and asks for values only."""
    tests = ROOT / "tests"
    for path in sorted(ROOT.rglob("*.py")):
        if path.is_relative_to(tests) or any(part.startswith(".venv") for part in path.parts):
            continue
        text = path.read_text()
        assert not re.search(r"pickle\.loads?\(|yaml\.(unsafe_)?load\(|trust_remote_code|read_pickle|joblib", text), (
            path
        )
        for call in re.findall(r"(?:torch\.load|load_from_checkpoint)\([^\n]*", text):
            assert "weights_only=True" in call, f"{path}: {call}"
        for call in re.findall(r"np\.load\([^\n]*", text):
            assert "allow_pickle=False" in call, f"{path}: {call}"


def test_an_address_of_a_checkpoint(payload, refused, tmp_path):  # noqa: F811
    """What comes from one is read as a file here is."""
    path = write("checkpoint", tmp_path / "hostile.ckpt", payload)
    assert "hostile.ckpt" in refused(f"validate {MLP} --ckpt_path file://{path}")
