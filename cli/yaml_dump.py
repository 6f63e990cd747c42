"""Configs as YAML, also where a class has a default that YAML cannot express."""

from enum import Enum
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))


def dump_yaml(content: Any) -> str:
    """Plain values as YAML. A default that is a member of an enumeration, such as `Timer`'s, is written as its value.

    Raises ValueError for values that YAML cannot hold.
    """
    try:
        return yaml.dump(content, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True)
    except yaml.representer.RepresenterError as error:
        value = error.args[-1]
        raise ValueError(
            f"the config cannot be written: it holds {value!r:.200}, a {type(value).__name__}; give it as class_path "
            "and init_args, or as a plain value"
        ) from error
