"""What ships in pretrained/: complete, small, and loadable."""

import json
from pathlib import Path

import pytest
import torch

from envs.statistics import summarize
from lightning_modules.pretrained import load_pretrained

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(path.parent for path in (ROOT / "pretrained").glob("*/card.json"))
METRICS = {  # what a card of a folder of this name must tell at least
    "pusht": {"test/score", "test/success_rate", "test/mean_final_coverage"},
    "svhn_classifier": {"test/accuracy", "test/accuracy_plain"},
    "svhn_gan": {"test/fid", "test/fid_floor", "test/readable"},
    "mnist_mlp": {"test/accuracy", "test/accuracy_plain"},
    "mnist_ddpm": {"test/fid", "test/fid_floor", "test/readable"},
    "cifar10_ddpm": {"test/fid", "test/fid_floor", "test/readable"},
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
        for name, value in card["metrics"].items():
            assert value == pytest.approx(sum(figures[name] for figures in card["by_seed"]) / len(card["seeds"]))
    for part in (f"pretrained/{folder.name}/config.yaml", f"pretrained/{folder.name}/model.safetensors"):
        assert part in card["command"]
        assert (ROOT / part).is_file()


@pytest.mark.parametrize("name", ["pusht", "pusht_human", "pusht_planner"])
def test_shipped_policies_solve_most_of_twenty_starts(name):
    from callbacks.rollouts import run_policy

    policy = load_pretrained(ROOT / "pretrained" / name)
    metrics = summarize(run_policy(policy, range(100_000, 100_020), progress=False))
    # At the 80 % that the figures promise at least, fewer than 11 of 20 would be a chance of 1 in 500.
    assert metrics["success_rate"].mean >= 11 / 20
    assert metrics["score"].mean > 0.9


def test_the_shipped_mlp_reads_digits(mnist_data):
    from datamodules.mnist import MNIST

    data = MNIST(mnist_data)
    data.setup("test")
    model = load_pretrained(ROOT / "pretrained" / "mnist_mlp")
    predicted = torch.cat([model(part).argmax(1) for part in data.test_set.images.split(1000)])
    assert (predicted == data.test_set.labels).float().mean() > 0.992


def test_the_shipped_cnn_names_photographs(cifar10_data):
    from datamodules.cifar10 import CIFAR10

    data = CIFAR10(cifar10_data)
    data.setup("test")
    model = load_pretrained(ROOT / "pretrained" / "cifar10_fast")
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
    for episode in run_policy(load_pretrained(ROOT / "pretrained" / "pusht_human"), range(100_000, 100_005), False):
        env.reset(options={"reset_to_state": legacy_state(episode.seed)})
        coverages = [env.step(action)[-1]["coverage"] for action in episode.actions]
        assert coverages == pytest.approx(episode.coverages.tolist(), abs=1e-6)


def test_the_shipped_svhn_classifier_reads_what_it_never_saw(svhn_data):
    from datamodules.svhn import SVHN

    data = SVHN(svhn_data)
    data.setup("test")
    model = load_pretrained(ROOT / "pretrained" / "svhn_classifier")
    with torch.inference_mode():
        predicted = torch.cat([model(part).argmax(1) for part in data.test_set.images.split(250)])
    assert len(predicted) == 1000
    assert (predicted == data.test_set.labels).float().mean() > 0.96
