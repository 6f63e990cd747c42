"""Milliseconds and memory of a training step of each family on one device, all in one process.

    python -m benchmarks.gpu.steps --device cuda --seconds 100 --out steps.json

"fit" and "bare loop" are those of `benchmarks.step_time`, on shipped configs with `configs/with/gpu.yaml`; data are
drawn from fonts or made. "compiled" is fit with `callbacks.compile_networks.CompileNetworks`. The DDPM's rivals are
those of `benchmarks.ddpm_rivals`, each in a loop of its own on one batch in memory, with the average of its weights.
When the seconds are over, what is left is left out.
"""

import argparse
import contextlib
import gc
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import train
from benchmarks import ddpm_rivals, step_time
from benchmarks.step_clock import wait
from cli.freed_memory import keep_freed_memory

FIT, BARE = "benchmarks.step_clock.StepClock", "benchmarks.bare_loop.BareLoop"
COMPILED = ("--trainer.callbacks+=callbacks.compile_networks.CompileNetworks",)
LARGE = ("--config", "configs/with/gpu_ddpm.yaml", "--trainer.check_val_every_n_epoch", "1")
EAGER_LARGE = (*LARGE, "--trainer.callbacks", "[{class_path: callbacks.weight_averaging.EMAWeightAveraging}]")
RIVALS_BATCH = 128


class Size(NamedTuple):
    """How much is measured on a device: steps that count, steps before them, and further words of train.py."""

    steps: int
    warm_up: int
    words: tuple[str, ...]


SIZES = {"cuda": Size(200, 20, ()), "cpu": Size(2, 1, ("--data.batch_size", "8"))}
OF_RIVALS = {"cuda": Size(60, 15, ()), "cpu": Size(2, 1, ())}


def flags(device: str) -> tuple[str, ...]:
    on_cpu = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")
    return on_cpu if device == "cpu" else ("--config", "configs/with/gpu.yaml")


def timed(family: str, callback: str, extra: tuple[str, ...], size: Size) -> step_time.Run:
    """`step_time.timed` within this process: on a GPU to start a process takes longer than to train a family."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "clock.json"
        clock = (f"--trainer.callbacks+={callback}", f"--trainer.callbacks.out={out}")
        given = step_time.words(family, size.steps, size.warm_up, folder, extra)
        with contextlib.suppress(SystemExit):  # the clock ends the run when it has seen enough
            train.main([*given, *clock, f"--trainer.callbacks.warm_up={size.warm_up}"])
        if not out.exists():
            raise ValueError(f"{family} ended before its last step")
        return step_time.read(out, size.warm_up)


def contests(device: str) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Name, way, and what measures it, the most telling first."""
    size = SIZES[device]

    def run(family: str, how: str, callback: str, *extra: str):
        given = (*flags(device), *size.words, *(step_time.ALONE if callback == BARE else ()), *extra)
        return family, how, lambda: timed(family, callback, given, size)

    yield run("cifar10_ddpm", "bare loop", BARE)
    yield run("cifar10_ddpm", "fit", FIT)
    if device == "cuda":
        yield run("cifar10_ddpm", "fit, batch 512", FIT, *EAGER_LARGE)
        yield run("cifar10_ddpm", "fit, batch 512, compiled", FIT, *LARGE)
    yield from rivals(device)
    for family in step_time.FAMILIES:
        if family != "cifar10_ddpm":
            yield run(family, "bare loop", BARE)
            yield run(family, "fit", FIT)
    if device == "cuda":
        for family in ("cifar10_fast", "svhn_gan", "pusht", "sorting_encoder_decoder"):
            yield run(family, "fit, compiled", FIT, *COMPILED)


def rivals(device: str) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    size = OF_RIVALS[device]
    batch = RIVALS_BATCH if device == "cuda" else 2
    own = ddpm_rivals.parameters(ddpm_rivals.ours().model)
    for name, make in {"ours": lambda _: ddpm_rivals.ours(), **ddpm_rivals.RIVALS}.items():
        for bfloat16 in (True,) if name == "ours" else (False, True):
            how = f"loop, batch {batch}, {'bfloat16' if bfloat16 else 'float32 (TF32)'}"
            yield f"DDPM: {name}", how, lambda make=make, low=bfloat16: rival(make(own), device, batch, low, size)


def rival(one: ddpm_rivals.Contestant, device: str, batch: int, bfloat16: bool, size: Size) -> dict[str, Any]:
    one.model.to(device).train()
    one.averaged.to(device)
    images = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8, device=device)
    labels = torch.randint(10, (batch,), device=device)
    begin = 0.0
    for number in range(size.warm_up + size.steps):
        if number == size.warm_up:
            wait()
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            begin = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = one.loss(images, labels)
        loss.backward()
        one.optimizer.step()
        one.optimizer.zero_grad()
        one.averaged.update_parameters(one.model)
    wait()
    seconds = (time.perf_counter() - begin) / size.steps
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    note = f"{ddpm_rivals.parameters(one.model) / 1e6:.1f} M parameters"
    return {"seconds": seconds, "memory": memory, "note": note}


def measured(measure: Callable[[], Any]) -> dict[str, Any]:
    begin = time.perf_counter()
    try:
        found = measure()
        figures = found if isinstance(found, dict) else {"seconds": found.seconds, "memory": found.memory}
        figures |= {"cpu_seconds": found.cpu_seconds} if isinstance(found, step_time.Run) else {}
    except ImportError as error:
        figures = {"error": f"left out: {error}"}
    except Exception as error:  # whatever a family raises, the others are measured
        figures = {"error": f"{type(error).__name__}: {error}\n{traceback.format_exc()[-800:]}"}
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    torch.compiler.reset()
    return figures | {"took": round(time.perf_counter() - begin, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.steps", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=SIZES, default="cuda")
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    end, rows = time.monotonic() + given.seconds, []
    keep_freed_memory()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    for name, how, measure in contests(given.device):
        if time.monotonic() > end:
            rows.append({"name": name, "how": how, "error": "left out: no time was left"})
        else:
            rows.append({"name": name, "how": how, **measured(measure)})
        given.out.write_text(json.dumps(rows))
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
