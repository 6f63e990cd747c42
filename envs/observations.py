"""An observation, as gymnasium has it: one array, or several by key where the space is a `Dict`."""

from collections.abc import Callable, Mapping
from typing import Any


def map_observation(function: Callable[..., Any], observation: Any, *others: Any) -> Any:
    """`function` of the array, or of each array by its key; `others` have the same keys."""
    if isinstance(observation, Mapping):
        return {key: function(value, *(other[key] for other in others)) for key, value in observation.items()}
    return function(observation, *others)


def arrays(observation: Any) -> list[Any]:
    """The array, or those of all keys."""
    return list(observation.values()) if isinstance(observation, Mapping) else [observation]
