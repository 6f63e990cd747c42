from enum import Enum, IntEnum, StrEnum

import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import Callback, Timer

from cli.yaml_enums import write_enums_by_value


def test_members_are_written_as_their_values():
    class Text(StrEnum):
        a = "one"

    class Number(IntEnum):
        b = 2

    class Plain(Enum):
        c = "three"

    write_enums_by_value()
    written = yaml.safe_dump({"text": Text.a, "number": Number.b, "plain": [Plain.c], "other": 1.5})
    assert yaml.safe_load(written) == {"text": "one", "number": 2, "plain": ["three"], "other": 1.5}


def test_lightnings_timer_is_built_written_and_built_again():
    write_enums_by_value()
    parser = ArgumentParser()
    parser.add_argument("--callbacks", type=list[Callback])
    given = parser.parse_args(["--callbacks+=lightning.pytorch.callbacks.Timer"])
    again = parser.parse_string(parser.dump(given))
    for config in (given, again):
        (timer,) = parser.instantiate_classes(config).callbacks
        assert isinstance(timer, Timer)
        assert timer._interval == "step"
