"""The GPU that these tests compare with the CPU; `pytest -m gpu` runs them. They are skipped where there is none."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import pytest
import torch

DEVICE = "cuda"
FLAGS = ["--trainer.accelerator", "gpu", "--trainer.devices", "1"]
ON_A_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")]


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Without TF32."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


@contextlib.contextmanager
def drawn_on_the_cpu() -> Iterator[None]:
    """What torch draws without a generator of its own comes from the CPU's global one, whatever device asks."""

    def of_cpu(draw):
        def drawn(*args, device=None, **options):
            return draw(*args, device="cpu", **options).to(device or "cpu")

        return drawn

    def like(draw):
        def drawn(tensor, **options):
            return draw(tensor.cpu(), **options).to(tensor.device)

        return drawn

    def in_place(draw):
        def drawn(tensor, *args, **options):
            return tensor.copy_(draw(tensor.cpu().clone(), *args, **options))

        return drawn

    with contextlib.ExitStack() as stack:
        for name in ("randn", "rand", "randint", "randperm"):
            stack.enter_context(mock.patch.object(torch, name, of_cpu(getattr(torch, name))))
        for name in ("randn_like", "rand_like"):
            stack.enter_context(mock.patch.object(torch, name, like(getattr(torch, name))))
        for name in ("uniform_", "normal_", "bernoulli_", "random_"):
            stack.enter_context(mock.patch.object(torch.Tensor, name, in_place(getattr(torch.Tensor, name))))
        yield


def difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of all tensors, relative to the second's."""
    assert ours.keys() == theirs.keys()
    joined = [torch.cat([part[name].detach().cpu().double().flatten() for name in theirs]) for part in (ours, theirs)]
    return ((joined[0] - joined[1]).norm() / joined[1].norm().clamp(min=1e-12)).item()
