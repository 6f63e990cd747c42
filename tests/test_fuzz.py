"""Random configs, command lines and data files: what they raise is what `train.py` answers in one line, or nothing.

`FIRSTLIGHT_FUZZ=1000 python -m pytest tests/test_fuzz.py` runs that many examples of each.
"""

import contextlib
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from PIL import Image
from pyarrow import parquet
from safetensors.torch import save_file
from torch import nn

import train
from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO
from checkpoints.pretrained import load_weights
from datamodules.image_files import read_image_files
from datamodules.mnist import MNIST
from datamodules.pig_latin import PigLatin
from datamodules.pusht import BUNDLED_FILES, PushTDemos
from datamodules.sentences import read_text, sentences
from tests.datamodules.read_images import read_images
from tests.test_bad_input import digits
from tests.test_train import ROOT

ANSWERED = (ValueError, OSError, MisconfigurationException)  # what `train.command_line` turns into one line
EXAMPLES = int(os.environ.get("FIRSTLIGHT_FUZZ", "0"))
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def fuzzed(examples: int, **strategies):
    """A test on so many examples, or as many as FIRSTLIGHT_FUZZ says, the same ones each time."""

    def decorate(test):
        checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
        chosen = settings(
            max_examples=EXAMPLES or examples,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=checks,
        )
        return chosen(given(**strategies)(test))

    return decorate


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)
KEYS = """
model model.class_path model.init_args model.init_args.lr data data.class_path data.init_args data.batch_size trainer
trainer.max_epochs trainer.precision trainer.callbacks trainer.logger trainer.strategy trainer.devices trainer.plugins
trainer.profiler trainer.limit_val_batches checkpoint checkpoint.monitor checkpoint.dirpath optimizer seed_everything
ckpt_path config last_checkpoint graceful_shutdown
"""
keys = st.sampled_from(KEYS.split())


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")
    monkeypatch.delenv(train.DEBUG, raising=False)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.chdir(tmp_path)


def answer(arguments: list[str]) -> None:
    """Call `train.py` up to where it would build and train: it prints a config, or one line."""
    said, shown = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as left:
        train.command_line(arguments)
    if left.value.code not in (0, None):
        assert "Traceback" not in said.getvalue()
        assert said.getvalue().strip().splitlines()[-1].startswith("train.py: "), said.getvalue()


@fuzzed(8, text=words | st.text(max_size=60) | values.map(yaml.safe_dump) | st.binary(max_size=60))
def test_any_file_as_a_config(text):
    Path("any.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    answer(["fit", "--config", "any.yaml", "--print_config"])


@fuzzed(4, name=st.sampled_from(CONFIGS), changes=st.dictionaries(keys, values, max_size=3))
def test_a_config_with_anything_laid_over(name, changes):
    overlay: dict = {}
    for key, value in changes.items():
        place, *rest = key.split(".")
        overlay[place] = value if not rest else {rest[0]: value if len(rest) == 1 else {rest[1]: value}}
    Path("over.yaml").write_text(yaml.safe_dump(overlay, allow_unicode=True), encoding="utf-8")
    answer(["fit", "--config", str(name), "--config", "over.yaml", "--print_config"])


@fuzzed(
    4,
    name=st.sampled_from(CONFIGS),
    changes=st.lists(
        st.tuples(keys | words.map(lambda word: word.replace("=", "")), words | values.map(str)), max_size=3
    ),
    joined=st.booleans(),
)
def test_any_command_line(name, changes, joined):
    arguments = ["fit", "--config", str(name)]
    for key, value in changes:
        arguments += [f"--{key}={value}"] if joined else [f"--{key}", value]
    if any(argument.lstrip("-").startswith(("help", "h", "print_shtab")) for argument in arguments):
        return
    answer([*arguments, "--print_config"])


@contextlib.contextmanager
def answered():
    with contextlib.suppress(*ANSWERED):
        yield


def spoilt(whole: bytes, cut: float, flips: list[tuple[float, int]]) -> bytes:
    """The first part of a file, some bits of which are turned over."""
    torn = bytearray(whole[: round(cut * len(whole))])
    for place, bit in flips:
        if torn:
            torn[int(place * (len(torn) - 1))] ^= 1 << bit
    return bytes(torn)


share = st.floats(0, 1)
damage = {
    "cut": st.just(1.0) | share,
    "flips": st.lists(st.tuples(share, st.integers(0, 7)), max_size=8),
}
lists = st.sampled_from([1, 2, 8, 16, 18]).flatmap(
    lambda size: st.lists(st.lists(st.floats(width=32), min_size=size, max_size=size), min_size=1, max_size=30)
)
columns = (
    lists
    | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)
    | st.lists(st.integers(-3, 12) | st.none(), max_size=30)
    | st.lists(st.floats(), max_size=30)
    | st.lists(st.booleans(), max_size=30)
    | st.lists(st.text(max_size=5), max_size=30)
    | st.lists(st.binary(max_size=9), max_size=30)
    | st.lists(st.lists(st.floats(), max_size=3), max_size=30)
    | st.lists(
        st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=40), "path": st.none() | words}), max_size=9
    )
)


def table(content: dict[str, list]) -> pa.Table | None:
    """Columns of one length; None where Arrow has no such values."""
    length = min(map(len, content.values()), default=0)
    with contextlib.suppress(
        pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError, pa.ArrowNotImplementedError
    ):
        return pa.table({name: pa.array(column[:length]) for name, column in content.items()})
    return None


def write(content: pa.Table) -> str:
    """A new file each time: `datasets` remembers one that it has seen."""
    path = Path(f"{np.random.default_rng().integers(2**60)}.parquet")
    with contextlib.suppress(pa.ArrowNotImplementedError):
        parquet.write_table(content, path)
    return str(path)


@pytest.fixture(autouse=True)
def quiet_datasets(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    datasets.disable_progress_bars()


COLUMNS = ("observation.state", "observation.environment_state", "action", "episode_index")


@fuzzed(15, content=st.dictionaries(st.sampled_from(COLUMNS), columns, min_size=3))
def test_demonstrations_of_any_columns(content):
    rows = table(content)
    if rows is not None:
        with answered():
            PushTDemos(write(rows), val_share=0.5).setup()


@fuzzed(15, content=st.dictionaries(st.sampled_from(["image", "label"]), columns, min_size=1))
def test_images_of_any_columns(content):
    rows = table(content)
    if rows is not None:
        with answered():
            read_images(write(rows), "train", (1, 28, 28), MNIST.class_names)


@fuzzed(15, **damage)
def test_demonstrations_from_a_damaged_file(cut, flips):
    path = Path(write(parquet.read_table(BUNDLED_FILES[0]).slice(0, 200)))
    path.write_bytes(spoilt(path.read_bytes(), cut, flips))
    with answered():
        PushTDemos(str(path), val_share=0.5).setup()


@fuzzed(15, **damage)
def test_images_from_a_damaged_file(cut, flips):
    path = Path(write(digits()))
    path.write_bytes(spoilt(path.read_bytes(), cut, flips))
    with answered():
        read_images(str(path), "train", (1, 28, 28), MNIST.class_names)


@fuzzed(100, text=st.text(max_size=400))
def test_sentences_of_any_text(text):
    for sentence in sentences(text):
        assert sentence.isascii()


@fuzzed(20, content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
def test_a_corpus_of_anything(content):
    Path("corpus.txt").write_bytes(content)
    with answered():
        sentences(read_text("corpus.txt"))
        PigLatin(source="corpus.txt", words="corpus.txt", train_size=8).setup()


@fuzzed(40, text=st.text(max_size=130))
def test_any_text_to_translate(text):
    with answered():
        for batch in PigLatin(text=text, max_length=120).predict_dataloader():
            assert len(batch["source"]) == 1


def encoded(kind: str) -> bytes:
    content = io.BytesIO()
    image = Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint8).reshape(48, 40, 3))
    image.save(content, kind, exif=Image.Exif())
    return content.getvalue()


IMAGES = {kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")}


@fuzzed(60, kind=st.sampled_from(sorted(IMAGES)), **damage)
def test_a_damaged_image_to_predict_from(kind, cut, flips):
    Path("mine").mkdir(exist_ok=True)
    Path("mine/image").write_bytes(spoilt(IMAGES[kind], cut, flips))
    with answered():
        assert read_image_files("mine", (3, 32, 32)).images.shape == (1, 3, 32, 32)


def checkpoint() -> bytes:
    content = io.BytesIO()
    layer = nn.Linear(3, 2)
    torch.save({"state_dict": layer.state_dict(), "epoch": 3, "loops": {"a": [1, 2.5, None, "b"]}}, content)
    return content.getvalue()


CHECKPOINT = checkpoint()


@fuzzed(150, **damage)
def test_a_damaged_checkpoint(cut, flips):
    Path("damaged.ckpt").write_bytes(spoilt(CHECKPOINT, cut, flips))
    with answered():
        AtomicCheckpointIO().load_checkpoint("damaged.ckpt")


@fuzzed(60, content=st.binary(max_size=100) | values.map(pickle.dumps))
def test_anything_as_a_checkpoint(content):
    Path("any.ckpt").write_bytes(content)
    with answered():
        AtomicCheckpointIO().load_checkpoint("any.ckpt")


@fuzzed(150, **damage)
def test_damaged_weights(cut, flips):
    save_file(nn.Linear(3, 2).state_dict(), "damaged.safetensors")
    path = Path("damaged.safetensors")
    path.write_bytes(spoilt(path.read_bytes(), cut, flips))
    with answered():
        load_weights(nn.Linear(3, 2), path)
