"""Which of the model's arguments configs give."""

from pathlib import Path

import pytest

from cli.config_files import ROOT, model_arguments, read_configs, with_found_configs


@pytest.mark.parametrize(
    ("models", "given"),
    [
        ([], set()),
        ([{"class_path": "a.A", "init_args": {"x": 1}}, {"init_args": {"y": 2}}], {"x", "y"}),
        ([{"class_path": "a.A", "init_args": {"x": 1}}, {"class_path": "A", "init_args": {"y": 2}}], {"x", "y"}),
        ([{"class_path": "a.A", "init_args": {"x": 1}}, {"class_path": "a.B", "init_args": {"y": 2}}], {"y"}),
        ([{"class_path": "a.A", "init_args": {"x": 1}}, "a.B"], set()),
        ([{"x": 1}, None], {"x"}),
        ([{"class_path": "a.A", "init_args": None}, ["of no use"]], set()),
    ],
)
def test_arguments_of_the_class_that_is_named_last(models, given):
    assert model_arguments([{}, *({"model": model} for model in models), {"data": "D"}]) == given


def test_a_class_on_the_command_line_stands_in_its_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("model: {class_path: A, init_args: {x: 1}}")
    assert model_arguments(read_configs(["fit", "--config", "a.yaml", "--model=B"])) == set()
    assert model_arguments(read_configs(["fit", "--model", "B", "-c", "a.yaml", "--model.lr", "1"])) == {"x"}


def test_configs_are_found_beside_firstlight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = str(ROOT / "configs/mnist_mlp.yaml")
    args = ["fit", "--config", "mnist_mlp", "--config=configs/mnist_mlp.yaml", "-c", "nothing", "--run", "mnist_mlp"]
    found = ["fit", "--config", ours, f"--config={ours}", "-c", "nothing", "--run", "mnist_mlp"]
    assert with_found_configs(args) == found
    assert with_found_configs(["--config", "with/fast"]) == ["--config", str(ROOT / "configs/with/fast.yaml")]
    Path("configs").mkdir()
    Path("configs/mnist_mlp.yaml").touch()  # what is here comes first
    assert with_found_configs(["--config", "configs/mnist_mlp.yaml"]) == ["--config", "configs/mnist_mlp.yaml"]
    assert with_found_configs(["--config", "mnist_mlp", "--config"]) == ["--config", ours, "--config"]
