"""What is written runs in ONNX Runtime as in PyTorch, and what cannot be written is refused in one line."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from checkpoints import onnx_file
from checkpoints.onnx_file import check_packages, largest_differences, write_onnx
from checkpoints.onnx_function import LARGEST_BATCH, Input, OnnxFunction
from lightning_modules.mlp_classifier import MLPClassifier
from tests.exported import metadata, run, session, sessions
from tests.test_train import ROOT


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return MLPClassifier(shape=[1, 8, 8], num_classes=3, hidden=[4], mean=[0.3], std=[0.2], tta_flip=True).eval()


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    (own,) = sessions(classifier, folder).values()
    return own, folder / "model.onnx"


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_any_number_of_rows(rows, classifier, exported):
    images = torch.randint(256, (rows, 1, 8, 8), dtype=torch.uint8)
    found = run(exported[0], image=images)["probability"]
    expected = classifier.predict_step({"image": images}, 0)["probability"].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_file_says_what_it_takes_and_gives(exported):
    own = exported[0]
    said = metadata(own)
    assert said["input.image"] == "(batch, 1, 8, 8) uint8: pixels from 0 to 255; the model normalises them itself"
    assert said["output.probability"].startswith("(batch, 3) float32")
    assert json.loads(said["class_names"]) == ["0", "1", "2"]
    assert own.get_inputs()[0].shape == ["batch", 1, 8, 8]


def test_a_file_holds_nothing_of_the_machine(exported):
    assert str(ROOT).encode() not in exported[1].read_bytes()
    assert [path.name for path in exported[1].parent.iterdir()] == ["model.onnx"]


def test_a_fixed_batch_is_that_batch_alone(classifier, tmp_path):
    function = classifier.onnx_functions()[""].of_batch(3)
    write_onnx(classifier, function, tmp_path / "three.onnx", {"weights": "none"})
    own = session(tmp_path / "three.onnx")
    assert own.get_inputs()[0].shape == [3, 1, 8, 8]
    assert metadata(own)["input.image"].startswith("(3, 1, 8, 8)")
    assert metadata(own)["weights"] == "none"
    assert largest_differences(function, tmp_path / "three.onnx")["probability"] < 1e-6


def test_linear_layers_in_8_bit_integers(tmp_path):
    torch.manual_seed(0)
    model = MLPClassifier(shape=[1, 8, 8], num_classes=3, hidden=[256, 256], mean=[0.3], std=[0.2]).eval()
    function, sizes = model.onnx_functions()[""].of_batch(1), []
    for int8 in (False, True):
        write_onnx(model, function, tmp_path / "model.onnx", {"weights": "none"}, int8)
        sizes.append((tmp_path / "model.onnx").stat().st_size)
    assert sizes[1] < sizes[0] / 3
    assert 0 < largest_differences(function, tmp_path / "model.onnx")["probability"] < 0.02
    assert metadata(session(tmp_path / "model.onnx")).keys() >= {"weights", "input.image", "class_names"}
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("batch", [0, -1, LARGEST_BATCH + 1, 1.5])
def test_impossible_batches(batch, classifier):
    with pytest.raises(ValueError, match=rf"batch_size={batch} must be a whole number of at least 1"):
        classifier.onnx_functions()[""].of_batch(batch)


class Branching(nn.Module):
    """Goes another way for other values, as no graph can."""

    def __init__(self, shape, num_classes):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x):
        x = x.flatten(1)
        return self.linear(x if x.sum() > 0 else -x)


def test_a_network_that_branches_is_refused(tmp_path):
    from lightning_modules.classifier import Classifier

    module = Classifier(Branching, [1, 8, 8], 3).eval()
    with pytest.raises(ValueError, match=r"^Classifier cannot be exported to ONNX: [^\n]+ must compute by torch"):
        write_onnx(module, module.onnx_functions()[""], tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


def test_noise_on_the_way_is_refused(tmp_path):
    noisy = nn.Module()
    function = OnnxFunction(lambda x: x + torch.randn(x.shape), {"x": Input(torch.ones(2, 3), "numbers")}, {"y": ""})
    with pytest.raises(ValueError, match=r"draws random numbers on its way \(Random\w+\).*DDIMSampler"):
        write_onnx(noisy, function, tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_no_file_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_program", partial(pytest.fail, "exported in vain"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.onnx").mkdir()
    function = OnnxFunction(torch.sin, {"x": Input(torch.ones(2), "numbers")}, {"y": ""})
    with pytest.raises(OSError, match=r"cannot write .*file/model\.onnx.*--out"):
        write_onnx(nn.Module(), function, tmp_path / "file" / "model.onnx", {})


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match=r"^export needs onnxscript, not installed here: pip install [^\n]+$"):
        check_packages()
