"""Every mistake is answered by one line that names it and says what to do, an exit code that is not 0, no traceback.

Commands run within this process: `train.command_line` is what `python train.py` calls.
"""

import pickle
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import parquet
from safetensors.torch import save_file

import train
from datamodules import episodes, sources
from tests.datamodules.lerobot_folders import CAMERA, write_folder, write_video
from tests.families import FAMILIES, FONTS
from tests.test_train import ROOT

QUICK = ("mnist_mlp", "sorting_encoder", "pusht")
MLP = "--config configs/mnist_mlp.yaml"
FAST = "--config configs/with/fast.yaml"
SHIFT = "[{{class_path: Shift, init_args: {{{}}}}}]"


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """Calls train.py with a line of words, and returns the line that it ends with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")

    def no_network(*args, **options):
        raise ConnectionError("no network")

    load = sources.load_dataset
    monkeypatch.setattr(
        sources,
        "load_dataset",
        lambda place, *args, **options: (load if place == "parquet" or Path(place).exists() else no_network)(
            place, *args, **options
        ),
    )
    monkeypatch.setattr(episodes, "fetched", lambda source, keys: None)
    monkeypatch.delenv(train.DEBUG, raising=False)
    monkeypatch.setattr("sys.argv", ["train.py"])

    def call(line: str) -> str:
        words = [
            str(ROOT / word) if word.startswith(("configs/", "pretrained/", "examples/")) else word
            for word in shlex.split(line)
        ]
        with pytest.raises(SystemExit) as exit_:
            train.command_line(words)
        assert exit_.value.code not in (0, None)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        last = said.strip().splitlines()[-1]
        assert last.startswith("train.py: "), said
        assert len(last) < 700, last
        return last

    return call


def has(line: str, answers: list[str]) -> None:
    for answer in answers:
        assert answer in line, line


@pytest.mark.parametrize(
    "config", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("--model.wdith 8", ["wdith"]),
        ("--data.batch_sizes 8", ["batch_sizes", "did you mean"]),
        ("--trainer.max_epoch 3", ["max_epoch", "did you mean 'trainer.max_epochs'"]),
        ("--model.{lr} fast", ["{lr}=fast", "float"]),
        ("--trainer.max_epochs many", ["trainer.max_epochs=many", "int"]),
        ("--trainer.precision bf17", ["trainer.precision=bf17", "bf16-mixed"]),
        ("--trainer.accelerator abacus", ["abacus", "cpu"]),
        ("--data.batch_size 0", ["batch_size=0", "at least 1"]),
        ("--model.{lr} -0.1", ["{lr}=-0.1", "[0, inf)"]),
        ("--ckpt_path none.ckpt", ["none.ckpt"]),
        ("--ckpt_path torn.ckpt", ["torn.ckpt is torn"]),
        ("--ckpt_path other.ckpt", ["other.ckpt is no checkpoint"]),
    ],
)
def test_a_wrong_word_in_any_family(config, words, answers, refused, tmp_path):
    whole = tmp_path / "whole.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6"}, whole)
    (tmp_path / "torn.ckpt").write_bytes(whole.read_bytes()[:200])
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    words = words.replace("{lr}", lr := "generator_lr" if config == "svhn_gan" else "lr")
    answers = [answer.replace("{lr}", lr) for answer in answers]
    has(refused(f"fit --config configs/{config}.yaml {FAMILIES[config].alone} {words}"), answers)


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("fitt", ["'fitt'", "did you mean 'fit'"]),
        ("train --config configs/pusht.yaml", ["'train'", "fit, validate, test, predict"]),
        ("--confg configs/pusht.yaml fit", ["--confg"]),
        ("fit", ["model"]),
        ("fit --config", ["config"]),
        ("fit --config configs/nothing.yaml", ["configs/nothing.yaml"]),
        ("fit --config configs", ["configs"]),
        ("fit --config empty.yaml", ["empty.yaml", "None"]),
        ("fit --config torn.yaml", ["torn.yaml"]),
        ("fit --config list.yaml", ["list.yaml"]),
        ("fit --config binary.yaml", ["binary.yaml"]),
        ("fit --config strange.yaml", ["lightning_modules.none.None"]),
        ("fit --config other_class.yaml", ["pathlib.Path"]),
        (f"fit {MLP} --print_confg", ["print_confg"]),
        (f"fit {MLP} {FONTS} stray", ["stray"]),
        (f"fit {MLP} {FONTS} --seed_everything soon", ["seed_everything=soon", "int"]),
        (f"fit {MLP} {FONTS} --trainer.devices 0", ["devices"]),
        (f"fit {MLP} {FONTS} --trainer.limit_train_batches -1", ["limit_train_batches"]),
        (f"fit {MLP} {FONTS} --trainer.callbacks callbacks.none.None", ["callbacks.none.None"]),
        (f"fit {MLP} {FAST} {FONTS} --checkpoint.monitor val/none", ["val/none"]),
        (f"fit {MLP} {FONTS} --model.optimizer lion", ["optimizer", "lion"]),
        (
            f"fit {MLP} {FONTS} --model.lr_schedule optim.lr_schedule.WarmupCosine --model.lr_schedule.warmup -1",
            ["warmup=-1"],
        ),
        (f"fit {MLP} {FONTS} --model.label_smoothing 2", ["label_smoothing=2"]),
        (f"fit {MLP} {FONTS} --model.num_classes 11", ["11", "10"]),
        (f"fit {MLP} {FONTS} --model.shape [3,28,28]", ["shape=[3, 28, 28]", "[1, 28, 28]"]),
        (f"fit {MLP} {FONTS} --model.mean [0.1]", ["mean=[0.1]", "std=None"]),
        (f"fit {MLP} {FONTS} --data.augment {{blur:2}}", ["augment"]),
        (f"fit {MLP} {FONTS} --data.augment '{{shift: 2}}'", ["augment"]),
        (f"fit {MLP} {FONTS} --data.augment '[Blur]'", ["augment", "Blur"]),
        (f"fit {MLP} {FONTS} --data.augment '{SHIFT.format('pixels: -2')}'", ["pixels=-2"]),
        (f"fit {MLP} {FONTS} --data.augment '{SHIFT.format('pixel: 2')}'", ["pixel"]),
        (f"fit {MLP} {FONTS} --data.augment '{SHIFT.format('pixels: 2, fill: white')}'", ["white", "reflect"]),
        (f"fit {MLP} {FONTS} --data.val_share 1.0", ["val_share=1.0"]),
        (f"fit {MLP} {FONTS} --data.val_share 0.99999", ["val_share=0.99999", "lower it"]),
        (f"fit {MLP} --data.source no/such", ["no/such", "--data.source fonts"]),
        (
            "fit --model lightning_modules.mlp_classifier.MLPClassifier "
            "--data datamodules.published_images.PublishedImages --data.source x",
            ["images.Images", "mnist.MNIST"],
        ),
        (f"fit {MLP} {FONTS} --data.val_share 0", ["val_share=0.0 holds nothing out", "--checkpoint.monitor null"]),
        (f"fit {MLP} {FONTS} --data.augment '{SHIFT.format('pixels: 28')}'", ["Shift: pixels=28", "28 x 28"]),
        ("fit --config configs/pusht.yaml --data.val_share 0", ["val/score", "--checkpoint.monitor null"]),
        (f"predict {MLP}", ["predict needs a trained model", "--ckpt_path"]),
        (f"test {MLP} {FONTS}", ["test needs a trained model", "--ckpt_path"]),
        (f"validate {MLP} {FONTS}", ["validate needs a trained model", "--ckpt_path"]),
        (f"fit --config configs/cifar10_fast.yaml {FONTS} --model.small_size 8", ["small_size=8", "16 and 32"]),
        (f"fit --config configs/cifar10_fast.yaml {FONTS} --model.small_share 1", ["small_share=1", "less than 1"]),
        ("fit --config configs/sorting_encoder.yaml --data.max_length 65", ["max_length=65", "2 to 64"]),
        ("fit --config configs/sorting_encoder.yaml --model.vocab_size 50", ["vocab_size=50", "104", "leave it out"]),
        ("fit --config configs/sorting_encoder.yaml --model.network.heads 3", ["heads=3", "width=128"]),
        ("fit --config configs/sorting_encoder.yaml --model.network.positions far", ["far"]),
        ("fit --config configs/sorting_encoder.yaml --model.network.max_length 8", ["max_length=8"]),
        ("fit --config configs/pig_latin_decoder.yaml --data.tokenizer words", ["words"]),
        (
            "fit --config configs/pig_latin_decoder.yaml --data.tokenizer BPETokenizer --data.tokenizer.vocab_size 98",
            ["vocab_size=98", "at least 99"],
        ),
        ("fit --config configs/pig_latin_decoder.yaml --data.word_share 2", ["word_share=2"]),
        ("fit --config configs/pig_latin_decoder.yaml --data.source no/such.txt", ["no/such.txt"]),
        ("fit --config configs/pig_latin_decoder.yaml --data.source empty.yaml", ["empty.yaml"]),
        ("fit --config configs/pig_latin_decoder.yaml --data.train_on_words true", ["train_on_words", "--data.words"]),
        (f"fit --config configs/svhn_gan.yaml {FONTS} --model.objective lsgan", ["objective", "lsgan"]),
        (f"fit --config configs/svhn_gan.yaml {FONTS} --model.discriminator_steps 0", ["discriminator_steps=0"]),
        (f"fit --config configs/svhn_gan.yaml {FONTS} --model.diff_augment [blur]", ["diff_augment", "blur"]),
        (f"fit --config configs/svhn_gan.yaml {FONTS} --model.ema 1", ["ema=1", "[0, 1)"]),
        ("fit --config configs/pusht.yaml --model.objective velocity", ["`objective` is now `prediction_type`"]),
        ("fit --config configs/pusht.yaml --model.prediction_type Velocity", ["prediction_type", "Velocity"]),
        ("fit --config configs/pusht.yaml --model.network CNN", ["network", "CNN"]),
        ("fit --config configs/pusht.yaml --model.n_action_steps 17", ["n_action_steps=17", "horizon=16"]),
        ("fit --config configs/pusht.yaml --model.horizon 8", ["horizon=8", "horizon=16"]),
        ("fit --config configs/pusht.yaml --data.source no/such", ["no/such", "FIRSTLIGHT_DATA"]),
        ("test --config configs/pusht.yaml --ckpt_path no.ckpt", ["no.ckpt"]),
        ("predict --config configs/sorting_encoder.yaml --ckpt_path no.safetensors", ["no.safetensors"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_command(line, answers, refused, tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "torn.yaml").write_text("model: {class_path: [")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    for name, path in [("strange", "lightning_modules.none.None"), ("other_class", "pathlib.Path")]:
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"model": {"class_path": path}}))
    has(refused(line), answers)


PAIRS = "--config examples/dates/dates.yaml --data.source"
LEARNED = "--data.tokenizer LearnedCharacterTokenizer"
FREE = "--config configs/text_decoder.yaml --data.source"
ONE_KIND = "--data.tokenizer CharacterTokenizer --data.tokenizer.alphabet"


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        (f"{PAIRS} null", ["no pairs are named", "--data.source"]),
        (f"{PAIRS} no/such.tsv", ["no data found", "no/such.tsv"]),
        (f"{PAIRS} empty.tsv", ["empty.tsv", "Empty CSV file"]),
        (f"{PAIRS} empty.jsonl", ["empty.jsonl", "Empty JSON file"]),
        (f"{PAIRS} list.jsonl", ["list.jsonl", "cannot be read as rows"]),
        (f"{PAIRS} one.tsv", ["one column, '1'", "a pair needs two"]),
        (f"{PAIRS} ragged.tsv", ["ragged.tsv", "Expected 2 columns, got 1"]),
        (f"{PAIRS} latin.tsv", ["latin.tsv", "UTF8"]),
        (f"{PAIRS} gap.tsv", ["column '2'", "holds '' in row 1"]),
        (f"{PAIRS} gap.jsonl", ["column 'to'", "holds None in row 1"]),
        (f"{PAIRS} numbers.jsonl", ["column 'from'", "holds 1 in row 0", "a text is needed"]),
        (f"{PAIRS} words.jsonl --data.columns [a,to]", ["lacks the column a", "it has from, to"]),
        (f"{PAIRS} words.jsonl --data.columns [to,to]", ["columns=['to', 'to']", "name two"]),
        (f"{PAIRS} words.jsonl --data.columns [to]", ["columns"]),
        (f"{PAIRS} words.tsv --data.val_share 1", ["val_share=1.0", "[0, 1)"]),
        (f"{PAIRS} words.tsv --data.test_share -0.1", ["test_share=-0.1"]),
        (f"{PAIRS} words.tsv --data.val_share 0.5 --data.test_share 0.5", ["leave nothing to train on"]),
        (f"{PAIRS} single.tsv --data.val_share 0.95 --data.test_share 0", ["holds 1 pairs, and none is left"]),
        (f"{PAIRS} words.tsv --data.val_share 0", ["val/exact_match", "--checkpoint.monitor null"]),
        (f"{PAIRS} words.tsv --data.batch_size 0", ["batch_size=0"]),
        (f"{PAIRS} words.tsv --data.seed -1", ["seed=-1"]),
        (f"{PAIRS} words.tsv --data.tokenizer words", ["words"]),
        (f"{PAIRS} words.tsv --data.tokenizer BPETokenizer", ["too short for vocab_size=512"]),
        (f"{PAIRS} words.tsv --data.tokenizer ByteLevelBPETokenizer --data.tokenizer.vocab_size 259", ["at least 260"]),
        (f"{PAIRS} words.tsv {ONE_KIND} abc", ["training pairs", "'w' in", "is not known", "ByteLevelBPETokenizer"]),
        (f"{PAIRS} words.tsv {ONE_KIND} ''", ["alphabet is empty"]),
        (f"{PAIRS} unseen", ["the test pairs of", "'é' in 'word é'"]),
        (f"{PAIRS} words.tsv --model.vocab_size 50", ["vocab_size=50", "follows from the data"]),
        (f"{PAIRS} words.tsv --model.network.max_length 3", ["max_length=3", "train with a larger max_length"]),
        (f"{PAIRS} words.tsv --model.text_metrics.bleu BLUE", ["text_metrics", "BLUE"]),
        (f"{PAIRS} words.tsv --model.generation_config.temperature -1", ["temperature=-1"]),
        (f"{PAIRS} words.tsv --model.generation_config.top_p 0.9", ["top_p=0.9", "temperature=0 draws nothing"]),
        (
            f"{PAIRS} words.tsv --model.generation_config.temperature 1 --model.generation_config.beams 2",
            ["beams=2", "temperature=1"],
        ),
        (f"{FREE} no/such.txt", ["no data found", "no/such.txt"]),
        (f"{FREE} empty.txt", ["too short for vocab_size=1024"]),
        (f"{FREE} empty.txt {LEARNED}", ["is empty"]),
        (f"{FREE} short.txt {ONE_KIND} short", ["holds 6 tokens to train on", "block_size=256"]),
        (f"{FREE} latin.txt", ["latin.txt is not in UTF-8"]),
        (f"{FREE} words.jsonl", ["lacks the column text", "it has from, to"]),
        (f"{FREE} numbers.jsonl --data.column from", ["the column from", "something else than text"]),
        (f"{FREE} words.tsv", ["lacks the column text"]),
        (f"{FREE} pydoc {ONE_KIND} abc", ["the training text of 'pydoc'", "is not known", "ByteLevelBPETokenizer"]),
        (f"{FREE} pydoc --data.block_size 0", ["block_size=0"]),
        (f"{FREE} pydoc --data.block_size 200000", ["fewer than two blocks of block_size=200000"]),
        (f"{FREE} pydoc --data.block_size 300", ["a sequence of 300 tokens is too long", "max_length=256"]),
        (f"{FREE} pydoc --data.batch_size 0", ["batch_size=0"]),
        (f"{FREE} pydoc --data.val_share 2", ["val_share=2.0"]),
        (
            f"{FREE} book.txt {LEARNED} --data.val_share 0.03 --data.block_size 128",
            ["the validation text of 'book.txt' has", "raise val_share"],
        ),
        (f"{FREE} pydoc --data.val_share 0", ["val/loss", "--checkpoint.monitor null"]),
        (f"{FREE} pydoc --data.prompt ''", ["the prompt is empty", "--data.prompt"]),
        (f"{FREE} pydoc --data.seed -1", ["seed=-1"]),
        (f"{FREE} pydoc --model.network networks.transformer.Encoder", ["LanguageModel needs", "Encoder lacks cache"]),
        (f"{FREE} pydoc --model.vocab_size 99", ["vocab_size=99", "1024"]),
        (f"{FREE} pydoc --trainer.callbacks callbacks.text_samples.TextSamples", ["TextSamples", "TextContinuations"]),
        (
            f"{PAIRS} words.tsv --trainer.callbacks callbacks.text_continuations.TextContinuations",
            ["TextContinuations", "go_on"],
        ),
        (
            "--model Seq2Seq --data datamodules.text.Text --trainer.max_epochs 1",
            ["Seq2Seq learns pairs", "LanguageModel"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_and_pairs_that_do_not_fit(line, answers, refused, tmp_path):
    words = [f"word {number}\tWORD {number}\n" for number in range(100)]
    content = {
        "words.tsv": "".join(words),
        "single.tsv": "a\tb\n",
        "one.tsv": "a\nb\n",
        "ragged.tsv": "a\tb\nc\n",
        "gap.tsv": "a\tb\nc\t\n",
        "gap.jsonl": '{"from": "a", "to": "b"}\n{"from": "c"}\n',
        "numbers.jsonl": '{"from": 1, "to": "b"}\n',
        "words.jsonl": '{"from": "a", "to": "b"}\n' * 9,
        "list.jsonl": '[{"from": "a", "to": "b"}]',
        "short.txt": "short",
        "book.txt": "".join(words),
        "unseen/train.tsv": "".join(words),
        "unseen/test.tsv": "word é\tWORD\n",
        **dict.fromkeys(["empty.tsv", "empty.jsonl", "empty.txt"], ""),
    }
    (tmp_path / "unseen").mkdir()
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    for name in ("latin.tsv", "latin.txt"):
        (tmp_path / name).write_bytes("é\tÉ\n".encode("latin-1") * 9)
    has(refused(f"fit {line}"), answers)


MODELS = {
    "mnist_mlp": "--data.images mine",
    "sorting_decoder": '--data.numbers "[5, 3, 9]"',
    "pig_latin_encoder_decoder": "--data.text hello",
    "pusht": "",
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("weights", "answers"),
    [
        ("torn.safetensors", ["torn.safetensors is not a readable safetensors file"]),
        ("empty.safetensors", ["empty.safetensors is not a readable safetensors file"]),
        ("pickle.safetensors", ["pickle.safetensors is not a readable safetensors file"]),
        ("other.safetensors", ["other.safetensors do not fit", "config.yaml beside them"]),
        ("none.safetensors", ["none.safetensors"]),
        ("folder.safetensors", ["folder.safetensors"]),
    ],
)
def test_weights_that_are_none(name, weights, answers, refused, tmp_path):
    whole = (ROOT / "pretrained" / name / "model.safetensors").read_bytes()
    (tmp_path / "torn.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    save_file({"weights": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    image(tmp_path / "mine")
    line = f"predict --config pretrained/{name}/config.yaml --ckpt_path {weights} {MODELS[name]}"
    has(refused(line), answers)


def image(folder: Path) -> None:
    folder.mkdir()
    from PIL import Image

    Image.new("RGB", (40, 40)).save(folder / "a.png")


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("mnist_mlp --data.images none", ["none", "name one that holds images"]),
        ("mnist_mlp --data.images texts", ["texts holds 1 files, and none is an image"]),
        ("mnist_mlp --data.images nothing", ["nothing holds 0 files"]),
        ('sorting_decoder --data.numbers "[5, 300]"', ["300", "0 to 99"]),
        ('sorting_decoder --data.numbers "[]"', ["numbers"]),
        ('sorting_decoder --data.numbers "[one]"', ["one"]),
        ("sorting_decoder --data.numbers 5", ["numbers"]),
        (f'sorting_decoder --data.numbers "{[1] * 200}"', ["200"]),
        ("sorting_decoder", ["--data.numbers"]),
        ('pig_latin_encoder_decoder --data.text ""', ["empty"]),
        ('pig_latin_encoder_decoder --data.text "  "', ["empty"]),
        ("pig_latin_encoder_decoder --data.text naïve", ["'ï'"]),
        (f'pig_latin_encoder_decoder --data.text "{"long " * 60}"', ["max_length=120"]),
        ("pig_latin_encoder_decoder", ["--data.text"]),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_question_that_cannot_be_answered(line, answers, refused, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.png").write_text("no image")
    (tmp_path / "nothing").mkdir()
    model, _, question = line.partition(" ")
    given = f"--config pretrained/{model}/config.yaml --ckpt_path pretrained/{model}/model.safetensors"
    has(refused(f"predict {given} {question}"), answers)


def digits(images=None, labels=(0, 1, 2), **columns) -> pa.Table:
    """Three black images of 28 x 28, in the layout of the Hub, with something changed."""
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.new("L", columns.pop("size", (28, 28))).save(content, "PNG")
    encoded = images or [{"bytes": content.getvalue(), "path": None}] * 3
    return pa.table({"image": encoded, "label": pa.array(labels)} | columns)


def steps(**changed) -> pa.Table:
    """40 steps of a bundled demonstration, with something changed."""
    columns = parquet.read_table(ROOT / "datamodules/bundled/pusht.parquet").slice(0, 40).to_pydict()
    return pa.table({name: value for name, value in (columns | changed).items() if value is not None})


IMAGES = {
    "another column": (digits().rename_columns(["photo", "label"]), ["image"]),
    "no labels": (digits().drop_columns(["label"]), ["label"]),
    "a label too large": (digits(labels=(0, 1, 10)), ["labels from 0 to 10", "allowed are 0 to 9"]),
    "a negative label": (digits(labels=(0, -1, 2)), ["labels from -1 to 2"]),
    "labels that are words": (digits(labels=("a", "b", "c")), ["'a', which is none of 0, 1", "--data.class_names"]),
    "labels that are missing": (digits(labels=(0, None, 2)), ["whole numbers"]),
    "another size": (digits(size=(32, 32)), ["32 x 32", "28 x 28"]),
    "images that are none": (digits([{"bytes": b"none", "path": None}] * 3), ["image 0", "cannot be read"]),
    "numbers for images": (digits([1, 2, 3]), ["int64", "images are needed"]),
    "nothing": (digits().slice(0, 0), ["no rows"]),
}
DEMONSTRATIONS = {
    "no actions": (steps(action=None), ["action"]),
    "three coordinates": (steps(action=[[1.0, 2.0, 3.0]] * 40), ["action", "(3,)", "(2,)"]),
    "words": (steps(action=[["a", "b"]] * 40), ["action"]),
    "not a number": (steps(action=[[1.0, float("nan")]] * 40), ["action", "not finite"]),
    "infinity": (steps(**{"observation.state": [[1.0, float("inf")]] * 40}), ["observation.state", "not finite"]),
    "corners of something else": (steps(**{"observation.environment_state": [[1.0] * 8] * 40}), ["(8,)", "(16,)"]),
    "an episode shorter than the horizon": (
        steps(episode_index=[0] * 38 + [1] * 2, frame_index=[*range(38), 0, 1]),
        ["an episode of 2 steps is shorter than the horizon"],
    ),
    "steps that are missing": (steps(frame_index=range(5, 45)), ["frame_index from 5 to 44", "count from 0"]),
    "nothing": (steps().slice(0, 0), ["no rows"]),
}


@pytest.mark.parametrize("what", IMAGES)
def test_images_that_are_none(what, refused, tmp_path):
    table, answers = IMAGES[what]
    for split in ("train", "test"):
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    has(refused(f"fit {MLP} --data.source {tmp_path}"), answers)


OWN_IMAGES = "fit --model lightning_modules.{} --data datamodules.images.Images --data.source"


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("none", ["no data found for source 'none'"]),
        ("empty", ["empty holds no images; give it a folder for each class"]),
        ("case", ["'Cat' and 'cat', which differ only in case"]),
        ("sizes", ["differ in size, such as 8 x 8 and 8 x 9 pixels", "--data.size 32"]),
        ("broken", ["none of 2 images of 'broken' that were looked at can be read"]),
        ("one", ["num_classes=1"]),
        ("good --data.size 0", ["size=0", "at least 1"]),
        ("good --data.size [8,8,8]", ["size=[8, 8, 8]", "a height and a width"]),
        ("good --data.channels 2", ["channels"]),
        ("good --data.test_share 1", ["test_share=1.0", "[0, 1)"]),
        ("good --data.broken_share -1", ["broken_share=-1.0", "[0, 1)"]),
        ("good --data.in_memory -1", ["in_memory=-1.0", "[0, inf)"]),
        ("good --data.class_names [cat,cow]", ["has the class 'dog', which is none of cat, cow"]),
        ("good --model.num_classes 3", ["num_classes=3", "2"]),
        (
            "good --model fast_cnn_classifier.FastCNNClassifier",
            ["[3, 8, 8] is too small", "CNNClassifier takes any"],
        ),
        ("good --data.size 50 --model gan.GAN", ["50 x 50", "divisible by 8", "take 48 x 48"]),
        ("good --data.size 33 --model ddpm.DDPM", ["sides must be even", "take 34 x 34"]),
        ("good --data.size 4097", ["size=4097", "4096"]),
        ("good --data.test_share 0.99", ["0.99 leaves none of 8 different images", "lower it"]),
        ("good --data.split_seed -1", ["split_seed=-1"]),
        ("good --data.class_names [cat,cat]", ["each class needs a name of its own"]),
        (f"good --data.augment '{SHIFT.format('pixels: 8')}'", ["pixels=8", "8 x 8"]),
        ("fonts --data.class_names [a,b]", ["digits from fonts have names of their own"]),
        ("loose", ["loose/a.png lies beside folders of images", "the folder of its class"]),
        ("beside", ["holds images in cow/ beside train/", "move one of them"]),
        ("twice", ["val/ and", "validation/", "both the validation split", "keep one"]),
        ("only_test", ["holds test, but no train/"]),
        ("unseen", ["the validation split of 'unseen' has the class 'cow', which is none of cat, dog"]),
        ("torn", ["more than broken_share=0.01 of 8 images", "cat/z.png", "--data.broken_share"]),
        ("idx", ["IDX format", "mlp.md"]),
        (
            "rows.parquet --data.image_column picture",
            ["lacks the column picture", "photo, kind", "--data.image"],
        ),
        ("rows.parquet --data.label_column class", ["lacks the column class", "--data.label_column"]),
        ("rows.parquet --data.label_column photo", ["must hold whole numbers or names of classes"]),
        ("two.parquet", ["holds the image could be left, right", "--data.image_column"]),
        ("floats.parquet", ["holds the label is none of photo, kind", "--data.label_column"]),
        ("gap.parquet", ["column photo", "holds no image in 1 of its rows"]),
        ("none.parquet", ["none of 2 images", "can be read"]),
    ],
)
def test_folders_of_images_that_do_not_fit(words, answers, refused, tmp_path):
    from PIL import Image

    folders = {"case": ("Cat", "cat"), "one": ("cat",), "good": ("cat", "dog"), "sizes": ("cat", "dog")}
    for number, (name, classes) in enumerate(folders.items()):
        for width, kind in enumerate(classes):
            (tmp_path / name / kind).mkdir(parents=True)
            for shade in range(4):
                size = (8 + width * (name == "sizes"), 8)
                Image.new("RGB", size, (shade, number, width)).save(tmp_path / name / kind / f"{shade}.png")
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    (tmp_path / "broken" / "cat").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "broken" / "cat" / f"{name}.png").write_text("no image")
    good = tmp_path / "good"
    for place in ("torn", "loose"):
        shutil.copytree(good, tmp_path / place)
    (tmp_path / "torn" / "cat" / "z.png").write_text("no image")
    (tmp_path / "torn" / "cat" / "0.png").unlink()
    shutil.copy(good / "cat" / "0.png", tmp_path / "loose" / "a.png")
    for place in ("beside/train", "beside/cow", "twice/train", "twice/val", "twice/validation", "only_test/test"):
        shutil.copytree(good, tmp_path / place)
    shutil.copytree(good, tmp_path / "unseen" / "train")
    shutil.copytree(good / "cat", tmp_path / "unseen" / "val" / "cow")
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    photos, kinds = [path.read_bytes() for path in sorted((good / "cat").iterdir())[:2]], ["a", "b"]
    tables = {
        "rows": {"photo": photos, "kind": kinds},
        "two": {"left": photos, "right": photos, "kind": kinds},
        "floats": {"photo": photos, "kind": [0.5, 1.5]},
        "gap": {"photo": [None, photos[0]], "kind": kinds},
        "none": {"photo": [b"no image"] * 2, "kind": kinds},
    }
    for name, columns in tables.items():
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    words, _, model = words.partition(" --model ")
    has(refused(f"{OWN_IMAGES.format(model or 'cnn_classifier.CNNClassifier')} {words}"), answers)


MEASURED = "--data.source good --trainer.callbacks.classifier pretrained/{}"


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("gan.yaml --data.source good", ["SampleQuality measures by", "no weights runs/classifier", "train it first"]),
        (f"gan.yaml {MEASURED.format('mnist_mlp')}", ["of shape [1, 28, 28], the data's are [3, 8, 8]"]),
        (
            f"ddpm.yaml {MEASURED.format('mnist_mlp')} --data.size 28 --data.channels 1",
            ["tells 10 classes apart, the data have 2"],
        ),
        (f"ddpm.yaml {MEASURED.format('pusht')}", ["pusht is of a DiffusionPolicy, which lacks head"]),
    ],
)
def test_a_classifier_that_cannot_measure_samples(words, answers, refused, tmp_path):
    """It is refused before training."""
    from PIL import Image

    for kind in ("cat", "dog"):
        (tmp_path / "good" / kind).mkdir(parents=True)
        for shade in range(4):
            Image.new("RGB", (8, 8), (shade, 0, ord(kind[0]))).save(tmp_path / "good" / kind / f"{shade}.png")
    has(refused(f"fit --config examples/own_images/{words}"), answers)


@pytest.mark.parametrize("what", DEMONSTRATIONS)
def test_demonstrations_that_are_none(what, refused, tmp_path):
    table, answers = DEMONSTRATIONS[what]
    parquet.write_table(table, tmp_path / "mine.parquet")
    has(
        refused(f"fit --config configs/pusht.yaml --data.source {tmp_path / 'mine.parquet'} --data.pad_after 7"),
        answers,
    )


OWN = "fit --config examples/pendulum/pendulum.yaml"
MINE = f"{OWN} --data.source mine.parquet"
LEROBOT = f"{OWN} --data.source lerobot --trainer.callbacks null --checkpoint.monitor null"
TOP = f"--data.observation {CAMERA}"
WON = "env_id: MountainCarContinuous-v0, success_key: won"
ROLLOUTS = "--trainer.callbacks '[{{class_path: callbacks.rollouts.Rollouts, init_args: {{{}}}}}]'"


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        (f"{OWN} --data.source no/such", ["no/such", "FIRSTLIGHT_DATA"]),
        (f"{OWN} --data.source '[]'", ["names no demonstrations"]),
        (f"{MINE} --data.observation nothing", ["lacks the column nothing", "observation.state"]),
        (f"{MINE} --data.observation '{{a: nothing}}'", ["lacks the column nothing"]),
        (f"{MINE} --data.observation '[observation.state, nothing]'", ["lacks the column nothing"]),
        (f"{MINE} --data.observation '[]'", ["name at least one column"]),
        (f"{MINE} --data.action nothing", ["lacks the column nothing"]),
        (f"{MINE} --data.action '[]'", ["name at least one column"]),
        (f"{MINE} --data.action words", ["column words"]),
        (f"{MINE} --data.observation ragged", ["column ragged", "equally many numbers"]),
        (f"{MINE} --data.observation holes", ["column holes", "not finite"]),
        (f"{MINE} --data.observation photo", ["image 0"]),
        (f"{MINE} --data.n_obs_steps 0", ["n_obs_steps=0"]),
        (f"{MINE} --data.horizon 0", ["horizon=0"]),
        (f"{MINE} --data.pad_after 8", ["pad_after=8", "horizon=8"]),
        (f"{MINE} --data.val_share 0.9", ["val_share=0.9", "2 episodes"]),
        (f"{MINE} --data.on_device maybe", ["on_device", "maybe"]),
        (f"{MINE} --data.horizon 30 --data.pad_after 0", ["20 steps is shorter than the horizon", "horizon=30"]),
        (f"{MINE} --model.observation_shape [4]", ["observation_shape=[4]", "[2]", "leave it out"]),
        (f"{MINE} --model.action_dim 3", ["action_dim=3", "leave it out"]),
        (
            f"{MINE} --model.features networks.pusht_features.PushTFeatures",
            ["observation_shape=[2]", "[18]", "NormalizedFeatures"],
        ),
        (f"{MINE} --model.features Keypoints", ["features", "Keypoints"]),
        (f"{MINE}", ["the policy observes [2]", "Pendulum-v1 shows [3]"]),
        (f"{MINE} {ROLLOUTS.format('env_id: Nowhere-v0')}", ["env_id='Nowhere-v0' cannot be made"]),
        (f"{MINE} {ROLLOUTS.format('env_id: nowhere:Some-v0')}", ["env_id='nowhere:Some-v0' cannot be made"]),
        (f"{MINE} {ROLLOUTS.format('env_id: CartPole-v1')}", ["CartPole-v1", "Discrete", "a Box"]),
        (f"{MINE} {ROLLOUTS.format('env_id: Pendulum-v1, env_options: {gravity: 1}')}", ["cannot be made", "gravity"]),
        (f"{MINE} {ROLLOUTS.format('parallel_worlds: 0')}", ["parallel_worlds=0"]),
        (f"{MINE} --data.action timestamp {ROLLOUTS.format(WON)}", ["success_key='won'", "or none"]),
        (f"{LEROBOT} --data.observation nothing", ["lack nothing", "observation.state"]),
        (f"{LEROBOT} {TOP}", ["holds images", "image_encoder"]),
        (f"{LEROBOT} --data.observation '[{CAMERA}, observation.state]'", ["cannot be one vector", CAMERA]),
        (f"{LEROBOT} --data.action {CAMERA}", ["names images", "columns of numbers"]),
        (f"{LEROBOT} --data.source no_videos {TOP}", ["episode_000000.mp4 of episode 0 is missing"]),
        (f"{LEROBOT} --data.source torn_video {TOP}", ["episode_000000.mp4 cannot be decoded"]),
        (f"{LEROBOT} --data.source old", ["says version v1.6", "v2.0, v2.1, v3.0"]),
        (f"{LEROBOT} --data.source other_size", ["rows of shape (3,)", "(9,), as meta/info.json says"]),
        (f"{LEROBOT} --data.source fewer_rows", ["holds 9 of the 10 steps", "fetch it once more"]),
        (f"{LEROBOT} --data.source torn_info", ["info.json is no readable JSON"]),
        (f"{LEROBOT} --data.source no_features", ["info.json names no features"]),
        (f"{LEROBOT} --data.source no_rows", ["no_rows"]),
        (f"{LEROBOT} --data.source no_rate {TOP}", ["says fps=0", "frames per second"]),
        (f"{LEROBOT} --data.source no_path {TOP}", ["video_path='{nothing}.mp4', which names no file"]),
        (f"{LEROBOT} --data.source short_video {TOP}", ["has no frame at 0.300 s", "2 of 5 are missing"]),
        (f"{LEROBOT} --data.source no_episodes {TOP}", ["do not say which video shows", "of episode 0"]),
        (f"{OWN} --data.source interleaved.parquet", ["are interleaved", "frame_index"]),
        (
            "fit --model lightning_modules.diffusion_policy.DiffusionPolicy --data datamodules.sorting.Sorting",
            ["observation_shape=None", "follow from the data", "datamodules.demonstrations.Demonstrations"],
        ),
        (
            "fit --model lightning_modules.mlp_classifier.MLPClassifier --data datamodules.sorting.Sorting",
            ["mean and std of the images are measured", "Sorting, which has no channel_statistics()"],
        ),
        (f"{LEROBOT} --data.source sizes", ["actions have the shape (2,) in one file and (3,) in another"]),
    ],
    ids=lambda value: value.removeprefix(OWN)[-90:] if isinstance(value, str) else "",
)
def test_demonstrations_of_ones_own_that_do_not_fit(line, answers, refused, tmp_path):
    half = {"episode_index": [0] * 20 + [1] * 20, "frame_index": [*range(20)] * 2}
    columns = {
        "words": ["word"] * 40,
        "ragged": [[1.0]] * 39 + [[1.0, 2.0]],
        "holes": [[1.0]] * 39 + [[float("nan")]],
        "photo": [{"bytes": b"none", "path": None}] * 40,
    }
    parquet.write_table(steps(**half, **columns), tmp_path / "mine.parquet")
    (tmp_path / "sizes").mkdir()
    parquet.write_table(steps(**half), tmp_path / "sizes/a.parquet")
    parquet.write_table(steps(**half, action=[[1.0, 2.0, 3.0]] * 40), tmp_path / "sizes/b.parquet")
    parquet.write_table(
        steps(episode_index=[0, 1] * 20).drop_columns(["frame_index"]), tmp_path / "interleaved.parquet"
    )
    for name in (
        *("lerobot", "no_videos", "torn_video", "old", "other_size", "fewer_rows", "torn_info"),
        *("no_features", "no_rows", "no_rate", "no_path", "short_video", "no_episodes"),
    ):
        if name not in line:
            continue
        info = {
            "old": {"codebase_version": "v1.6"},
            "fewer_rows": {"total_frames": 10},
            "no_features": {"features": None},
            "no_rate": {"fps": 0},
            "no_path": {"video_path": "{nothing}.mp4"},
        }.get(name, {})
        version = "v3.0" if name == "no_episodes" else "v2.1"
        folder = write_folder(tmp_path / name, version, videos=name == "lerobot", info=info)
        if name == "no_rows":
            shutil.rmtree(folder / "data")
        if name == "no_episodes":
            shutil.rmtree(folder / "meta/episodes")
        if name == "short_video":
            write_video(folder / f"videos/chunk-000/{CAMERA}/episode_000000.mp4", np.arange(3))
        if name == "torn_video":
            video = folder / f"videos/chunk-000/{CAMERA}/episode_000000.mp4"
            video.parent.mkdir(parents=True)
            video.write_text("none")
        if name == "other_size":
            text = (folder / "meta/info.json").read_text()
            (folder / "meta/info.json").write_text(text.replace('"shape": [3]', '"shape": [9]'))
        if name == "torn_info":
            (folder / "meta/info.json").write_text("{")
    has(refused(line), answers)


@pytest.mark.parametrize("config", ["mnist_mlp", "pusht"])
@pytest.mark.parametrize("content", ["torn", "text", "empty", "no file"])
def test_a_source_that_is_no_parquet(config, content, refused, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    whole = ROOT / "datamodules/bundled/pusht.parquet"
    for split in ("train", "test") if content != "no file" else ():
        path = folder / f"{split}.parquet"
        shutil.copy(whole, path)
        if content != "torn":
            path.write_text("no parquet" * (content == "text"))
        else:
            path.write_bytes(whole.read_bytes()[:5000])
    has(refused(f"fit --config configs/{config}.yaml --data.source {folder}"), [str(folder)])


def test_a_folder_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "runs").write_text("in the way")
    has(refused(f"fit {MLP} {FONTS} --trainer.max_steps 1 --trainer.limit_val_batches 1"), ["runs"])


def test_the_same_mistake_with_debugging_is_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(train.DEBUG, "1")
    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(ValueError, match="no class lion is known"):
        train.command_line(
            [
                "fit",
                "--config",
                str(ROOT / "configs/mnist_mlp.yaml"),
                "--data.source",
                "fonts",
                "--model.optimizer",
                "lion",
            ]
        )
