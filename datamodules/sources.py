"""Where data comes from: one rule for every data set.

A `source` is a folder with Parquet files, one Parquet file, or a Hugging Face Hub id. The folder that the environment
variable FIRSTLIGHT_DATA names is looked at first: there, each Hub id has a folder of its own (`LOCAL_FOLDERS`), so the
same command runs with and without a network.
"""

import os
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset, get_dataset_split_names, load_dataset, load_dataset_builder

DATA_VARIABLE = "FIRSTLIGHT_DATA"
LOCAL_FOLDERS = {
    "ylecun/mnist": "mnist",
    "uoft-cs/cifar10": "cifar10",
    "ufldl-stanford/svhn": "svhn",
    "lerobot/pusht_keypoints": "pusht",
    "lerobot/pusht_image": "pusht_image",
}
HUB_CONFIGS = {"ufldl-stanford/svhn": "cropped_digits"}  # of a Hub id that holds several data sets, which one


def resolve(source: str) -> str:
    """The file, folder or Hub id to load `source` from."""
    if Path(source).exists():
        return source
    root = os.environ.get(DATA_VARIABLE)
    folder = Path(root) / LOCAL_FOLDERS.get(source, source) if root else None
    return str(folder) if folder and folder.exists() else source


def load(source: str, split: str = "train", columns: list[str] | None = None) -> Dataset:
    """The rows of `source`, only `columns` of them where given.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it cannot be read or lacks a column.
    """
    place = resolve(source)
    if place.endswith(".parquet"):
        rows = _asked(source, lambda: load_dataset("parquet", data_files=place, split=split))
    else:
        _asked(source, lambda: _stay_inside(place))
        rows = _asked(source, lambda: load_dataset(place, HUB_CONFIGS.get(place), split=split))
    missing = [column for column in columns or [] if column not in rows.column_names]
    if missing:
        raise ValueError(
            f"the data at {place!r} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"it has {', '.join(rows.column_names)}"
        )
    return rows.select_columns(columns) if columns else rows


def splits(source: str) -> list[str]:
    """Names of the splits that `source` has; a single Parquet file is "train". Raises as `load` does."""
    place = resolve(source)
    if place.endswith(".parquet"):
        return ["train"]
    return _asked(source, lambda: get_dataset_split_names(place, HUB_CONFIGS.get(place)))


def _stay_inside(place: str) -> None:
    """Raises ValueError where a README in a folder of data sends `datasets` to files elsewhere."""
    if not Path(place).is_dir():
        return
    folder = os.path.abspath(place)
    for files in load_dataset_builder(place).config.data_files.values():
        for file in files:
            if not Path(os.path.abspath(file)).is_relative_to(folder):
                raise ValueError(f"its README names {file}, which lies outside of the folder; move it there")


def _asked(source: str, call: Callable):
    """What `call` returns, its errors in our words."""
    try:
        return call()
    except (FileNotFoundError, ConnectionError) as error:
        root = os.environ.get(DATA_VARIABLE)
        looked = f"{DATA_VARIABLE}={root}" if root else f"{DATA_VARIABLE} (not set)"
        folder = LOCAL_FOLDERS.get(source, source)
        raise FileNotFoundError(
            f"no data found for source {source!r}: it is no file or folder here, not under {looked}, and the Hugging "
            f"Face Hub did not give it; set {DATA_VARIABLE} to a folder that holds {folder!r}, "
            "pass a folder with Parquet files as the source, or connect to the network once"
        ) from error
    except Exception as error:
        reason = _first_line(error)
        if "BatchSize" in reason:  # how `datasets` meets a file without rows
            reason = "a file holds no rows"
        raise ValueError(f"the data at {resolve(source)!r} cannot be read as Parquet rows: {reason}") from error


def _first_line(error: BaseException) -> str:
    return (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]
