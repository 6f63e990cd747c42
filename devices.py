"""What the host must know of a device that computes."""

import torch


def asynchronous(device: torch.device) -> bool:
    """Whether the host goes on while this device computes, as with any but the CPU.

    There, to read a number from a tensor (`item`, `tolist`, `if`, a boolean mask as an index) is to wait until all that
    was asked for is done, and the device then waits for the host. A training step must not do so.
    """
    return device.type != "cpu"
