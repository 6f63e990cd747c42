"""Each command of docs/your_data.md in its shortest form, in the page's order, and what it leaves."""

import csv
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train
from checkpoints.load_trained import load_trained
from datamodules.episodes import read_episodes
from datamodules.fonts import write_letters
from envs.lerobot_dataset import OWN
from tests.test_train import ROOT

BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/your_data.md").read_text(), re.S)
COMMANDS = [line for block in BLOCKS for line in block.strip().split("\n")]
SHORT = (
    "--trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.limit_val_batches 2 "
    "--trainer.limit_test_batches 2 --trainer.num_sanity_val_steps 0 --trainer.enable_model_summary false "
    "--trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 --trainer.accelerator cpu "
    "--trainer.precision 32-true --data.batch_size 8"
)
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
TRANSFORMER = "--model.network.width 16 --model.network.depth 1 --model.network.heads 2"
TINY = {
    "classifier": "--model.widths [8,8,8] --model.proxy_widths [8,8,8]",
    "gan": "--model.generator.width 4 --model.discriminator.width 4 --trainer.callbacks.samples 16",
    "ddpm": "--model.network.widths [64] --model.sampling_steps 2 --model.num_samples 3 --trainer.callbacks.samples 16",
    "dates": TRANSFORMER,
    "text_decoder": f"{TRANSFORMER} --data.block_size 16 --data.tokenizer LearnedCharacterTokenizer",
    "pendulum": "--data.val_share 0.5 --trainer.callbacks.val_episodes 2 --trainer.callbacks.test_episodes 2 "
    "--trainer.val_check_interval 2",
    "datamodules.fonts": "--count 3 --side 16",
    "examples.dates.dates": "--count 200",
    "examples.pendulum.expert": "--episodes 2",
}


def shortest(command: str, *others: str) -> Any:
    """Run a command in its shortest form, with other options, within this process."""
    words = shlex.split(command.removeprefix("python "))
    if words[0] != "train.py":
        words = words[1:] if words[0] == "-m" else words
        program, *words = [words[0].removesuffix(".py").replace("/", "."), *words[1:]]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", [program, *words, *TINY[program].split()])
            return importlib.import_module(program).main()
    config = words.index("--config") + 1
    name = Path(words[config]).stem
    words[config] = str(ROOT / words[config])
    return train.main([*words[1:], *SHORT.split(), *TINY[name].split(), *others])


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Iterator[Callable[[str], Any]]:
    """What a command returns, after those that stand before it on the page."""
    results: dict[str, Any] = {}
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "book.txt").write_text("".join(f"The with statement, in its form {number}.\n" for number in range(99)))

    def up_to(command: str) -> Any:
        for one in COMMANDS[: COMMANDS.index(command) + 1]:
            if one not in results:
                results[one] = shortest(one)
        return results[command]

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FIRSTLIGHT_DATA", "")
        yield up_to


def one_of(*words: str) -> str:
    (command,) = [line for line in COMMANDS if all(f" {word}" in line for word in words)]
    return command


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command, result):
    result(command)


def test_a_classifier_learns_the_folders_classes(result):
    trained = result(one_of("fit", "examples/own_images/classifier"))
    assert list(trained.model.hparams.shape) == [1, 16, 16]
    assert trained.model.hparams.num_classes == 26
    assert load_trained("runs/classifier/version_0").class_names == LETTERS
    tested = result(one_of("test", "examples/own_images/classifier"))
    assert 0 <= tested.trainer.callback_metrics["test/accuracy"] <= 1


def test_it_answers_images_of_any_size_by_the_names_of_their_classes(result):
    """Where all is said, without the data that it was trained on, too."""
    command = one_of("predict", "examples/own_images/classifier")
    result(command)
    write_letters(Path("larger"), count=1, side=40, channels=3)
    said = ["--data.size", "16", "--data.channels", "1", "--data.class_names", f"[{','.join(LETTERS)}]"]
    weights = ["--ckpt_path", "runs/classifier/version_0/checkpoints/last.ckpt", "--run", "alone"]
    shortest(command, "--data.source", "gone", *said, "--data.images", "larger", *weights)
    answers = [list(csv.DictReader(path.open())) for path in Path("runs/classifier").rglob("predictions.csv")]
    assert sorted(map(len, answers)) == [3, 26]
    assert {row["class"] for rows in answers for row in rows} <= set(LETTERS)


@pytest.mark.parametrize("name", ["gan", "ddpm"])
def test_models_that_draw_are_measured_by_it(name, result):
    trained = result(one_of("fit", f"examples/own_images/{name}"))
    assert trained.trainer.global_step > 0
    metrics = result(one_of("test", f"examples/own_images/{name}")).trainer.callback_metrics
    assert metrics["test/fid"] >= 0
    drawn = load_trained(f"runs/{name}/version_0").sample([0, 25], generator=torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((2, 1, 16, 16), torch.uint8)


def test_drawn_images_are_called_by_their_classes(result):
    result(one_of("predict", "examples/own_images/ddpm"))
    assert sorted(path.name for path in Path("runs").rglob("drawn/0*.png")) == [
        f"{number:05}-{letter}.png" for number, letter in enumerate("ABC")
    ]


def test_texts_are_answered_and_written(result):
    metrics = result(one_of("test", "examples/dates/dates.yaml")).trainer.callback_metrics
    assert 0 <= metrics["test/exact_match"] <= 1
    trained = result(one_of("fit", "configs/text_decoder.yaml"))
    assert trained.model.hparams.vocab_size == trained.datamodule.vocab_size
    (text,) = load_trained("runs/text_decoder/version_0").write(["The with statement"], max_new_tokens=3, seed=1)
    assert text.startswith("The with statement")


def test_a_policy_learns_a_robots_episodes_and_is_rolled_out(result):
    trained = result(one_of("fit", "examples/pendulum/pendulum.yaml"))
    assert read_episodes("runs/pendulum_demos", "observation.state").lengths.tolist() == [200, 200]
    assert Path("runs/pendulum_demos", OWN).is_file()
    metrics = trained.trainer.callback_metrics
    assert -2000 < metrics["val/mean_return"] < 0
    assert metrics["val/mean_steps"] == 200
    assert "val/success_rate" not in metrics
    policy = trained.model
    assert (policy.observation_shape, policy.action_dim) == ([3], 1)
    np.testing.assert_allclose(policy.features.actions.mean, trained.datamodule.action_statistics().mean)
    assert policy.action_scale.shape == (8, 1)
    metrics = result(one_of("test", "examples/pendulum/pendulum.yaml")).trainer.callback_metrics
    assert -2000 < metrics["test/mean_return"] < 0


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path, monkeypatch):
    """With a set that stays in its file: weights are the same to the bit."""
    write_letters(tmp_path / "letters", count=2, side=16)
    command = "train.py fit --config examples/own_images/classifier.yaml --data.source ../letters"
    options = "--data.in_memory 0 --trainer.max_epochs -1 --trainer.limit_val_batches 0 --checkpoint.monitor null"
    weights = []
    for stops in (["2"], ["1", "2"]):
        (tmp_path / "-".join(stops)).mkdir()
        monkeypatch.chdir(tmp_path / "-".join(stops))
        for number, stop in enumerate(stops):
            resumed = ["--ckpt_path", "last"] if number else []
            shortest(command, *options.split(), "--trainer.max_steps", stop, *resumed)
        weights.append(torch.load("runs/classifier/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
