"""The random generators' states as a part of checkpoints."""

import random

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.fabric.utilities.seed import pl_worker_init_function


class RandomState(L.Callback):
    """A resumed run draws what the run would have drawn, had it not stopped: noise, dropout, augmentation.

    Keeps the states of Python's, NumPy's and torch's global generators, on the CPU and on GPUs. They are set when the
    training starts, after all that is built before it; the loader draws the order of an epoch later
    (`datamodules.stateful_loader`). Validation leaves them as they were: how often it happens, and whether a resumed
    run repeats it, does not change the training.

    Several processes start from the same seed, and would all draw the same noise: at the start each gets a state of its
    own, which follows from the seed and its rank. A checkpoint holds the states of all; where a resumed run has more
    processes, the additional ones start as in a new run.
    """

    def __init__(self):
        self._loaded: dict | None = None

    def state_dict(self) -> dict:
        """The first process's states, and under "others" those of the others. Every process must call it."""
        first, *others = gathered(random_state())
        return {**first, "others": others}

    def load_state_dict(self, state_dict: dict) -> None:
        self._loaded = state_dict

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        loaded, self._loaded = self._loaded, None
        states = [loaded, *loaded.get("others", [])] if loaded else []
        if trainer.global_rank < len(states):
            set_random_state(states[trainer.global_rank])
        elif trainer.global_rank:
            pl_worker_init_function(0, trainer.global_rank)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._before = random_state()

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        set_random_state(self._before)


def gathered(state: dict) -> list[dict]:
    """The states of all processes, in the order of their ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        return [state]
    states: list = [None] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return states


def random_state() -> dict:
    """The states of all global generators, as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    state = np.random.get_state(legacy=True)  # noqa: NPY002  the global one, whoever uses it
    assert isinstance(state, tuple)
    name, keys, position, has_gauss, cached = state
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def set_random_state(state: dict) -> None:
    """Set all global generators; those of GPUs only where the number of GPUs is the same."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])
