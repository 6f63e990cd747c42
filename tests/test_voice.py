"""What a user sees of commands on a terminal of 80 columns: what matters, whole, and nothing else."""

import re
import shlex
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tests.families import FAMILIES
from tests.terminal import ROOT, on_terminal
from tests.test_train import SAME_MODEL

NOISE = re.compile(
    r"litlogger|litmodels|💡|(GPU|TPU|HPU) available|warn|deprecat|FLOPs|eval mode|model summary|hp_metric|Seed set|"
    r"Automatic Mixed Precision|num_workers|Traceback|`Trainer",
    re.I,
)
SHORT = shlex.split("--trainer.max_epochs 2 --trainer.limit_train_batches 3 --trainer.limit_val_batches 2")
STEPS, POINTS = 6, 20  # of such a training, and of a curve at least where there are as many steps
COMMAND = re.compile(r"(?:^|`)(python (?:train\.py|-m examples\.\w+) [^`\n]+?)(?:\s+#.*)?(?:`|$)", re.M)
README = sorted(set(COMMAND.findall((ROOT / "README.md").read_text())))


def noise(lines: list[str]) -> list[str]:
    return [line for line in lines if NOISE.search(line)]


def check_board(run: Path) -> None:
    """What TensorBoard shows of a short training: curves of every step, and nothing that is no curve."""
    (events,) = run.glob("events.out.*")
    board = EventAccumulator(str(events), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    scalars, told = board.Tags()["scalars"], board.summary_metadata
    losses = [tag for tag in scalars if re.fullmatch(r"train/(\w+_)?loss", tag)]
    assert losses
    assert all(len(board.Scalars(tag)) >= min(STEPS, POINTS) for tag in losses)
    assert "hp_metric" not in scalars
    session = metadata.parse_session_start_info_plugin_data(told[metadata.SESSION_START_INFO_TAG].plugin_data.content)
    assert session.hparams["model.class_path"].string_value
    assert not [name for name in session.hparams if "_instantiator" in name]
    trained, validated = (
        {tag[len(begin) :] for tag in scalars if tag.startswith(begin)} for begin in ("train/", "val/")
    )
    both = trained & validated
    assert ("custom_scalars__config__" in told) == bool(both)


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
    check_board(tmp_path / "runs/sorting_encoder/version_0")


def test_the_readme_has_commands():
    """Those of the road, of the first minute, and of a user's own."""
    assert len([command for command in README if " fit " in command]) >= 7
    assert len([command for command in README if "examples" in command]) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("command", README)
def test_a_command_of_the_readme_is_quiet(command, tmp_path):
    """The commands as they stand, but of a training only its first steps, and of a test two episodes."""
    words = shlex.split(command)[1:]
    if any(word in command for word in ("with/own", "with/gpu", "with/ddp", "book.txt", "pairs.tsv")):
        pytest.skip("needs files of the user's own, or machines")
    configs = [Path(word).stem for word in words if word.startswith("configs/")]
    names = [SAME_MODEL.get(name, name) for name in configs]
    if words[0] == "train.py":
        words[0] = str(ROOT / "train.py")
        words = [str(ROOT / word) if re.match("configs/|pretrained/", word) else word for word in words]
        words += [*FAMILIES[names[0]].words(), *SHORT] if names else []
        words += ["--trainer.log_every_n_steps=1"] if "cifar10_fast" in names else []  # it has an interval of its own
    if "examples.numpy_mnist" in words:
        words[2:] = ["softmax", "--source", "fonts"]
    lines = on_terminal(words, 80, tmp_path)
    assert not noise(lines)
    assert any(line.startswith("next    ") for line in lines)
    if names or "examples.numpy_mnist" in words:
        assert any(line.startswith("run     runs/") for line in lines)
        assert any(line.startswith(("look at runs/", "curves  ")) for line in lines)
    if names:
        start = " ".join("\n".join(lines).split("epoch 1/2: ")[0].split())
        assert re.search(r"^\w+ of [\d,]+ parameters; .+, 3 batches an epoch, 2 epochs; CPU, 32-true; ", start)
        check_board(tmp_path / "runs" / configs[0] / "version_0")


@pytest.mark.slow
def test_the_demo_ends_with_its_video_and_the_next_command(tmp_path):
    for name in ("configs", "pretrained"):
        (tmp_path / name).symlink_to(ROOT / name)
    lines = on_terminal(["-m", "demo", "--epochs", "1", "--episodes", "2"], 80, tmp_path)
    assert not noise(lines)
    last = "\n".join(lines).split("\nrun     ")[-1]
    assert last.startswith("runs/demo\nlook at runs/demo/side-by-side.mp4\n")
    assert re.search(r"^curves  \w", last, re.M)
    assert re.search(r"^next    \S*python train.py fit --config configs/pusht.yaml", last, re.M)
    assert (tmp_path / "runs/demo/side-by-side.mp4").stat().st_size > 1000
