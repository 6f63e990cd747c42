from types import SimpleNamespace

import pytest

from cli import precision


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"bf16": True, "sve": False}, True),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_a_cpu_has_bfloat16_where_it_has_instructions_for_it(capabilities, has):
    assert precision.cpu_has_bfloat16(capabilities) is has


@pytest.mark.parametrize(
    ("asked", "accelerator", "has", "given"),
    [
        ("bf16-mixed", "cpu", False, "32-true"),
        ("bf16", "auto", False, "32-true"),
        ("bf16-mixed", "cpu", True, "bf16-mixed"),
        ("bf16-mixed", "gpu", False, "bf16-mixed"),
        ("16-mixed", "cpu", False, "16-mixed"),
        ("bf16-true", "cpu", False, "bf16-true"),
        (None, "auto", False, None),
        ("32-true", "cpu", True, "32-true"),
    ],
)
def test_only_bf16_mixed_on_a_cpu_without_bfloat16_is_computed_in_float32(monkeypatch, asked, accelerator, has, given):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
    monkeypatch.setattr(precision.torch.accelerator, "is_available", lambda: False)
    assert precision.fast_precision(asked, accelerator) == given


@pytest.mark.parametrize(
    ("asked", "accelerator", "capability", "given"),
    [
        ("bf16-mixed", "gpu", (7, 5), "32-true"),  # T4
        ("bf16-mixed", "auto", (7, 0), "32-true"),  # V100
        ("bf16-mixed", "cuda", (8, 0), "bf16-mixed"),  # A100
        ("16-mixed", "gpu", (7, 5), "16-mixed"),
        ("bf16-true", "gpu", (7, 5), "bf16-true"),
    ],
)
def test_nor_on_a_gpu_that_emulates_it(monkeypatch, asked, accelerator, capability, given):
    """As torch itself tells a GPU's generation."""
    cuda = precision.torch.cuda
    monkeypatch.setattr(precision.torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "current_device", lambda: 0)
    monkeypatch.setattr(cuda, "get_device_properties", lambda device: SimpleNamespace(major=capability[0]))
    assert precision.fast_precision(asked, accelerator) == given
