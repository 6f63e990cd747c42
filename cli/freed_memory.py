"""Memory that the C library keeps instead of giving it back to the system."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors for the next ones, where it is glibc.

    By default it takes memory for each large tensor from the system and gives it back when the tensor is freed. The
    system hands it out in zeroed pages, each at its first touch: up to a quarter of a convolutional network's training
    step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)  # take no memory that must be given back
        mallopt(M_TRIM_THRESHOLD, -1)  # nor give any back
