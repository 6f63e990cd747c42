"""Share a trained model: `python train.py publish RUN --to FOLDER`, or `--to OWNER/NAME` on the Hugging Face Hub.

Tests the run's best checkpoint, and writes weights, config, figures and a model card (`cli.publication`). What goes to
the Hub is written to RUN/published first, and stays there.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from checkpoints import hub
from checkpoints.pretrained import trained_file
from cli.messages import say
from cli.publication import CARD, publish
from cli.subcommand_parser import SubcommandParser

MEDIA = (".png", ".jpg", ".jpeg", ".gif", ".mp4", ".webm")


def main(args: list[str]) -> None:
    """`python train.py publish`. Raises ValueError or OSError, in one line, for a mistake."""
    options = _parsed(args)
    source = _source(options.run)
    if _is_folder(options.to):
        _write(source, Path(options.to), Path(options.to).absolute().name, options)
        say(f"published in {options.to}; open it with load_pretrained({options.to!r})")
    else:
        hub.check_token()
        say(f"published: {_upload(source, options)}")


def _parsed(args: list[str]) -> argparse.Namespace:
    parser = SubcommandParser("publish", __doc__)
    parser.add_argument("run", help="a run's folder, or one that was published before")
    parser.add_argument("--to", required=True, help="a new folder, or OWNER/NAME on the Hub")
    parser.add_argument("--private", action="store_true", help="on the Hub, for you and your organization alone")
    parser.add_argument("--licence", default="mit", help="of the weights, in the Hub's words (default mit)")
    parser.add_argument("--media", type=Path, help="an image or a video to show, in place of what the test shows")
    options = parser.parse_args(args)
    if options.media and not (options.media.is_file() and options.media.suffix.lower() in MEDIA):
        parser.error(f"--media {options.media} must be a file that ends in {', '.join(MEDIA)}")
    if options.private and _is_folder(options.to):
        parser.error(f"--private is for the Hub, and {options.to} is a folder")
    if "@" in options.to and not _is_folder(options.to):
        parser.error(f"--to {options.to} must be OWNER/NAME alone: what is published is the newest revision")
    return options


def _source(given: str) -> Path:
    """The folder of a run, of a checkpoint's run, or of published weights; FileNotFoundError where it has none."""
    folder = trained_file(given).parent
    return folder.parent if folder.name == "checkpoints" else folder


def _is_folder(to: str) -> bool:
    """Whether `--to` names a folder: one that is there or lies in one that is, or is written as a path."""
    path = Path(to)
    return to.startswith((".", "/")) or path.exists() or path.parent.exists() or not hub.NAMED.fullmatch(to)


def _upload(source: Path, options: argparse.Namespace) -> str:
    """Put a run on the Hub; returns the address. Its folder stays in the run's."""
    again = (source / CARD).is_file()
    with tempfile.TemporaryDirectory() as place:
        folder = (Path(place) if again else source) / "published"
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier state of the run
        _write(source, folder, options.to, options)
        try:
            return hub.upload(folder, options.to, options.private)
        except OSError as error:
            go_on = f"python train.py publish {source if again else folder} --to {options.to}"
            raise type(error)(f"{error}; nothing is lost, go on with {go_on}") from error


def _write(source: Path, folder: Path, name: str, options: argparse.Namespace) -> None:
    """Write a published folder whole or not at all. Raises ValueError where it holds files already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"there is something in {folder} already; give --to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        publish(source, partial, name, options.licence, options.media)
        partial.chmod(0o755)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
