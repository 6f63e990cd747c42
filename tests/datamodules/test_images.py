import io
import itertools
import math
import re
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from PIL import Image, ImageOps

from datamodules import cache, decoded_images, image_sources
from datamodules.augmentation import AlternatingFlip, Shift
from datamodules.image_files import read_image_files
from datamodules.image_reader import fit_image
from datamodules.mnist import MNIST
from datamodules.published_images import PublishedImages
from tests.datamodules.own_images import write_classes
from tests.datamodules.read_images import read_images


class Squares(PublishedImages):
    shape = (3, 8, 6)
    class_names = ("a", "b", "c")
    image_column = "img"


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(n=40, size=(8, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), np.uint8)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a folder with both splits in the Hub's layout and returns it."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))

    def write(train=None, labels=None, **columns):
        for number, split in enumerate(("train", "test")):
            drawn = pixels(seed=number) if train is None else train
            files = [{"bytes": png(image), "path": None} for image in drawn]
            own = np.arange(len(files)) % 3 if labels is None else labels
            table = pa.table({"img": files, "label": own} | columns)
            (tmp_path / "data").mkdir(exist_ok=True)
            pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
        return str(tmp_path / "data")

    return write


def fit(data, epochs=1, **options):
    """Batches that a model is trained on and validated with, by epoch."""

    class Watch(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.seen = {"train": [[] for _ in range(epochs)], "val": [[] for _ in range(epochs)]}

        def training_step(self, batch, _):
            self.seen["train"][self.current_epoch].append(batch)

        def validation_step(self, batch, _):
            self.seen["val"][self.current_epoch].append(batch)

        def configure_optimizers(self):
            return None

    module = Watch()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet | options)
    trainer.fit(module, data)
    return module.seen


def test_what_one_process_has_prepared_the_others_find_decoded(write, monkeypatch):
    first, second = Squares(write(), val_share=0.25), Squares(write(), val_share=0.25)
    first.trainer = SimpleNamespace(num_devices=2, state=SimpleNamespace(fn="fit"))
    first.prepare_data()
    monkeypatch.setattr(decoded_images, "read_image", lambda *args: pytest.fail("decoded again"))
    second.setup("fit")
    assert (len(second.train_set), len(second.val_set)) == (30, 10)
    assert not hasattr(first, "train_set")


def test_decodes_what_was_drawn(write):
    data = Squares(write(), val_share=0.25)
    data.setup()
    expected = torch.from_numpy(pixels(seed=1)).permute(0, 3, 1, 2)
    assert torch.equal(data.test_set.images, expected)
    assert torch.equal(data.test_set.labels, torch.arange(40) % 3)
    assert data.test_set.images.dtype == torch.uint8
    assert data.test_set.labels.dtype == torch.int64
    whole = torch.cat([data.train_set.images, data.val_set.images]).flatten(1)
    drawn = torch.from_numpy(pixels()).permute(0, 3, 1, 2).flatten(1)
    assert (len(data.train_set), len(data.val_set)) == (30, 10)
    assert sorted(whole.tolist()) == sorted(drawn.tolist())


def test_the_split_goes_by_its_seed(write):
    source = write()
    sets = []
    for seed in (0, 0, 1):
        data = Squares(source, split_seed=seed, val_share=0.25)
        data.setup("fit")
        assert not hasattr(data, "test_set")
        sets.append(data.val_set.images)
    assert torch.equal(sets[0], sets[1])
    assert not torch.equal(sets[0], sets[2])


def test_whom_the_split_holds_out(write):
    """As published figures have it: the first of a permutation by torch."""
    data = Squares(write(), split_seed=3, val_share=0.25)
    data.setup("fit")
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    drawn = torch.from_numpy(pixels()).permute(0, 3, 1, 2)
    assert torch.equal(data.val_set.images, drawn[order[:10]])
    assert torch.equal(data.train_set.images, drawn[order[10:]])
    assert torch.equal(data.train_set.labels, order[10:] % 3)


@pytest.mark.parametrize("changes", [{"split_seed": 1}, {"val_share": 0}])
def test_a_split_is_decoded_once_whatever_is_held_out_of_it(changes, write, monkeypatch):
    source = write()
    Squares(source).setup("fit")
    monkeypatch.setattr(decoded_images, "read_image", None)  # from here on nothing can be decoded
    Squares(source, **changes).setup("fit")


def test_another_size_and_other_channels(write):
    source = write()
    data = Squares(source, size=[4, 5], channels=1)
    assert data.shape == (1, 4, 5)
    data.setup("test")
    expected = fit_image(Image.fromarray(pixels(seed=1)[0]).convert("L"), 4, 5)
    assert torch.equal(data.test_set.images[0, 0], torch.from_numpy(np.array(expected)))
    assert Squares("fonts", size=12).shape == (3, 12, 12)


@pytest.mark.parametrize(("names", "class_names"), [("ba", ("a", "b", "c")), ("de", ("d", "e"))])
def test_a_folder_of_image_files(names, class_names, tmp_path):
    for first, split in enumerate(("train", "test")):
        write_classes(tmp_path / split, dict.fromkeys(names, 4), first=100 * first, size=(8, 6))
    data = Squares(str(tmp_path), val_share=0.25)
    assert data.class_names == class_names
    data.setup()
    assert (len(data.train_set), len(data.val_set)) == (6, 2)
    assert data.test_set.labels.tolist() == [class_names.index(name) for name in sorted(names) for _ in range(4)]
    write_classes(tmp_path / "alone", {"a": 4}, size=(8, 6))
    alone = Squares(str(tmp_path / "alone"))
    alone.setup("fit")
    with pytest.raises(ValueError, match=r"has no split 'test', only train; add a folder test/"):
        alone.setup("test")


def test_grey_images_become_what_is_asked_for(write):
    source = write()
    grey = read_images(source, "test", (1, 8, 6), Squares.class_names, "img")
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in pixels(seed=1)]
    assert torch.equal(grey.images[:, 0], torch.from_numpy(np.stack(expected)))


def test_the_cache_is_used_and_survives_damage(write, monkeypatch, tmp_path):
    source = write()
    first = read_images(source, "test", Squares.shape, Squares.class_names, "img")
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again = read_images(source, "test", Squares.shape, Squares.class_names, "img")
    assert torch.equal(first.images, again.images)
    monkeypatch.setattr(decoded_images, "read_image", None)  # from here on nothing can be decoded
    third = read_images(source, "test", Squares.shape, Squares.class_names, "img")
    assert torch.equal(first.images, third.images)
    assert torch.equal(first.labels, third.labels)


def test_changed_data_are_not_taken_from_the_cache(write):
    first = read_images(write(), "test", Squares.shape, Squares.class_names, "img")
    other = read_images(write(train=pixels(seed=5)), "test", Squares.shape, Squares.class_names, "img")
    relabelled = read_images(
        write(train=pixels(seed=5), labels=[2] * 40), "test", Squares.shape, Squares.class_names, "img"
    )
    assert not torch.equal(first.images, other.images)
    assert torch.equal(other.images, relabelled.images)
    assert (relabelled.labels == 2).all()


def test_a_batch_is_indexed_whole(write):
    data = Squares(write())
    data.setup("test")
    batch = data.test_set.__getitems__([5, 0, 7])
    assert batch["image"].shape == (3, 3, 8, 6)
    for place, index in enumerate([5, 0, 7]):
        alone = data.test_set[index]
        assert torch.equal(batch["image"][place], alone["image"])
        assert batch["label"][place] == alone["label"] == index % 3
        assert batch["index"][place] == alone["index"] == index


def test_every_image_once_an_epoch_in_another_order(write):
    data = Squares(write(), batch_size=6, val_share=0.25)
    seen = fit(data, epochs=2)
    orders = [torch.cat([batch["index"] for batch in epoch]) for epoch in seen["train"]]
    assert [len(batch["index"]) for batch in seen["train"][0]] == [6] * 5  # 30 images
    assert not torch.equal(orders[0], orders[1])
    for order in orders:
        assert sorted(order.tolist()) == list(range(30))
    held_out = torch.cat([batch["index"] for batch in seen["val"][0]])
    assert held_out.tolist() == list(range(10))


def test_the_last_batch_is_dropped_in_training_only(write):
    seen = fit(Squares(write(), batch_size=7, val_share=0.25))
    assert [len(batch["index"]) for batch in seen["train"][0]] == [7] * 4
    assert [len(batch["index"]) for batch in seen["val"][0]] == [7, 3]


def test_fewer_images_than_a_batch_are_one_batch(write):
    seen = fit(Squares(write(), batch_size=100, val_share=0.25))
    assert [len(batch["index"]) for batch in seen["train"][0]] == [30]


def test_augmented_in_training_only(write):
    data = Squares(write(), augment=[AlternatingFlip()], val_share=0.25)
    seen = fit(data, epochs=2)
    mirrored = torch.zeros(2, 30, dtype=torch.bool)
    for epoch, (batch,) in enumerate(seen["train"]):
        own = data.train_set.images[batch["index"]]
        flipped = (batch["image"] == own.flip(-1)).flatten(1).all(1)
        assert torch.equal(~flipped, (batch["image"] == own).flatten(1).all(1))
        mirrored[epoch, batch["index"]] = flipped
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert 5 < mirrored[0].sum() < 25
    for batch in seen["val"][0]:
        assert torch.equal(batch["image"], data.val_set.images[batch["index"]])


def test_nothing_held_out(write):
    data = Squares(write(), val_share=0, batch_size=10)
    seen = fit(data)
    assert len(data.train_set) == 40
    assert seen["val"] == [[]]


def test_paths_instead_of_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "0.png").write_bytes(png(pixels(1)[0]))
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    files = pa.array([{"bytes": None, "path": str(tmp_path / "0.png")}], image)
    pq.write_table(pa.table({"img": files, "label": [0]}), tmp_path / "rows.parquet")
    read = read_images(str(tmp_path / "rows.parquet"), "train", Squares.shape, Squares.class_names, "img")
    assert torch.equal(read.images[0], torch.from_numpy(pixels(1)[0]).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": [3] * 40}, ["label", "3 to 3", "0 to 2"]),
        ({"labels": [-1, *[0] * 39]}, ["-1 to 0"]),
        ({"labels": [0.5] * 40}, ["label", "double", "whole numbers"]),
        ({"labels": [None, *[0] * 39]}, ["label", "whole numbers"]),
        ({"img": ["x"] * 40}, ["img", "string", "PNG or JPEG"]),
        ({"img": [{"bytes": b"no image", "path": None}] * 40}, ["image 0", "cannot be read"]),
        ({"train": [*pixels(2), *pixels(1, (9, 6))], "labels": [0] * 3}, ["image 2", "9 x 6", "8 x 6"]),
    ],
    ids=str,
)
def test_bad_data_are_named(write, changes, words):
    source = write(**changes)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        Squares(source).setup("test")
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_an_empty_split_is_named(write):
    place = f"{write()}/test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(place).slice(0, 0), place)
    with pytest.raises(ValueError, match=r"'test' of '.*' holds no rows"):
        Squares(str(Path(place).parent)).setup("test")


def test_a_missing_column_is_named(write):
    with pytest.raises(ValueError, match="lacks the column image; it has img, label"):
        read_images(write(), "test", Squares.shape, Squares.class_names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"val_share": 1.0}, "val_share=1.0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"augment": {"shift": 3}}, "augment holds 'shift'; it must be a list of augmentations"),
        ({"augment": [Shift(6)]}, "pixels=6 leaves nothing of images of 8 x 6"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Squares("anywhere", **options)


def test_a_share_that_leaves_nothing_to_train_on(write):
    with pytest.raises(ValueError, match="leaves none of 40"):
        Squares(write(), val_share=0.999).setup("fit")


def named(names, numbers, folder, splits=("train", "test")):
    """Images of one grey each, 20 times their class, whose ClassLabel has these names."""
    features = Features({"img": ImageFeature(), "label": ClassLabel(names=names)})
    files = [Image.new("RGB", (6, 8), (20 * "abcdef".index(names[number]),) * 3) for number in numbers]
    for split in splits:
        Dataset.from_dict({"img": files, "label": numbers}, features=features).to_parquet(folder / f"{split}.parquet")


@pytest.mark.parametrize("names", [*itertools.permutations("abc")])
def test_a_class_is_its_name_whatever_its_number(names, tmp_path):
    named(names, [0, 1, 2, 1], tmp_path)
    data = Squares(str(tmp_path), val_share=0)
    data.setup()
    assert data.class_names == ("a", "b", "c")
    for read in (data.train_set, data.test_set):
        assert (read.labels * 20 == read.images[:, 0, 0, 0]).all()


def test_names_of_some_classes_are_these(tmp_path):
    named(["c", "a"], [0, 1, 1], tmp_path)
    data = Squares(str(tmp_path))
    data.setup("test")
    assert data.class_names == ("a", "b", "c")
    assert data.test_set.labels.tolist() == [2, 0, 0]


def test_names_of_other_classes_are_the_datas(tmp_path):
    named(["e", "d"], [0, 1, 1], tmp_path)
    named(["d", "e"], [0, 1, 1], tmp_path, ["test"])
    data = Squares(str(tmp_path), val_share=0)
    data.setup()
    assert data.class_names == ("e", "d")
    assert sorted(data.train_set.labels.tolist()) == [0, 1, 1]
    assert data.test_set.labels.tolist() == [1, 0, 0]
    named(["d", "f"], [0, 1, 1], tmp_path, ["test"])
    data = Squares(str(tmp_path), val_share=0)
    with pytest.raises(ValueError, match=r"names the class 'f', which is none of e, d; .* --data.class_names"):
        data.setup()


def test_files_that_number_their_classes_differently(tmp_path):
    named(["a", "b"], [0, 1], tmp_path, ["train_1"])
    named(["b", "a"], [0, 1], tmp_path, ["train_2"])
    read = read_images(str(tmp_path), "train", Squares.shape, Squares.class_names, "img")
    assert read.labels.tolist() == [0, 1, 1, 0]


def test_columns_and_classes_of_other_names(tmp_path):
    """Plain bytes of PNG files, and names of classes in place of numbers."""
    rows = {"photo": [png(image) for image in pixels(3)], "kind": ["dog", "cat", "dog"]}
    pq.write_table(pa.table(rows), tmp_path / "test.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns img, label; it has photo, kind; .*--data\.image_column"):
        Squares(str(tmp_path)).setup("test")
    columns = {"image_column": "photo", "label_column": "kind"}
    with pytest.raises(ValueError, match=r"names the class 'dog', which is none of a, b, c; .*--data\.class_names"):
        Squares(str(tmp_path), **columns).setup("test")
    data = Squares(str(tmp_path), **columns, class_names=["cat", "dog"])
    data.setup("test")
    assert data.class_names == ("cat", "dog")
    assert data.test_set.labels.tolist() == [1, 0, 1]
    assert torch.equal(data.test_set.images, torch.from_numpy(pixels(3)).permute(0, 3, 1, 2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "F", "turned"])
def test_training_and_predict_read_alike(mode, tmp_path, monkeypatch):
    """300 black images used to train."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    drawn = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6), np.uint8))
    options = {}
    if mode in ("RGBA", "LA"):
        ink = Image.new("LA", drawn.size, (0, 0))
        ink.putalpha(drawn)
        image = ink.convert(mode)
        expected = 255 - np.asarray(drawn)  # black ink on white
    elif mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 8
        image, options = drawn.transpose(Image.Transpose.ROTATE_270), {"exif": exif}
        expected = np.asarray(drawn)
    else:
        deep = np.asarray(drawn) * np.float32(257 if mode == "I;16" else 1 / 255)
        image = Image.fromarray(deep.astype(np.uint16) if mode == "I;16" else deep)
        expected = np.asarray(drawn)
    content = io.BytesIO()
    image.save(content, "TIFF" if mode == "F" else "PNG", **options)
    (tmp_path / "mine").write_bytes(content.getvalue())
    rows = {"image": [content.getvalue()], "label": [0]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    trained = read_images(str(tmp_path / "rows.parquet"), "train", (1, 8, 6), ["a"]).images[0]
    assert torch.equal(trained[0], torch.from_numpy(expected.copy()))
    assert torch.equal(read_image_files(tmp_path / "mine", (1, 8, 6)).images[0], trained)


def test_negatives(write):
    source = write()
    plain, negative = Squares(source), Squares(source, invert=True)
    for data in (plain, negative):
        data.setup("test")
    assert torch.equal(negative.test_set.images, 255 - plain.test_set.images)


def test_dark_ink_on_light_paper_is_said(tmp_path, capsys):
    digit = Image.new("L", (28, 28))
    digit.paste(255, (12, 4, 16, 24))
    for number in range(3):
        (ImageOps.invert(digit) if number else digit).save(tmp_path / f"{number}.png")
    data = MNIST("anywhere", images=str(tmp_path))
    data.setup("predict")
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 3 images look like dark ink on light paper, and MNIST shows light ink" in said
    assert said.endswith("try --data.invert true")
    (tmp_path / "0.png").unlink()
    data = MNIST("anywhere", images=str(tmp_path), invert=True)
    data.setup("predict")
    assert torch.equal(data.predict_set.images[0, 0], torch.from_numpy(np.asarray(digit)))
    assert not capsys.readouterr().err.strip()


def test_the_base_says_which_data_sets_there_are():
    with pytest.raises(ValueError, match=r"PublishedImages does not say .* datamodules\.images\.Images .*\.MNIST"):
        PublishedImages("anywhere")


def test_one_image_of_one_class(write):
    source = write(train=pixels(1), labels=[0])
    data = Squares(source)
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (1, 0, 1)
    assert data.val_dataloader() == []
    assert [len(batch["index"]) for batch in fit(data)["train"][0]] == [1]


def test_nothing_held_out_and_a_checkpoint_that_waits_for_it(write):
    """In one line, before the first step."""
    data = Squares(write(), val_share=0)
    for callback in (ModelCheckpoint(monitor="val/accuracy"), EarlyStopping(monitor="val/loss")):
        with pytest.raises(ValueError, match=f"val_share=0 holds nothing out, so that val/.*{type(callback).__name__}"):
            fit(data, callbacks=[callback], enable_checkpointing=True)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("batch_size", [1, 2**31 - 1], [0, -1, 2**100]),
        ("val_share", [0, 0.9], [1, -1, 2**62, math.nan, math.inf, 0.99]),
        ("split_seed", [0, 1, 2**62], [-1, 2**100]),
    ],
)
def test_numbers_at_their_edges(name, good, bad, write):
    """Each works, or is refused in words."""
    source = write()
    for value in good:
        data = Squares(source, **{name: value})
        data.setup("fit")
        assert len(next(iter(data.train_dataloader()))["index"])
    for value in bad:
        with pytest.raises(ValueError, match=rf"^{name}={re.escape(str(value))} [^\n]*$"):
            Squares(source, **{name: value}).setup("fit")


def test_shape_and_classes_are_known_before_anything_is_read(tmp_path, monkeypatch):
    """Those that files name, too, where they are other ones; what cannot be read is refused later."""
    monkeypatch.setattr(image_sources.sources, "load_files", None)  # from here on nothing can be read
    data = Squares("anywhere")
    assert (data.shape, data.num_classes, data.class_names) == ((3, 8, 6), 3, ("a", "b", "c"))
    assert Squares("fonts").class_names == tuple("0123456789")
    given = Squares("anywhere", class_names=["x", "y"])
    assert (given.num_classes, given.class_names) == (2, ("x", "y"))
    named(["c", "a"], [0, 1], tmp_path)
    assert Squares(str(tmp_path)).class_names == ("a", "b", "c")
    named(["e", "d", "f", "g"], [0, 1], tmp_path)
    assert (Squares(str(tmp_path)).num_classes, Squares(str(tmp_path)).class_names) == (4, ("e", "d", "f", "g"))
    assert Squares(str(tmp_path), class_names=["x"]).class_names == ("x",)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 torn")
    assert Squares(str(tmp_path)).class_names == ("a", "b", "c")


def test_statistics_and_first_images_of_the_training_set(write):
    data = Squares(write(), val_share=0.25)
    with pytest.raises(ValueError, match=r'not read yet; call setup\("fit"\) first'):
        data.channel_statistics()
    with pytest.raises(ValueError, match=r'not read yet; call setup\("fit"\) first'):
        data.training_images(3)
    data.setup("fit")
    mean, std = data.channel_statistics()
    whole = data.train_set.images.numpy() / 255
    np.testing.assert_allclose(mean, whole.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, whole.std((0, 2, 3)), rtol=1e-6)
    assert torch.equal(data.training_images(7), data.train_set.images[:7])
    assert torch.equal(data.training_images(100), data.train_set.images)
    for count in (0, -1, 2**63, 1.5, True):
        with pytest.raises(ValueError, match=f"count={count} must be a whole number"):
            data.training_images(count)
