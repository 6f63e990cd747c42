"""Speed of `numpy_core` against torch on the CPU and against plain loops: `python -m benchmarks.numpy_core`.

Two jobs in float32: Conv2d forward and backward (64 images, 32 to 64 channels, 28 x 28, kernel 3 x 3, padding 1), and a
training step of an MLP (784-512-10, batch 128, AdamW). NumPy and torch take turns in processes of their own, with the
threads that each takes by default. The loops do one image of the 64; their time is counted 64 times.

OPENBLAS_* variables, which can slow NumPy's BLAS, are taken out of the environment of both.
"""

import json
import os
import platform
import subprocess
import sys
import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.command import as_command

ROUNDS = 7

MEASURE = """
import json, time
def milliseconds(job, least=1.0):
    job(), job()
    times = []
    while sum(times) < least:
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return 1e3 * sorted(times)[len(times) // 2]
print(json.dumps({"convolution": milliseconds(convolution), "MLP step": milliseconds(mlp_step)}))
"""
NUMPY = """
import numpy as np
from numpy_core import AdamW, Conv2d, softmax_cross_entropy, two_layer_mlp
rng = np.random.default_rng(0)
layer = Conv2d(32, 64, 3, rng, padding=1)
x = rng.standard_normal((64, 32, 28, 28), np.float32)
dy = rng.standard_normal((64, 64, 28, 28), np.float32)
def convolution():
    layer.weight.grad = layer.bias.grad = None
    layer(x)
    layer.backward(dy)
model = two_layer_mlp(784, 512, 10, rng)
optimizer = AdamW(model.parameters().values())
digits, labels = rng.standard_normal((128, 784), np.float32), rng.integers(0, 10, 128)
def mlp_step():
    optimizer.zero_grad()
    model.backward(softmax_cross_entropy(model(digits), labels)[1])
    optimizer.step()
"""
TORCH = """
import torch
from torch import nn
layer = nn.Conv2d(32, 64, 3, padding=1)
x = torch.randn(64, 32, 28, 28, requires_grad=True)
dy = torch.randn(64, 64, 28, 28)
def convolution():
    x.grad = layer.weight.grad = layer.bias.grad = None
    layer(x).backward(dy)
model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.AdamW(model.parameters())
digits, labels = torch.randn(128, 784), torch.randint(0, 10, (128,))
def mlp_step():
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(digits), labels).backward()
    optimizer.step()
"""


def measure(setup: str) -> dict[str, float]:
    """Median milliseconds of each job in a new process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    command = [sys.executable, "-W", "ignore", "-c", setup + MEASURE]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def convolve_by_loops(x: np.ndarray, weight: np.ndarray, dy: np.ndarray) -> None:
    """Forward and backward of one image (C, H, W), a loop for each axis of the output: what a first course writes."""
    outputs, size = len(weight), weight.shape[-1]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y, dweight, dpadded = np.zeros_like(dy), np.zeros_like(weight), np.zeros_like(padded)
    for o in range(outputs):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                window = np.s_[:, i : i + size, j : j + size]
                y[o, i, j] = np.sum(weight[o] * padded[window])
                dweight[o] += dy[o, i, j] * padded[window]
                dpadded[window] += dy[o, i, j] * weight[o]


def loop_milliseconds() -> float:
    """Time of `convolve_by_loops` for 64 images, from one."""
    rng = np.random.default_rng(0)
    shapes = [(32, 28, 28), (64, 32, 3, 3), (64, 28, 28)]
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    begin = time.perf_counter()
    convolve_by_loops(*arrays)
    return 64e3 * (time.perf_counter() - begin)


def main() -> None:
    rounds = [(measure(NUMPY), measure(TORCH)) for _ in track(range(ROUNDS), "taking turns")]
    loops = loop_milliseconds()
    title = f"float32, {os.cpu_count()} cores, {platform.machine()}"
    table = Table(
        "job", "numpy_core ms", "torch ms", "share of torch's speed (min to max)", "against loops", title=title
    )
    for job in rounds[0][0]:
        ours, theirs = (median(times[job] for times in column) for column in zip(*rounds, strict=True))
        ratios = sorted(theirs[job] / ours[job] for ours, theirs in rounds)
        share = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        table.add_row(
            job, f"{ours:.2f}", f"{theirs:.2f}", share, f"{loops / ours:.0f}x" if job == "convolution" else ""
        )
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
