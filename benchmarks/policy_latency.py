"""Milliseconds per action chunk for one robot on the CPU: our policy against LeRobot's DiffusionPolicy.

    python -m benchmarks.policy_latency

Ours is `pretrained/pusht` as it ships: its own network and DDIM steps, from keypoints; in PyTorch, and exported
(`python train.py export pusht --batch_size 1`, then with `--int8`), by ONNX Runtime on one thread. LeRobot's is its
DiffusionPolicy with default network on the same kind of state observation, with its default sampler (DDPM, 100 steps)
and with DDIM in 10 steps. Most of the difference is the size of the network and how often it is evaluated. LeRobot pins
older versions of torch, so the benchmark gives it an environment of its own, `.venv-lerobot` (made once), which sees
this one's packages, torch among them, and has what LeRobot needs besides.
All processes take turns on the same machine; those of PyTorch have the same threads.
"""

import json
import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from checkpoints.load_trained import load_trained
from checkpoints.onnx_file import check_packages, write_onnx
from lightning_modules.diffusion_policy import DiffusionPolicy

PEER_ENVIRONMENT = Path(".venv-lerobot")
LEROBOT = "0.4.4"
LEROBOT_NEEDS = [
    "accelerate",
    "av",
    "datasets",
    "deepdiff",
    "diffusers",
    "draccus",
    "einops",
    "gymnasium",
    "imageio",
    "jsonlines",
    "opencv-python-headless",
    "pyserial",
    "termcolor",
    "wandb",
]
ROUNDS = 3

OURS = """
import json, time, torch
from checkpoints.load_trained import load_trained
policy = load_trained("pretrained/pusht")
observation = torch.rand(1, policy.hparams.n_obs_steps, 18) * 512
call = lambda: policy.act(observation)
parameters = sum(p.numel() for p in policy.parameters())
"""
EXPORTED = """
import json, time, numpy, onnxruntime, torch
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(PATH, options, providers=["CPUExecutionProvider"])
scales = {"noise": 1, "observation": 512}
random = numpy.random.default_rng(0)
given = {one.name: scales[one.name] * random.random(one.shape, numpy.float32) for one in session.get_inputs()}
call = lambda: session.run(None, given)
parameters = PARAMETERS
"""
THEIRS = """
import json, sys, time, torch
sys.modules["transformers"] = None  # other policies of LeRobot's, imported with this one, fail with newer versions
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
config = DiffusionConfig(
    input_features={
        "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
        "observation.environment_state": PolicyFeature(FeatureType.ENV, (16,)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
    device="cpu",
    **SAMPLER,
)
policy = DiffusionPolicy(config).eval()
batch = {"observation.state": torch.rand(1, 2, 2), "observation.environment_state": torch.rand(1, 2, 16)}
call = lambda: policy.diffusion.generate_actions(batch)
parameters = sum(p.numel() for p in policy.parameters())
"""
TEN_STEPS = "dict(noise_scheduler_type='DDIM', num_inference_steps=10)"
MEASURE = """
with torch.no_grad():
    call()
    times = []
    start = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - start < 2:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
print(json.dumps({"ms": 1e3 * sorted(times)[len(times) // 2], "parameters": parameters}))
"""


def peer_python() -> str:
    """The Python of LeRobot's own environment, made where it is missing."""
    python = PEER_ENVIRONMENT / "bin" / "python"
    finished = PEER_ENVIRONMENT / "finished"
    if not finished.exists():
        venv.create(PEER_ENVIRONMENT, with_pip=True, clear=True)
        (packages,) = PEER_ENVIRONMENT.glob("lib/python*/site-packages")
        (packages / "ours.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", f"lerobot=={LEROBOT}"], check=True)
        subprocess.run([*pip, *LEROBOT_NEEDS], check=True)
        finished.touch()
    return str(python)


def measure(python: str, setup: str) -> dict:
    done = subprocess.run([python, "-W", "ignore", "-c", setup + MEASURE], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def exported(path: Path, int8: bool) -> str:
    """Writes our policy to this ONNX file; returns the constants that EXPORTED needs."""
    policy = load_trained("pretrained/pusht", DiffusionPolicy)
    write_onnx(policy, policy.onnx_functions()[""].of_batch(1), path, {}, int8)
    return f"PATH, PARAMETERS = {str(path)!r}, {sum(p.numel() for p in policy.parameters())}"


def main() -> None:
    check_packages()
    with TemporaryDirectory() as folder:
        float32, int8 = (exported(Path(folder, f"{int8}.onnx"), int8) for int8 in (False, True))
        compare(float32, int8)


def compare(float32: str, int8: str) -> None:
    """Print the table; the exported policies by their constants for EXPORTED."""
    python = peer_python()
    contestants = {
        "ours": (sys.executable, OURS),
        "ours, ONNX Runtime, one thread": (sys.executable, float32 + EXPORTED),
        "the same with --int8": (sys.executable, int8 + EXPORTED),
        "LeRobot, as it comes": (python, "SAMPLER = {}" + THEIRS),
        "LeRobot, DDIM in 10 steps": (python, f"SAMPLER = {TEN_STEPS}" + THEIRS),
    }
    rounds = [{name: measure(*contestant) for name, contestant in contestants.items()} for _ in range(ROUNDS)]
    table = Table("policy", "parameters", "ms per action chunk (median)", "to ours", title=time.strftime("%Y-%m-%d"))
    for name in contestants:
        milliseconds = median(result[name]["ms"] for result in rounds)
        ratio = median(result[name]["ms"] / result["ours"]["ms"] for result in rounds)
        table.add_row(name, f"{rounds[0][name]['parameters'] / 1e6:.1f} M", f"{milliseconds:.2f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
