"""What a user sees of commands on a terminal of 80 columns: what matters, whole, and nothing else."""

import re
import shlex

import pytest

from tests.families import FAMILIES
from tests.terminal import ROOT, on_terminal

NOISE = re.compile(
    r"litlogger|litmodels|💡|(GPU|TPU|HPU) available|warn|deprecat|FLOPs|eval mode|model summary|hp_metric|Seed set|"
    r"Automatic Mixed Precision|num_workers|Traceback|`Trainer",
    re.I,
)
SHORT = shlex.split("--trainer.max_epochs 2 --trainer.limit_train_batches 3 --trainer.limit_val_batches 2")
README = sorted(
    set(
        re.findall(
            r"^(python (?:train\.py|-m examples\.(?:draw|ask)) .+?)(?:\s+#.*)?$",
            *[(ROOT / "README.md").read_text()],
            re.M,
        )
    )
)


def noise(lines: list[str]) -> list[str]:
    return [line for line in lines if NOISE.search(line)]


def test_fit_test_and_predict_say_what_matters(tmp_path):
    """In one process, which saves two starts."""
    config = ["--config", str(ROOT / "configs/sorting_encoder.yaml"), *FAMILIES["sorting_encoder"].words()]
    config += shlex.split("--data.test_long false --data.test_size 16 --trainer.callbacks")
    config += ["[{class_path: callbacks.text_prediction_writer.TextPredictionWriter}]"]
    checkpoint = ["--ckpt_path", "runs/sorting_encoder/version_0/checkpoints/best.ckpt"]
    calls = [
        ["fit", *config, *SHORT],
        ["test", *config, *checkpoint],
        ["predict", *config, *checkpoint, "--data.numbers", "[5, 3, 9]"],
    ]
    script = f"import train\nfor words in {calls!r}:\n    train.command_line(words)"
    lines = on_terminal(["-c", script], 80, tmp_path)
    said = "\n".join(lines)
    assert not noise(lines)
    start = " ".join(said.split("epoch 1/2: ")[0].split())
    where = r"Sorting, 3 batches an epoch, 2 epochs; CPU, 32-true"
    assert re.fullmatch(rf"SequenceTagger of [\d,]+ parameters; {where}; .+ and the validations", start)
    assert re.search(r"^epoch 1/2: train loss [\d.]+; val loss [\d.]+, exact_match [\d.]+$", said, re.M)
    assert re.search(r"^epoch 2/2: ", said, re.M)
    assert re.search(r"^run     runs/sorting_encoder/version_0$", said, re.M)
    assert re.search(r"^best    runs/sorting_encoder/version_0/checkpoints/best.ckpt, val/exact_match", said, re.M)
    assert said.count("test/exact_match") == 1
    assert re.search(r"^5 3 9 -> ", said, re.M)
    assert len(re.findall(r"^next    python train.py (?:test|predict) --config", said, re.M)) == 3
    boards = {path.parent.name for path in tmp_path.rglob("events.out.*")}
    assert boards == {"version_0", "version_1"}  # none of `predict`


def test_the_readme_has_commands():
    assert len(README) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("command", README)
def test_a_command_of_the_readme_is_quiet(command, tmp_path):
    """The commands as they stand, but of a training only its first steps, and of a test two episodes."""
    words = shlex.split(command)[1:]
    names = [name for name in FAMILIES if f"configs/{name}.yaml" in words]
    if " fit " in command and not names:
        pytest.skip("needs files of the user's own")
    if any(word in command for word in ("with/own", "with/gpu", "with/ddp", "book.txt", "pairs.tsv")):
        pytest.skip("needs files of the user's own, or machines")
    if words[0] == "train.py":
        words[0] = str(ROOT / "train.py")
        words = [str(ROOT / word) if re.match("configs/|pretrained/", word) else word for word in words]
        words += [*FAMILIES[names[0]].words(), *SHORT] if names else []
    if "test" in words and "pusht" in command:
        few = "[{class_path: callbacks.rollouts.Rollouts, init_args: {test_episodes: 2, video_episodes: 1}}]"
        words += ["--trainer.callbacks", few]
    lines = on_terminal(words, 80, tmp_path)
    assert not noise(lines)
    assert any(line.startswith("next    ") for line in lines)
