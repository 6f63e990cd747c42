"""What ships in pretrained/: complete, small, and loadable."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from benchmarks import publish, results
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import read_config
from envs.episode_statistics import summarize

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(path.parent for path in (ROOT / "pretrained").glob("*/card.json"))
METRICS = {  # what a card of a folder of this name must tell at least
    "pusht": {"test/score", "test/success_rate", "test/mean_final_coverage"},
    "svhn_classifier": {"test/accuracy", "test/accuracy_plain"},
    "svhn_gan": {"test/fid", "test/fid_real", "test/class_accuracy"},
    "mnist_mlp": {"test/accuracy", "test/accuracy_plain"},
    "mnist_ddpm": {"test/fid", "test/fid_real", "test/class_accuracy"},
    "cifar10_ddpm": {"test/fid", "test/fid_real", "test/class_accuracy"},
    "cifar10_fast": {"test/accuracy", "test/accuracy_plain"},
    "sorting": {"test/exact_match"},
    "pig_latin": {"test/unseen_word_accuracy", "test/sentence_exact_match"},
}


def test_what_ships_is_small():
    assert {folder.name for folder in FOLDERS} >= {
        "pusht",
        "pusht_human",
        "mnist_mlp",
        "sorting_encoder",
        "sorting_decoder",
        "sorting_encoder_decoder",
    }
    assert sum(path.stat().st_size for path in (ROOT / "pretrained").rglob("*") if path.is_file()) < 60e6


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_cards_are_complete(folder):
    card = json.loads((folder / "card.json").read_text())
    assert set(card) >= {"metrics", "n", "seeds", "minutes", "command", "date", "commit", "machine"}
    assert all(isinstance(value, float) for value in card["metrics"].values())
    (required,) = [names for family, names in METRICS.items() if folder.name.startswith(family)]
    assert set(card["metrics"]) >= required
    assert card["n"] >= 400
    if len(card["seeds"]) > 1:
        assert len(card["by_seed"]) == len(card["seeds"])
        assert card["metrics"] == card["by_seed"][0], "the shipped weights are the first run's"
        assert card["mean_over_seeds"].keys() == card["metrics"].keys()
        for name, value in card["mean_over_seeds"].items():
            assert value == pytest.approx(sum(figures[name] for figures in card["by_seed"]) / len(card["seeds"]))
    else:
        assert not card.keys() & {"mean_over_seeds", "by_seed"}, "one seed has no mean"
    for part in (f"pretrained/{folder.name}/config.yaml", f"pretrained/{folder.name}/model.safetensors"):
        assert part in card["command"]
        assert (ROOT / part).is_file()


def test_publishing_tells_the_shipped_weights_figures_and_the_mean(monkeypatch, tmp_path):
    """The first run's weights ship, whatever order the runs are tested in."""
    shipped = []
    monkeypatch.setattr(publish, "PRETRAINED", tmp_path)
    monkeypatch.setattr(publish, "put", lambda run, folder: shipped.append(run) or int(run.name))
    monkeypatch.setattr(publish, "test", lambda folder: ({"test/accuracy": float(shipped[-1].name)}, "command"))
    publish.publish("new", [Path("4"), Path("2"), Path("3")], minutes=1.0, n=10)
    card = json.loads((tmp_path / "new" / "card.json").read_text())
    assert (shipped[-1], card["seeds"]) == (Path("4"), [4, 2, 3])
    assert card["metrics"] == {"test/accuracy": 4.0}
    assert card["mean_over_seeds"] == {"test/accuracy": 3.0}
    assert card["by_seed"] == [{"test/accuracy": value} for value in (4.0, 2.0, 3.0)]
    publish.publish("one", [Path("4")], minutes=1.0, n=10)
    assert not json.loads((tmp_path / "one" / "card.json").read_text()).keys() & {"mean_over_seeds", "by_seed"}


@pytest.mark.parametrize(
    ("metric", "n", "rounded", "wrong"),
    [
        ("test/accuracy", 10_000, 0.9485, 0.9465),  # of 0.948: 5 and 15 digits
        ("test/sentence_exact_match", 454, 0.952, 0.96),
        ("test/class_accuracy_real", 10_000, 0.9485, 0.9465),
        ("test/class_accuracy", 10_000, 0.952, 0.954),
        ("test/fid", 10_000, 0.955, 0.98),
        ("test/score", 500, 0.957, 0.96),  # with the interval below
        ("test/score/low", 500, 0.947, 0.95),
    ],
)
def test_what_rounding_explains(metric, n, rounded, wrong):
    card = {"metrics": {metric: 0.948}, "n": n}
    if "score" in metric:
        card["metrics"] |= {"test/score/low": 0.938, "test/score/high": 0.958}
    value = card["metrics"][metric]
    for now, holds in [(value, True), (rounded, True), (wrong, False), (math.nan, False)]:
        assert results.compare(card, {metric: now})[metric][2] == holds, now
    assert not results.compare(card, {})[metric][2], "a figure that is missing does not hold"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_half_a_point_is_seen_on_every_card(folder):
    """Of every share among its metrics that is counted over thousands."""
    card = json.loads((folder / "card.json").read_text())
    for metric in card["metrics"]:
        if card["n"] >= 1000 and results.is_counted(metric):
            assert not results.compare(card, {metric: card["metrics"][metric] - 0.005})[metric][2]


NUMBERS = [
    "1e-1",
    "1E3",
    "-2e-4",
    "1e+2",
    "1.0e-1",
    "0.1",
    ".5",
    "1.",
    "1_000",
    "7",
    "-3",
    ".inf",
    "true",
    "null",
    "1e",
    "e3",
]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_config_is_read_as_the_command_line_reads_it(text, tmp_path):
    (tmp_path / "config.yaml").write_text(f"model:\n  lr: {text}\n")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=dict)
    parser.add_argument("--config", action="config")
    expected = parser.parse_args(["--config", str(tmp_path / "config.yaml")]).model["lr"]
    found = read_config(tmp_path / "config.yaml")["model"]["lr"]
    assert (type(found), found) == (type(expected), expected)


def test_numbers_in_a_shipped_config_may_have_an_exponent(tmp_path):
    shutil.copytree(ROOT / "pretrained" / "mnist_mlp", tmp_path / "own")
    config = tmp_path / "own" / "config.yaml"
    text, count = re.subn(r"(weight_decay|lr): .*", r"\1: 1e-1", config.read_text())
    assert count >= 2
    config.write_text(text)
    assert load_trained(tmp_path / "own").hparams.lr == 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [("model: [", "is no YAML"), ("data: 3", "names no model"), ("3", "names no model"), ("model:", "names no model")],
)
def test_a_config_that_names_no_model_is_one_line(text, words, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"^the config .*config\.yaml {words}[^\n]*$"):
        read_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("name", ["pusht", "pusht_human", "pusht_planner"])
def test_shipped_policies_solve_most_of_twenty_starts(name):
    from callbacks.rollouts import run_policy

    policy = load_trained(ROOT / "pretrained" / name)
    metrics = summarize(run_policy(policy, range(100_000, 100_020), progress=False))
    # At the 80 % that the figures promise at least, fewer than 11 of 20 would be a chance of 1 in 500.
    assert metrics["success_rate"].mean >= 11 / 20
    assert metrics["score"].mean > 0.9


def test_the_shipped_mlp_reads_digits(mnist_data):
    from datamodules.mnist import MNIST

    data = MNIST(mnist_data)
    data.setup("test")
    model = load_trained(ROOT / "pretrained" / "mnist_mlp")
    predicted = torch.cat([model(part).argmax(1) for part in data.test_set.images.split(1000)])
    assert (predicted == data.test_set.labels).float().mean() > 0.992


def test_the_shipped_cnn_names_photographs(cifar10_data):
    from datamodules.cifar10 import CIFAR10

    data = CIFAR10(cifar10_data)
    data.setup("test")
    model = load_trained(ROOT / "pretrained" / "cifar10_fast")
    images, labels = data.test_set.images[:1000], data.test_set.labels[:1000]
    predicted = torch.cat([model(part).argmax(1) for part in images.split(250)])
    # At the 93 % that the card promises, fewer than 905 of 1,000 would be a chance of 1 in 500.
    assert (predicted == labels).float().mean() > 0.905


def test_the_benchmarks_own_environment_agrees():
    """The shipped policy's episodes, replayed in gym-pusht from the paper's initial states."""
    gym_pusht = pytest.importorskip("gym_pusht.envs.pusht")
    from callbacks.rollouts import run_policy
    from envs.pusht import legacy_state

    env = gym_pusht.PushTEnv("state")
    for episode in run_policy(load_trained(ROOT / "pretrained" / "pusht_human"), range(100_000, 100_005), False):
        env.reset(options={"reset_to_state": legacy_state(episode.seed)})
        coverages = [env.step(action)[-1]["coverage"] for action in episode.actions]
        assert coverages == pytest.approx(episode.coverages.tolist(), abs=1e-6)


def test_the_shipped_svhn_classifier_reads_what_it_never_saw(svhn_data):
    from datamodules.svhn import SVHN

    data = SVHN(svhn_data)
    data.setup("test")
    model = load_trained(ROOT / "pretrained" / "svhn_classifier")
    with torch.inference_mode():
        predicted = torch.cat([model(part).argmax(1) for part in data.test_set.images.split(250)])
    assert len(predicted) == 1000
    assert (predicted == data.test_set.labels).float().mean() > 0.96
