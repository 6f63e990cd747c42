import os
import unicodedata

import pytest

from datamodules.image_folder import ImageFolder, printable
from tests.datamodules.own_images import picture, write_classes


def names(folder):
    return {split: {name: len(files) for name, files in classes.items()} for split, classes in folder.splits.items()}


def test_a_folder_for_each_class(tmp_path):
    write_classes(tmp_path, {"cat": 2, "dog": 3, "10": 1, "2": 1})
    write_classes(tmp_path / "dog", {"2024": 2})
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / ".git").mkdir()
    folder = ImageFolder(tmp_path)
    assert names(folder) == {"train": {"2": 1, "10": 1, "cat": 2, "dog": 5}}
    assert folder.class_names == ("2", "10", "cat", "dog")
    within = [path.relative_to(tmp_path / "dog").as_posix() for path in folder.splits["train"]["dog"]]
    assert within == ["2.png", "3.png", "4.png", "2024/0.png", "2024/1.png"]


@pytest.mark.parametrize(("val", "test"), [("val", "test"), ("Validation", "Testing"), ("dev", None), (None, "eval")])
def test_splits_by_their_usual_names(tmp_path, val, test):
    write_classes(tmp_path / "train", {"a": 3, "b": 2})
    wanted = {"train": {"a": 3, "b": 2}}
    for name, split in ((val, "validation"), (test, "test")):
        if name:
            write_classes(tmp_path / name, {"b": 1})
            wanted[split] = {"b": 1}
    assert names(ImageFolder(tmp_path)) == wanted


def test_images_alone_are_one_class(tmp_path):
    write_classes(tmp_path, {"pictures": 3})
    assert names(ImageFolder(tmp_path / "pictures")) == {"train": {"image": 3}}


def test_empty_classes_are_none(tmp_path):
    write_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "c" / "deeper").mkdir(parents=True)
    folder = ImageFolder(tmp_path)
    assert (folder.class_names, folder.empty) == (("a", "b"), ["c"])


def test_links_are_followed_once(tmp_path):
    write_classes(tmp_path / "elsewhere", {"a": 2})
    write_classes(tmp_path / "data", {"b": 1})
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "data" / "b" / "back").symlink_to(tmp_path / "data" / "b")
    (tmp_path / "data" / "b" / "one.png").symlink_to(tmp_path / "elsewhere" / "a" / "0.png")
    (tmp_path / "data" / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert names(ImageFolder(tmp_path / "data")) == {"train": {"a": 2, "b": 3}}  # what is gone is said when it is read


def test_names_in_any_writing(tmp_path):
    write_classes(tmp_path, {"猫": 1, unicodedata.normalize("NFD", "café"): 1, "naïve dog's": 1})
    assert ImageFolder(tmp_path).class_names == ("café", "naïve dog's", "猫")
    broken = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(broken)
    picture(5).save(os.fsdecode(broken) + "/a.png")
    assert "caf\\xe9" in ImageFolder(tmp_path).class_names


def test_bytes_that_are_no_text_can_be_printed():
    assert printable(os.fsdecode(b"caf\xe9.png")).encode() == b"caf\\xe9.png"


def case(tmp_path):
    write_classes(tmp_path, {"Cat": 1, "cat": 1})


def accents(tmp_path):
    write_classes(tmp_path, {unicodedata.normalize(form, "café"): 1 for form in ("NFC", "NFD")})


def case_in_splits(tmp_path):
    write_classes(tmp_path / "train", {"Cat": 1, "dog": 1})
    write_classes(tmp_path / "test", {"cat": 1})


def beside_classes(tmp_path):
    write_classes(tmp_path, {"cat": 1, "dog": 1})
    picture(9).save(tmp_path / "cover.png")


def beside_train(tmp_path):
    write_classes(tmp_path, {"cat": 1})
    write_classes(tmp_path / "train", {"cat": 1})


def two_of_a_split(tmp_path):
    for name in ("train", "val", "validation"):
        write_classes(tmp_path / name, {"cat": 1})


def no_train(tmp_path):
    write_classes(tmp_path / "test", {"cat": 1})


def empty_train(tmp_path):
    write_classes(tmp_path / "test", {"cat": 1})
    (tmp_path / "train").mkdir()


def texts(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.txt").write_text("no image")


MISTAKES = {
    case: "classes 'Cat' and 'cat', which differ only in case",
    accents: "which differ only in case or in how accents are written",
    case_in_splits: "classes 'Cat' and 'cat', which differ only in case",
    beside_classes: "cover.png lies beside folders of images: move it into the folder of its class",
    beside_train: "holds images in cat/ beside train/",
    two_of_a_split: "holds val/ and validation/, which are both the validation split; keep one",
    no_train: "holds test, but no train/",
    empty_train: "train holds no images; give it a folder for each class",
    texts: "holds no images; give it a folder for each class with image files",
}


@pytest.mark.parametrize("make", MISTAKES)
def test_mistakes_are_named(make, tmp_path):
    make(tmp_path)
    with pytest.raises(ValueError, match=MISTAKES[make]) as caught:
        ImageFolder(tmp_path)
    assert "\n" not in str(caught.value)
