"""What a model takes from its data: the data say it once, and it is linked to the model's constructor.

    data.shape, data.num_classes, data.observation_shape ─► model.init_args.shape, ...

Where the data do not say it, or the model's constructor does not take it, nothing is linked. What was linked is in the
run's config.yaml, so that the model can be built without its data.
"""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

LINKED = ("shape", "num_classes", "vocab_size", "observation_shape", "action_dim")


class DataLink:
    """Gives an argument of the model the value of the data's attribute of the same name.

    Args:
        name: of both.
        arguments: returns the parsed arguments of the model.
        given: the names of those that a config, the command line or a checkpoint sets; others are defaults.

    A given 0 stays: a model that knows no classes can be trained on data that have some.

    Raises ValueError where another given value is not that of the data.
    """

    def __init__(self, name: str, arguments: Callable[[], Any], given: set[str]):
        self.name, self.arguments, self.given = name, arguments, given
        self.__name__ = "of_the_data"  # in --help

    def __call__(self, value: Any) -> Any:
        arguments = self.arguments()
        if self.name not in arguments:
            return value
        own = arguments[self.name]
        if value is None or (own == 0 and self.name in self.given):  # None: the data do not know either
            return own
        value = _plain(value)
        if self.name in self.given and _plain(own) not in (None, value):
            raise ValueError(
                f"model.{self.name}={_plain(own)} does not fit the data, where it is {value}; leave it out, since it "
                "follows from the data, or name other data"
            )
        arguments[self.name] = value
        return value


def add_links(parser: LightningArgumentParser, arguments: Callable[[], Any], given: set[str]) -> None:
    """Link what `LINKED` names; arguments as `DataLink`'s."""
    for name in LINKED:
        link = DataLink(name, arguments, given)
        parser.link_arguments(f"data.{name}", f"model.init_args.{name}", compute_fn=link, apply_on="instantiate")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
