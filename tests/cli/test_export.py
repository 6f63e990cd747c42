"""`python train.py export`: a line for every mistake, and files for what ships."""

import shutil

import pytest
import torch
import yaml

import train
from cli import export as command
from tests.exported import metadata, session
from tests.test_train import ROOT


@pytest.fixture
def refused(offline, capsys):
    """Calls train.py export with these words, and returns the one line that it says."""

    def call(*words):
        with pytest.raises(SystemExit) as exit_:
            train.command_line(["export", *map(str, words)])
        assert exit_.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return call


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "required: model; see python train.py export --help"),
        (["nothing"], "there are no weights nothing; name a checkpoint"),
        (["mnist_mlp", "--outt", "x.onnx"], "unrecognized arguments: --outt"),
        (["mnist_mlp", "--out", "x.pt"], "--out x.pt must be a file that ends in .onnx"),
        (["mnist_mlp", "--batch_size", "0"], "batch_size=0 must be a whole number"),
        (["mnist_mlp", "--batch_size", "9999999999"], "batch_size=9999999999 must be a whole number"),
        (["mnist_mlp", "--batch_size", "many"], "--batch_size: invalid int value: 'many'"),
        (["mnist_mlp", "--out", "file/x.onnx"], "cannot write file/x.onnx"),
        (["run"], "there are no weights run"),
        (["torn"], "torn/checkpoints/last.ckpt is torn"),
        (["alone.ckpt"], "alone.ckpt has no config.yaml beside it"),
        (["unknowing"], "does not say how it is exported"),
    ],
)
def test_mistakes(words, answer, refused, tmp_path):
    (tmp_path / "file").touch()
    shutil.copytree(ROOT / "pretrained/mnist_mlp", tmp_path / "run")
    (tmp_path / "run/model.safetensors").unlink()
    shutil.copytree(tmp_path / "run", tmp_path / "torn")
    (tmp_path / "torn/checkpoints").mkdir()
    (tmp_path / "torn/checkpoints/last.ckpt").write_bytes(b"PK\x03\x04")
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6"}, tmp_path / "alone.ckpt")
    unknowing = {"class_path": "tests.cli.toys.Unasking"}
    (tmp_path / "unknowing/checkpoints").mkdir(parents=True)
    (tmp_path / "unknowing/config.yaml").write_text(yaml.safe_dump({"model": unknowing}))
    from tests.cli.toys import Unasking

    content = {"state_dict": Unasking().state_dict(), "pytorch-lightning_version": "2.6.6"}
    torch.save(content, tmp_path / "unknowing/checkpoints/last.ckpt")
    assert answer in refused(*words)
    assert not list(tmp_path.rglob("*.onnx*"))


def test_missing_packages(refused, monkeypatch):
    monkeypatch.setattr("checkpoints.onnx_file.find_spec", lambda name: None)
    assert "export needs onnx, onnxscript, onnxruntime, not installed here" in refused("mnist_mlp")


def test_a_shipped_model_by_its_name(offline, capsys, tmp_path):
    assert train.main(["export", "mnist_mlp"]) is None
    said = capsys.readouterr().out
    assert said.startswith("mnist_mlp.onnx: ")
    assert "takes image; gives probability (at most " in said
    described = metadata(session(tmp_path / "mnist_mlp.onnx"))
    assert described["model"] == "MLPClassifier"
    assert described["weights"] == "mnist_mlp"
    assert described["made_by"].startswith("firstlight ")
    assert [path.name for path in tmp_path.iterdir()] == ["mnist_mlp.onnx"]


def test_the_command_is_among_those_that_are_known(capsys):
    train.main([])
    assert "python train.py export" in capsys.readouterr().out
    assert "export" in command.__doc__
