"""The names of classes, carried by the weights: a checkpoint needs no data to name its classes.

K classes.
"""

import json

import torch
from torch import Tensor, nn


class ClassNames(nn.Module):
    """K names as extra state of a module, or none yet. A deep copy is the same object.

    The state is their JSON as bytes in a tensor, as in `networks.vocabulary`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()

    def adopt(self, names: tuple[str, ...], training: bool = False) -> None:
        """Take the data's names where none are known yet, or in any case when `training`.

        Raises ValueError where they are the known names in another order: class 3 would then be another class.
        """
        self._check(self.names, names)
        if training or not self.names:
            self.names = names

    @staticmethod
    def _check(weights: tuple[str, ...], data: tuple[str, ...]) -> None:
        if weights != data and sorted(weights) == sorted(data):
            raise ValueError(
                f"the weights know the classes as {', '.join(weights)}, in this order, and the data as "
                f"{', '.join(data)}; number the data's labels as the weights do"
            )

    def get_extra_state(self) -> Tensor:
        return torch.tensor(list(json.dumps(self.names).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        names = tuple(json.loads(bytes(state.to(torch.uint8).tolist())))
        self._check(names, self.names)  # Lightning loads a checkpoint when the data are known already
        self.names = names or self.names

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest) -> None:
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())  # weights from before they had names
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __deepcopy__(self, memo: dict) -> "ClassNames":
        return self  # averaged weights are copied before the names are known, and must learn of them
