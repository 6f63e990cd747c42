"""A flag that says whether the statistics in a module's buffers were measured on data; it is saved with the weights."""

import torch
from torch import Tensor, nn


class StatisticsFlag(nn.Module):
    """False in a new module, True once its statistics are measured or loaded; they are then never measured again.

    Ask `if not self.flag.known:` before measuring, and call `self.flag.set()` afterwards.
    """

    known: Tensor  # () bool

    def __init__(self, known: bool = False):
        super().__init__()
        self.register_buffer("known", torch.tensor(known))

    def set(self) -> None:
        """The statistics are known from now on."""
        self.known.fill_(True)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest) -> None:
        state_dict.setdefault(f"{prefix}known", torch.tensor(True))  # weights that are older than the flag
        super()._load_from_state_dict(state_dict, prefix, *rest)
