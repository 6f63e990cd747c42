"""A tab of the page: a conversation with one visitor, and what all tabs share."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.models import Models
from app.recorder import Recorder
from app.request import Request

FIRST_SEED = 10_000_000  # far from the seeds of validation (0 and up), test (100000), recordings (1000000)

Answer = dict[str, Any]
Say = Callable[[Answer], None]
"""Sends an answer to the page. Raises `Superseded` where nobody waits for it any more."""


class Superseded(Exception):
    """The page has asked for the same again with other settings, or is gone: what is being made is not needed."""


@dataclass(frozen=True)
class AppState:
    """What all conversations share.

    Args:
        models: trained ones.
        recorder: keeps Push-T episodes.
        first_seed: of Push-T's first start.
    """

    models: Models
    recorder: Recorder
    first_seed: int = FIRST_SEED


class Tab(ABC):
    """One visitor's side of a tab. Its methods run in a thread, one request after the other."""

    def __init__(self, app_state: AppState):
        self.app_state = app_state

    @abstractmethod
    def hello(self) -> Answer:
        """What the page must know at first, such as the models to choose from."""

    @abstractmethod
    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        """What can be asked for, by its name."""

    def answer(self, request: Request, say: Say) -> None:
        """Answer a request, in one or several parts. Raises ValueError for one that is wrong."""
        known = self.requests()
        if request.do not in known:
            raise ValueError(f"do={request.do[:40]!r} is unknown; choose from {', '.join(known)}")
        known[request.do](request, say)


def packed(image: np.ndarray) -> dict[str, Any]:
    """An image (H, W) or (C, H, W) uint8 for the page: its height, width, channels, and its bytes, pixel by pixel."""
    channels_last = image[..., None] if image.ndim == 2 else image.transpose(1, 2, 0)
    height, width, channels = channels_last.shape
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "bytes": base64.b64encode(np.ascontiguousarray(channels_last, np.uint8).tobytes()).decode(),
    }


def rounded(values: Any, digits: int = 4) -> Any:
    """Numbers of an array as plain lists, short enough to send."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
