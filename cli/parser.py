"""Reads command lines and configs, and answers each mistake in one line.

The only place that knows how jsonargparse words its errors. It keeps a parser for every class that a config names, so
that the parser which meets a mistake knows the keys beside it; what an inner parser says travels outward as the cause
of the outer one's error.
"""

import contextlib
import difflib
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, NoReturn, Union, get_args, get_origin

from jsonargparse import set_dumper
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from checkpoints.own_defaults import start_from_own_defaults
from checkpoints.renamed_arguments import renamed
from cli.renamed_keys import RENAMED
from cli.yaml_dump import dump_yaml

NAMED = re.compile(r"(?:--|['\"])([\w.]+)")  # names in an error about an unknown key
KINDS = re.compile(r"<class '([\w.]+)'>|Literal\[(.*?)\]")
NO_PATH = "Expected a dot import path string: "
EMPTY = ("Expected a <class", "Expected a typing", "Expected a path", "Does not validate", "Not a valid subclass")


class CommandError(ValueError):
    """A mistake in the command line or a config, in one line."""


class Parser(LightningArgumentParser):
    """Raises CommandError with one line that names the nearest known key; accepts no abbreviated keys."""

    def __init__(self, *args: Any, **kwargs: Any):
        set_dumper("yaml", dump_yaml)
        start_from_own_defaults()
        whole_numbers_first(Trainer.__init__)
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        inner = next((cause for cause in causes(ex) if isinstance(cause, CommandError)), None)
        key = message.split('"')[1] if message.startswith('Parser key "') else None
        if inner is not None:
            raise CommandError(f"{key}: {inner}" if key else str(inner)) from ex
        parser = getattr(ex, "subcommand_parser", self)
        raise CommandError(_rejected(key, message) if key else parser.unknown(message)) from ex

    def unknown(self, message: str) -> str:
        """An error about a name that this parser does not know, with its new name or the nearest key."""
        message = " ".join(message.split())
        with contextlib.suppress(Exception):  # a default of the user's own class may be wrong itself
            known = {*self.get_defaults(skip_validation=True).keys(), *self.callback_keys}
            branches = {key.partition(".")[0] for key in known}
            names = [name for name in NAMED.findall(message) if name not in known | branches]
            hints = (_renamed_key(name, branches) or _nearest(name, known) for name in names)
            return message + next(filter(None, hints), "")
        return message


def whole_numbers_first(function: Callable[..., Any]) -> None:
    """Let a parameter that takes whole numbers and floats, such as `limit_train_batches`, take 1 as a whole number.

    jsonargparse tries types in their order. `Optional[Union[int, float]]` may have float first: Python keeps what an
    equal `Optional[Union[float, int]]` of any library gave before, and then 1 batch would be 1.0, all of them.
    """
    for name, hint in function.__annotations__.items():
        union: Any = get_origin(hint)
        kinds = get_args(hint)
        if union is Union and {int, float} <= {*kinds}:
            function.__annotations__[name] = Union[tuple(sorted(kinds, key=lambda kind: kind is not int))]  # noqa: UP007


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


def constructor_error(error: Exception) -> str:
    """What a class raised that could not be built from its arguments, without what jsonargparse wraps around it."""
    for cause in causes(error):
        if not _raised_by_jsonargparse(cause):
            return " ".join(str(cause).split()) or type(cause).__name__
    return _reason(str(error)) or " ".join(str(error).split())


def _raised_by_jsonargparse(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("jsonargparse")


def _rejected(key: str, message: str) -> str:
    """Why a key cannot have its value: what a class says about it, or which types are allowed."""
    text = " ".join(message.split())
    ends = (text.rpartition(end) for end in ("Got value: ", "Given value: "))
    expected, found, value = next((parts for parts in ends if parts[1]), (text, "", ""))
    if reason := _reason(message):
        if reason.startswith(NO_PATH):
            reason = f"no class {reason.removeprefix(NO_PATH)} is known; name one by its path, as torch.optim.AdamW"
        given = f"={value}" if value and len(value) < 100 and value not in reason else ""
        return f"{key}{given}: {reason}{_renamed_class(reason)}"
    if not found:
        return text
    kinds = KINDS.findall(expected.partition("Given value type")[0])
    words = dict.fromkeys("null" if "NoneType" in kind else kind for kind in map("".join, kinds))
    return f"{key}={value:.200} is not allowed; give {' or '.join(words) or 'another value'}"


def _reason(message: str) -> str | None:
    """The first thing in an error's list of alternatives that says more than which type was expected."""
    lines = [line.strip() for line in message.splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("- ") and not line[2:].startswith(EMPTY):
            more = takewhile(lambda own: own and not own.startswith(("- ", "Given value")), lines[number + 1 :])
            return " ".join([line[2:], *more])
    return None


def _renamed_key(name: str, known: set[str]) -> str | None:
    """A hint at a key's new name."""
    old = name if name in RENAMED else name.partition(".")[0]
    hint = renamed(old, known, RENAMED)
    return f"; {hint}" if hint else None


def _renamed_class(text: str) -> str:
    """A hint at the new name of the first renamed class in a text, or nothing."""
    old = next((word for word in re.findall(r"[\w.]+", text) if "." in word and word in RENAMED), None)
    return f"; `{old}` is now `{RENAMED[old]}`" if old else ""


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
