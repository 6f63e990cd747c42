import json
from dataclasses import replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import cache, fonts, sources
from examples import numpy_mnist
from numpy_core import cosine


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """240 and 60 digits drawn from fonts, two epochs of each recipe."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(fonts, "SIZES", {"train": 240, "test": 60})
    for name, recipe in numpy_mnist.RECIPES.items():
        monkeypatch.setitem(numpy_mnist.RECIPES, name, replace(recipe, epochs=2))


@pytest.mark.parametrize("model", numpy_mnist.RECIPES)
def test_a_run_leaves_its_images_curves_and_result(model, tmp_path, capsys):
    numpy_mnist.main([model, "--source", "fonts", "--out", str(tmp_path), "--seeds", "0", "1"])
    table = capsys.readouterr().out
    assert "mean" in table
    assert "60 test digits" in table
    assert f"look at {tmp_path}/numpy_{model}/seed_0/curves.png\n" in table
    assert "\nnext    python -m examples.numpy_mnist " in table
    for seed in (0, 1):
        folder = tmp_path / f"numpy_{model}" / f"seed_{seed}"
        for name in ("curves.png", "weights.png", "confusion.png", "mistakes.png", "last.npz"):
            assert (folder / name).stat().st_size > 1000
        result = json.loads((folder / "result.json").read_text())
        assert 0 <= result["test_accuracy"] <= 1
        board = EventAccumulator(str(folder)).Reload()
        assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy"} <= set(board.Tags()["scalars"])
        assert [event.step for event in board.Scalars("train/loss")] == [0, 1, 2, 3]  # 20 where there are as many
        assert [event.step for event in board.Scalars("val/loss")] == [2, 4]
        assert {"curves", "weights", "confusion", "mistakes"} <= set(board.Tags()["images"])


def test_a_stopped_run_goes_on_to_the_same_weights(monkeypatch, tmp_path):
    # The schedule must know its end in both runs: two epochs of two batches.
    monkeypatch.setattr(numpy_mnist, "cosine", lambda lr, steps, warmup: cosine(lr, 4))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    numpy_mnist.main(["mlp", "--source", "fonts", "--out", str(whole)])
    monkeypatch.setitem(numpy_mnist.RECIPES, "mlp", replace(numpy_mnist.RECIPES["mlp"], epochs=1))
    numpy_mnist.main(["mlp", "--source", "fonts", "--out", str(parts)])
    monkeypatch.setitem(numpy_mnist.RECIPES, "mlp", replace(numpy_mnist.RECIPES["mlp"], epochs=2))
    numpy_mnist.main(["mlp", "--source", "fonts", "--out", str(parts), "--resume"])
    files = [np.load(folder / "numpy_mlp" / "seed_0" / "last.npz") for folder in (whole, parts)]
    for name in files[0].files:
        assert np.array_equal(files[0][name], files[1][name]), name


def test_a_finished_run_is_not_resumed(monkeypatch, tmp_path, capsys):
    """Its files stay to the last byte; a longer recipe goes on, and the seconds add up; other digits are refused."""
    args, folder = ["softmax", "--source", "fonts", "--out", str(tmp_path)], tmp_path / "numpy_softmax" / "seed_0"
    numpy_mnist.main(args)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    first = json.loads(before["result.json"])
    assert first["train_seconds"] > 0
    capsys.readouterr()
    numpy_mnist.main([*args, "--resume"])
    assert f"{first['test_accuracy']:.2%}" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    monkeypatch.setitem(numpy_mnist.RECIPES, "softmax", replace(numpy_mnist.RECIPES["softmax"], epochs=3))
    numpy_mnist.main([*args, "--resume"])
    second = json.loads((folder / "result.json").read_text())
    assert second["epochs"] == 3
    assert second["train_seconds"] > first["train_seconds"]

    (folder / "result.json").write_text(json.dumps(second | {"source": "other"}))
    with pytest.raises(SystemExit):
        numpy_mnist.main([*args, "--resume"])
    assert "holds a run on other" in capsys.readouterr().err


def test_shifted_images_are_moved_as_a_whole():
    x = np.zeros((50, 1, 9, 9), np.float32)
    x[:, 0, 4, 4] = 1
    moved = numpy_mnist.shifted(2, x, np.random.default_rng(0))
    assert moved.shape == x.shape
    places = {tuple(place) for place in np.argwhere(moved)[:, 2:]}
    assert len(np.argwhere(moved)) == 50
    assert len(places) > 10
    assert all(abs(row - 4) <= 2 and abs(column - 4) <= 2 for row, column in places)


def test_a_source_that_is_not_there_is_one_line(monkeypatch, tmp_path, capsys):
    def no_network(*args, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(sources, "load_dataset", no_network)
    with pytest.raises(SystemExit) as caught:
        numpy_mnist.main(["softmax", "--source", "no/such", "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
