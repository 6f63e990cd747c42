"""Which precision a machine computes fast in."""

from collections.abc import Mapping
from typing import Any

import torch


def cpu_has_bfloat16(capabilities: Mapping[str, Any] | None = None) -> bool:
    """Whether this CPU multiplies in bfloat16: by AVX-512 BF16, AMX, or Arm's BF16 and SVE BF16.

    Others do it in software, many times slower than float32.

    Args:
        capabilities: as `torch.cpu.get_capabilities` names them; by default, those of this machine.
    """
    capabilities = _cpu_capabilities() if capabilities is None else capabilities
    return any(present for name, present in capabilities.items() if name.endswith("bf16"))


def _cpu_capabilities() -> Mapping[str, Any]:
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    # Before torch 2.10: the same questions, without a public name, and none about Arm.
    return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported(), "amx_bf16": torch.cpu._is_amx_tile_supported()}


def gpu_has_bfloat16() -> bool:
    """Whether the GPU multiplies in bfloat16, as NVIDIA's do from the Ampere generation on; V100 and T4 emulate it."""
    return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)


def fast_precision(asked: str | int | None, accelerator: str) -> str | int | None:
    """Lightning's precision for its `accelerator`: `asked`, but float32 for bf16-mixed where bfloat16 is emulated."""
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    fast = cpu_has_bfloat16() if on_cpu else gpu_has_bfloat16()
    return "32-true" if asked in ("bf16-mixed", "bf16") and not fast else asked
