"""Images as people keep them: a folder with a subfolder for each class, or train/, val/ and test/ with those in each.

    pets/cat/a.png                       cat and dog are the classes
    pets/dog/2024/b.jpg                  what lies deeper belongs to the class, too
    pets/train/cat/a.png                 with splits; val/ and test/ need not be there
    pictures/a.png                       images alone are one class, "image"

A file is an image where its name ends as a format's that Pillow reads; others do not count, nor do hidden files and
folders. Links are followed, each folder once. Classes count in order of their names, where 2 comes before 10.
"""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from datasets.data_files import SPLIT_KEYWORDS
from PIL import Image

from datamodules.sources import by_numbers

ONE_CLASS = "image"  # of images that lie in no class's folder
SPLITS = {word: str(split) for split, words in SPLIT_KEYWORDS.items() for word in words}  # "val" -> "validation"


class ImageFolder:
    """What a folder holds, by the names in it; no file is opened.

    Attributes:
        splits: {"train": {class: its files}}, and "validation" and "test" where they are there.
        class_names: of the training split.
        empty: folders of classes that hold no image; they are no classes.

    Raises ValueError where the folder holds no image, where images lie beside folders of images, where other folders
    lie beside train/, or where two classes have the same name but for case or the way that accents are written.
    """

    def __init__(self, place: Path):
        self.place, self.empty = place, list[str]()
        folders = _folders(place)
        of_splits = {SPLITS[folder.name.lower()]: folder for folder in folders if folder.name.lower() in SPLITS}
        if "train" in of_splits:
            self._refuse_others(folders)
            self.splits = {split: self._classes(folder) for split, folder in of_splits.items()}
        elif of_splits and len(of_splits) == len(folders):
            raise ValueError(f"{printable(place)} holds {', '.join(of_splits)}, but no train/; add images to train on")
        else:
            self.splits = {"train": self._classes(place)}
        if not self.splits["train"]:
            where = of_splits.get("train", place)
            raise ValueError(
                f"{printable(where)} holds no images; give it a folder for each class with image files in it"
            )
        self.class_names = self._names()

    def _refuse_others(self, folders: list[Path]) -> None:
        seen: dict[str, Path] = {}
        for folder in folders:
            split = SPLITS.get(folder.name.lower())
            if split is None and next(_image_files(folder), None) is not None:
                raise ValueError(
                    f"{printable(self.place)} holds images in {printable(folder.name)}/ beside train/: a folder holds "
                    "train/, val/ and test/, or classes; move one of them"
                )
            if split in seen:
                raise ValueError(
                    f"{printable(self.place)} holds {printable(seen[split].name)}/ and {printable(folder.name)}/, "
                    f"which are both the {split} split; keep one"
                )
            if split is not None:
                seen[split] = folder

    def _classes(self, folder: Path) -> dict[str, list[Path]]:
        """The files of each class of a split."""
        loose = sorted(path for path in folder.iterdir() if _is_image(path))
        found: dict[str, list[Path]] = {}
        for below in _folders(folder):
            files, name = list(_image_files(below)), unicodedata.normalize("NFC", printable(below.name))
            if not files:
                self.empty.append(printable(below.relative_to(self.place)))
            elif name in found:
                raise ValueError(_alike(self.place, name, name))
            else:
                found[name] = files
        if loose and found:
            raise ValueError(
                f"{printable(loose[0])} lies beside folders of images: move it into the folder of its class"
            )
        return {ONE_CLASS: loose} if loose else found

    def _names(self) -> tuple[str, ...]:
        names = sorted({name for split in self.splits.values() for name in split}, key=by_numbers)
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                raise ValueError(_alike(self.place, other, name))
        return tuple(name for name in names if name in self.splits["train"])


def _alike(place: Path, one: str, other: str) -> str:
    return (
        f"{printable(place)} has the classes {one!r} and {other!r}, which differ only in case or in how accents are "
        "written; rename one, or put their images together"
    )


def _folders(place: Path) -> list[Path]:
    return sorted((path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")), key=_order)


def _order(path: Path) -> list[str | int]:
    return by_numbers(path.name)


def _image_files(folder: Path) -> Iterator[Path]:
    """Every image in a folder and below it, in order of their paths."""
    seen = set()
    for top, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (path for name in sorted(names) if _is_image(path := Path(top, name)))


def _is_image(path: Path) -> bool:
    """By its name alone: what cannot be read must be said later, by name."""
    if path.name.startswith(".") or path.is_dir():
        return False
    return Image.registered_extensions().get(path.suffix.lower()) in Image.OPEN


def printable(path: str | Path) -> str:
    r"""A path that any file and any terminal can hold: bytes that are not UTF-8 are written as \xNN."""
    text = path.as_posix() if isinstance(path, Path) else path
    return os.fsencode(text).decode("utf-8", "backslashreplace")
