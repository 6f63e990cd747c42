"""Enumerations in YAML: Lightning's `Timer` has one among its defaults, and PyYAML cannot write it."""

from enum import Enum

import yaml


def write_enums_by_value() -> None:
    """From now on `yaml.safe_dump`, which writes a run's config.yaml, writes a member of an `Enum` as its value."""
    yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))
