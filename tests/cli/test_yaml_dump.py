"""Configs as YAML: what is written is read again."""

from enum import Enum, IntEnum, StrEnum

import pytest
import yaml

from cli.yaml_dump import dump_yaml
from tests.cli.runs import RUN, toy


def test_an_enumeration_as_a_default_is_written_as_its_value(tmp_path, monkeypatch):
    """Timer's interval."""
    monkeypatch.chdir(tmp_path)
    toy("fit", "--trainer.callbacks+=lightning.pytorch.callbacks.Timer", "--trainer.callbacks.duration=00:01:00:00")
    (timer,) = yaml.safe_load((RUN / "config.yaml").read_text())["trainer"]["callbacks"]
    assert timer["init_args"]["interval"] == "step"
    toy("fit", "--config", str(RUN / "config.yaml"), toys=[])


def test_what_yaml_cannot_say_is_one_line():
    class Text(StrEnum):
        A = "one"

    class Number(IntEnum):
        B = 2

    class Plain(Enum):
        C = 3.5

    written = dump_yaml({"a": Text.A, "b": [Number.B, Plain.C], "c": [1.5, "x"]})
    assert yaml.safe_load(written) == {"a": "one", "b": [2, 3.5], "c": [1.5, "x"]}
    with pytest.raises(ValueError, match=r"^the config cannot be written: it holds <object.*, a object; give it as"):
        dump_yaml({"a": object()})
