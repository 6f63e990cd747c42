"""A class that a config or the command line names in place of another one starts from its own defaults.

jsonargparse carries over from the class before, a default or one of an earlier config, every `init_args` whose name
and type the new class has too: `--model.optimizer torch.optim.SGD` in place of AdamW(weight_decay=0.01) would be
SGD(weight_decay=0.01), and a network of the user's own would get the `width` of ours. No setting turns that off.
"""

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from jsonargparse import Namespace

typehints: ModuleType | None
try:
    typehints = import_module("jsonargparse._typehints")
except ImportError:  # another version
    typehints = None

CARRY_OVER = "discard_init_args_on_class_path_change"  # drops only what the new class would not take


@cache
def start_from_own_defaults() -> None:
    """Let jsonargparse drop all `init_args` and `dict_kwargs` of a class where another class is named in its place.

    What is given together with the new class, or after it, holds; naming the same class again keeps what it has. It is
    for the whole process. A jsonargparse that has no function of that name is left as it is.
    """
    if carry_over := getattr(typehints, CARRY_OVER, None):
        setattr(typehints, CARRY_OVER, _after_dropping(carry_over))


def _after_dropping(carry_over: Callable[..., None]) -> Callable[..., None]:
    @wraps(carry_over)
    def drop(parser: Any, before: Any, given: Any) -> None:
        if _class_path(before) and _class_path(given) and _class_path(before) != _class_path(given):
            before.pop("init_args", None)
            before.pop("dict_kwargs", None)
        carry_over(parser, before, given)

    return drop


def _class_path(value: Any) -> str | None:
    """None where the class is not named but follows from the argument's type."""
    return value.get("class_path") if isinstance(value, dict | Namespace) else None
