"""`datamodules.images.Images`: a user's own images, whatever files they keep."""

import io
import math
import re
import shutil
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image

from datamodules import cache, decoded_images, fonts
from datamodules.augmentation import HorizontalFlip
from datamodules.images import Images
from tests.datamodules.own_images import picture, write_classes
from tests.datamodules.test_images import fit


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "mine", {"cat": 12, "dog": 8})


def read(source, stage=None, **options):
    data = Images(str(source), **options)
    data.setup(stage)
    return data


def rows(images):
    return {bytes(image.numpy().tobytes()) for image in images}


def pixels(image, mode="RGB"):
    return torch.from_numpy(np.array(image.convert(mode))).reshape(image.height, image.width, -1).permute(2, 0, 1)


def png(image):
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def test_a_folder_says_shape_and_classes(folder):
    data = Images(str(folder))
    assert (data.shape, data.num_classes, data.class_names) == ((3, 12, 10), 2, ("cat", "dog"))


def test_every_image_with_its_class_in_one_set(folder):
    data = read(folder)
    sets = (data.train_set, data.val_set, data.test_set)
    assert [len(part) for part in sets] == [16, 2, 2]
    found = {
        bytes(image.numpy().tobytes()): int(label)
        for part in sets
        for image, label in zip(part.images, part.labels, strict=True)
    }
    assert found == {bytes(pixels(picture(number)).numpy().tobytes()): int(number >= 12) for number in range(20)}


def test_splits_are_taken_as_they_are(tmp_path):
    for first, split in enumerate(("train", "val", "test")):
        write_classes(tmp_path / "mine" / split, {"cat": 2, "dog": 1}, first=10 * first)
    data = read(tmp_path / "mine")
    for first, part in enumerate((data.train_set, data.val_set, data.test_set)):
        assert rows(part.images) == rows(pixels(picture(10 * first + number)) for number in range(3))
        assert part.labels.tolist() == [0, 0, 1]


def test_copies_of_a_file_are_on_one_side_whatever_they_are_called(folder):
    for number in range(20):
        original = next(folder.rglob(f"{number}.png"))
        shutil.copy(original, original.with_name(f"copy of {number}.png"))
    data = read(folder, val_share=0.3, test_share=0.3)
    train, val, test = (rows(part.images) for part in (data.train_set, data.val_set, data.test_set))
    assert (len(train), len(val), len(test)) == (10, 4, 6)
    assert len(train | val | test) == 20
    assert sum(map(len, (data.train_set, data.val_set, data.test_set))) == 40


def test_the_sides_follow_from_contents_and_seed(folder, tmp_path):
    first = read(folder, "test", test_share=0.3)
    other = tmp_path / "renamed"
    for number, path in enumerate(sorted(folder.rglob("*.png"), reverse=True)):
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / path.parent.name / f"{number:03}.png")
    assert rows(read(other, "test", test_share=0.3).test_set.images) == rows(first.test_set.images)
    assert rows(read(folder, "test", test_share=0.3, split_seed=1).test_set.images) != rows(first.test_set.images)
    write_classes(folder, {"cat": 1}, first=100)
    more = rows(read(folder, "test", test_share=0.3).test_set.images)
    assert len(more & rows(first.test_set.images)) >= 5  # of 6: one may have come in between


def test_a_size_for_images_of_many(tmp_path):
    for number, size in enumerate([(30, 20), (12, 40), (1, 50), (50, 1), (16, 16)]):
        write_classes(tmp_path / "mine", {"a": 1, "b": 1}, first=2 * number, size=size)
    with pytest.raises(ValueError, match=r"differ in size, such as 1 x 50 and 50 x 1 pixels; .*--data\.size 32"):
        Images(str(tmp_path / "mine"))
    data = read(tmp_path / "mine", size=16, val_share=0, test_share=0)
    assert data.train_set.images.shape == (10, 3, 16, 16)
    assert rows([pixels(picture(8, (16, 16)))]) <= rows(data.train_set.images)  # as it is
    assert read(tmp_path / "mine", "test", size=[8, 24]).test_set.images.shape[1:] == (3, 8, 24)


def test_the_middle_of_an_image_is_kept(tmp_path):
    wide = Image.new("RGB", (90, 30), (0, 0, 255))
    wide.paste((255, 0, 0), (30, 0, 60, 30))
    (tmp_path / "mine").mkdir()
    wide.save(tmp_path / "mine" / "wide.png")
    data = read(tmp_path / "mine", "fit", size=10, val_share=0, test_share=0)
    assert (data.train_set.images[0, 0] > 230).all()
    assert data.class_names == ("image",)


def test_grey_and_colour(tmp_path):
    write_classes(tmp_path / "mine", {"a": 4, "b": 4}, mode="L")
    assert Images(str(tmp_path / "mine")).shape == (1, 12, 10)
    assert read(tmp_path / "mine", "test", channels=3).test_set.images.shape[1:] == (3, 12, 10)
    write_classes(tmp_path / "mine", {"b": 1}, first=50)
    assert Images(str(tmp_path / "mine")).shape == (3, 12, 10)
    data = read(tmp_path / "mine", "fit", channels=1, val_share=0, test_share=0)
    assert rows([pixels(picture(50), "L")]) <= rows(data.train_set.images)


def kinds():
    """name: what is saved, and the image that it shows."""
    base = picture(0)
    opaque = base.copy()
    opaque.putalpha(255)
    deep = Image.fromarray(np.array(base.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = base.transpose(Image.Transpose.ROTATE_90)
    few = base.quantize(16)
    return {
        "rgba.png": (opaque, {}, base),
        "palette.png": (few, {}, few.convert("RGB")),
        "grey_alpha.png": (opaque.convert("LA"), {}, base.convert("L")),
        "deep.png": (deep, {}, base.convert("L")),
        "turned.png": (turned, {"exif": exif}, base),
        "many.gif": (few, {"save_all": True, "append_images": [picture(1)]}, few.convert("RGB")),
        "ink.tif": (base.convert("CMYK"), {}, base.convert("CMYK").convert("RGB")),
        "bits.png": (base.convert("1"), {}, base.convert("1")),
        "plain.bmp": (base, {}, base),
        "lossless.webp": (base, {"lossless": True}, base),
    }


@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_file(name, tmp_path):
    image, options, shown = kinds()[name]
    (tmp_path / "mine").mkdir()
    image.save(tmp_path / "mine" / name, **options)
    data = Images(str(tmp_path / "mine"), channels=3, val_share=0, test_share=0)
    assert data.shape == (3, 12, 10)
    data.setup("fit")
    assert torch.equal(data.train_set.images[0], pixels(shown))


def test_broken_files_are_named_and_left_out(folder, capsys):
    (folder / "cat" / "torn.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:60])
    (folder / "dog" / "empty.jpg").write_bytes(b"")
    (folder / "dog" / "gone.png").symlink_to(folder / "nowhere.png")
    for _ in range(2):  # from files, then from the cache
        data = read(folder, "fit", broken_share=0.2, val_share=0, test_share=0)
        assert len(data.train_set) == 20
        assert data.train_set.labels.tolist() == [0] * 12 + [1] * 8
    said = capsys.readouterr().err
    for line in ("cat/torn.png: ", "dog/empty.jpg: it is no image", "dog/gone.png: it is a link to a file that is not"):
        assert said.count(line) == 1, said
    assert said.count("3 of 23 images of") == 2
    for share in (0, 0.05):
        with pytest.raises(ValueError, match=r"torn\.png|empty\.jpg|gone\.png") as caught:
            read(folder, "fit", broken_share=share, val_share=0, test_share=0)
        assert "\n" not in str(caught.value)
    assert "more than broken_share=0.05 of 23 images" in str(caught.value)


def test_an_image_of_another_size_is_named(folder):
    for number in range(121):  # so that it is none of those that are looked at
        picture(200 + number).save(folder / "cat" / f"{200 + number}.png")
    picture(7, (9, 9)).save(folder / "cat" / "zz.png")
    with pytest.raises(ValueError, match=r"zz\.png has 9 x 9 pixels; all must have 12 x 10; .*--data\.size 32"):
        read(folder, "fit", test_share=0, val_share=0)


def test_empty_folders_are_said(folder, capsys):
    (folder / "cow").mkdir()
    assert Images(str(folder)).class_names == ("cat", "dog")
    assert "no classes, since they hold no images: cow" in capsys.readouterr().err


@pytest.mark.parametrize("in_memory", [4.0, 1e-6, 0])
def test_more_than_memory_holds_is_mapped_and_the_same(folder, monkeypatch, in_memory):
    """1e-6 GB are less than three images: the set lies in a file, and a run reads the same batches."""
    options = {"augment": [HorizontalFlip()], "batch_size": 4}
    torch.manual_seed(0)
    expected = fit(read(folder, **options), epochs=2)
    opened, load_file = [], cache.load_file
    monkeypatch.setattr(cache, "load_file", lambda path: opened.append(load_file(path)) or opened[-1])
    data = read(folder, **options, in_memory=in_memory)
    torch.manual_seed(0)
    seen = fit(data, epochs=2)
    for ours, theirs in zip(chain(*seen["train"]), chain(*expected["train"]), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    places = {tensor.data_ptr() for file in opened for tensor in file.values()}
    assert (data.train_set.images.data_ptr() in places) == (in_memory < 1)  # else it is a copy


def test_nothing_can_be_kept(folder, tmp_path):
    """What is small is then held in memory; what is not is refused."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="FIRSTLIGHT_CACHE"):
        assert len(read(folder, "fit").train_set) == 16
    with (
        pytest.warns(UserWarning, match="FIRSTLIGHT_CACHE"),
        pytest.raises(ValueError, match=r"more than the 1e-06 GB that may lie in memory; set FIRSTLIGHT_CACHE"),
    ):
        read(folder, "fit", in_memory=1e-6)


def test_changed_files_are_read_again(folder):
    before = read(folder, "fit", val_share=0, test_share=0)
    picture(99).save(folder / "cat" / "0.png")
    after = read(folder, "fit", val_share=0, test_share=0)
    assert rows(after.train_set.images) - rows(before.train_set.images) == rows([pixels(picture(99))])


def test_negatives(folder):
    options = {"val_share": 0, "test_share": 0}
    plain, negative = read(folder, "fit", **options), read(folder, "fit", invert=True, **options)
    assert torch.equal(negative.train_set.images, 255 - plain.train_set.images)


def write_rows(path, columns, names=None):
    path.parent.mkdir(exist_ok=True)
    if names is None:
        pq.write_table(pa.table(columns), path)
    else:
        features = Features({"photo": ImageFeature(), "kind": ClassLabel(names=names)})
        Dataset.from_dict(columns, features=features).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("labels", "names", "class_names"),
    [
        (["dog", "cat", "dog", "ape"], None, ("ape", "cat", "dog")),
        ([3, 10, 3, 2], None, ("2", "3", "10")),
        ([1, 0, 1, 2], ["x", "y", "z"], ("x", "y", "z")),
    ],
)
def test_rows_with_columns_and_classes_of_any_name(labels, names, class_names, tmp_path):
    shown = [picture(number) for number in range(4)]
    photos = shown if names else [png(image) for image in shown]
    path = write_rows(tmp_path / "rows" / "train.parquet", {"photo": photos, "kind": labels}, names)
    for source in (path, path.parent):
        data = read(source, "fit", val_share=0, test_share=0)
        assert (data.shape, data.class_names) == ((3, 12, 10), class_names)
        expected = [names[label] if names else str(label) for label in labels]
        assert [class_names[label] for label in data.train_set.labels] == expected
        assert torch.equal(data.train_set.images, torch.stack([pixels(image) for image in shown]))


def test_splits_of_rows(tmp_path):
    for first, split in enumerate(("train", "validation", "test")):
        photos = [png(picture(10 * first + number)) for number in range(3)]
        write_rows(tmp_path / "rows" / f"{split}.parquet", {"photo": photos, "kind": ["a", "b", "a"]})
    data = read(tmp_path / "rows")
    for first, part in enumerate((data.train_set, data.val_set, data.test_set)):
        assert torch.equal(part.images, torch.stack([pixels(picture(10 * first + number)) for number in range(3)]))


def test_columns_that_could_be_either(tmp_path):
    photos = [png(picture(number)) for number in range(2)]
    path = write_rows(tmp_path / "a.parquet", {"left": photos, "right": photos[::-1], "n": [0, 1], "m": [5, 6]})
    with pytest.raises(ValueError, match=r"holds the image could be left, right; say it with --data\.image_column"):
        Images(str(path))
    with pytest.raises(ValueError, match=r"holds the label could be n, m; say it with --data\.label_column"):
        Images(str(path), image_column="left")
    data = read(path, "fit", image_column="right", label_column="m", val_share=0, test_share=0)
    assert data.class_names == ("5", "6")
    assert torch.equal(data.train_set.images[0], pixels(picture(1)))
    path = write_rows(tmp_path / "b.parquet", {"photo": photos, "n": [0, 1], "label": [5, 6]})
    assert Images(str(path)).class_names == ("5", "6")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"kind": ["a", "b"]}, "holds the image is none of kind"),
        ({"photo": [b"none"] * 2, "kind": ["a", "b"]}, "none of 2 images of .* can be read"),
        ({"photo": [None, b"x"], "kind": ["a", "b"]}, "column photo .* holds no image in 1 of its rows"),
        ({"photo": [b"x"] * 2}, "holds the label is none of photo"),
        ({"photo": [png(picture(0))] * 2, "kind": ["a", None]}, "column kind .* and none in some rows"),
        ({"photo": [png(picture(0))] * 2, "label": [0.5, 1.5]}, "holds the label is none of photo, label"),
    ],
)
def test_rows_that_are_none(columns, words, tmp_path):
    path = write_rows(tmp_path / "rows.parquet", columns)
    with pytest.raises(ValueError, match=words) as caught:
        Images(str(path))
    assert "\n" not in str(caught.value)


def test_a_class_that_only_the_test_split_has(tmp_path):
    write_classes(tmp_path / "mine" / "train", {"cat": 3, "dog": 3})
    write_classes(tmp_path / "mine" / "test", {"cow": 1}, first=10)
    data = Images(str(tmp_path / "mine"))
    assert data.class_names == ("cat", "dog")
    with pytest.raises(ValueError, match=r"the test split of .* has the class 'cow', which is none of cat, dog"):
        data.setup("test")


def test_classes_in_an_order_of_ones_own(folder):
    data = read(folder, "fit", class_names=["dog", "cat"], val_share=0, test_share=0)
    assert data.class_names == ("dog", "cat")
    assert data.train_set.labels.tolist() == [1] * 12 + [0] * 8
    with pytest.raises(ValueError, match="has the class 'dog', which is none of cat"):
        read(folder, "fit", class_names=["cat"])


def test_digits_drawn_from_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "SIZES", {"train": 40, "test": 20})
    data = read("fonts", val_share=0.25)
    assert (data.shape, data.class_names) == ((1, 28, 28), tuple("0123456789"))
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (30, 10, 20)
    assert read("fonts", "test", size=12, channels=3).test_set.images.shape == (20, 3, 12, 12)
    with pytest.raises(ValueError, match="digits from fonts have names of their own"):
        Images("fonts", class_names=["a"])


def test_numbers_that_are_names(tmp_path):
    """Given or found: 3 is the class "3", wherever it counts."""
    photos = [png(picture(number)) for number in range(3)]
    path = write_rows(tmp_path / "rows.parquet", {"photo": photos, "kind": [7, 3, 7]})
    for options, labels in (({}, [1, 0, 1]), ({"class_names": ["7", "3"]}, [0, 1, 0])):
        data = read(path, "fit", val_share=0, test_share=0, **options)
        assert data.train_set.labels.tolist() == labels
    with pytest.raises(ValueError, match="holds labels from 3 to 7; allowed are 0 to 1"):
        read(path, "fit", class_names=["0", "1"])


def test_a_set_is_decoded_once_whatever_is_held_out_of_it(folder, monkeypatch):
    read(folder)
    monkeypatch.setattr(decoded_images, "read_image", None)  # from here on nothing can be decoded
    assert len(read(folder, val_share=0.3, test_share=0.2, split_seed=1).train_set) == 11


def test_nothing_is_looked_at_where_all_is_said():
    data = Images("someone/images", size=[8, 6], channels=1, class_names=["a", "b"])
    assert (data.shape, data.num_classes) == ((1, 8, 6), 2)


def test_no_test_images(folder):
    data = read(folder, test_share=0)
    with pytest.raises(ValueError, match=r"test_share=0 holds nothing out, and .* has no test split"):
        data.test_dataloader()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("size", [1, 64, [3, 5]], [0, -1, 4097, [0, 3]]),
        ("channels", [1, 3], [0, 2, 4, -1]),
        ("val_share", [0, 0.9], [1, -1, math.nan, math.inf]),
        ("test_share", [0, 0.8], [1, -1, math.nan, math.inf]),
        ("broken_share", [0, 0.9], [1, -1, math.nan]),
        ("in_memory", [0, 1e-9, 1e6], [-1, math.nan]),
        ("split_seed", [0, 2**62], [-1, 2**100]),
    ],
)
def test_numbers_at_their_edges(name, good, bad, folder):
    for value in good:
        data = read(folder, "fit", **{name: value})
        assert len(next(iter(data.train_dataloader()))["index"])
    for value in bad:
        first = value[0] if isinstance(value, list) else value
        with pytest.raises(ValueError, match=rf"^{name}={re.escape(str(first))} [^\n]*$"):
            read(folder, "fit", **{name: value})
    with pytest.raises(ValueError, match=r"size=\[1, 2, 3\] must be one number, or a height and a width"):
        Images(str(folder), size=[1, 2, 3])
    with pytest.raises(ValueError, match="leaves none of 20 different images to train on"):
        read(folder, "fit", test_share=0.99)
