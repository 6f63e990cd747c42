"""What this project does on one GPU, in a few minutes: a table, figures as JSON, and the weights of a DDPM.

    python -m benchmarks.gpu --minutes 7 --data FOLDER --out FOLDER

In this order, with a table and JSON written after each part:

1. tests     `pytest -m gpu`: what the CPU does, the GPU does
2. steps     a training step of each family, by `train.py fit` and in a bare loop; the DDPM beside two libraries
3. cifar10   `configs/cifar10_fast.yaml` end to end: seconds to 94 %
4. ddpm      `configs/cifar10_ddpm.yaml` with `configs/with/gpu_ddpm.yaml` for all minutes that are left; then samples
             and their FID

Each part runs in processes of its own, with a time limit; where one fails, its last words stand in the report and the
next one begins. FOLDER of --data is what FIRSTLIGHT_DATA names, with cifar10/ in it; without that, digits drawn from
fonts take the place of photographs. No network is needed. Beside PyTorch, torchvision and Lightning these packages are:
jsonargparse, typeshed-client, docstring-parser, torchmetrics, datasets, dill, multiprocess, safetensors, tokenizers,
gymnasium, pymunk, cffi, shapely, matplotlib, imageio, pyarrow, tensorboard and pytest; diffusers and
denoising-diffusion-pytorch (with ema-pytorch) are part 2's rivals.

It writes to --out: gpu.md, gpu.json, log.txt, and of the DDPM model.safetensors, config.yaml and samples.png. The
weights are brought up to date while it trains: whatever ends this process, the newest stay.

With `--device cpu --minutes 1` it does the same on a CPU, with less of everything, to try it.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml

from benchmarks.gpu.report import Report
from benchmarks.publish import put
from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO

ROOT = Path(__file__).parent.parent.parent
SHARES = {"tests": 75, "steps": 110, "cifar10": 100}  # seconds at most, of seven minutes or more
OF_SEVEN = 420
GRACE = 15.0  # seconds between asking a process to end and ending it
SAMPLES = 60.0  # seconds that are kept for samples and their FID
EXPORT_EVERY = 20.0  # seconds
FIT_STARTS = 20.0  # seconds until a process of train.py trains


class Stay:
    """What all parts share: where, on what and until when.

    Args:
        given: the command's arguments.
        work: a folder for what is not brought out.
    """

    def __init__(self, given: argparse.Namespace, work: Path):
        self.out, self.device, self.work = given.out, given.device, work
        self.on_gpu = given.device != "cpu"
        self.seconds = 60 * given.minutes
        self.begin = time.monotonic()
        self.cifar10 = (given.data / "cifar10").is_dir() if given.data else False
        self.environment = os.environ | {
            "FIRSTLIGHT_DATA": str(given.data or ""),
            "FIRSTLIGHT_CACHE": os.environ.get("FIRSTLIGHT_CACHE", str(work / "cache")),
            "FIRSTLIGHT_DEBUG": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
        }
        (self.out / "log.txt").write_text("")

    @property
    def left(self) -> float:
        """Seconds that remain of all."""
        return self.seconds - (time.monotonic() - self.begin)

    @property
    def scale(self) -> float:
        """How the seconds stand to those of seven minutes, 1 at most: what is more is the DDPM's."""
        return min(1.0, self.seconds / OF_SEVEN)

    @property
    def flags(self) -> list[str]:
        """Words of train.py that name the device."""
        gpu = ["--config", "configs/with/gpu.yaml"]
        return gpu if self.on_gpu else ["--trainer.accelerator", "cpu", "--trainer.devices", "1"]

    @property
    def source(self) -> list[str]:
        """Words of train.py that name photographs, or what takes their place."""
        return [] if self.cifar10 else ["--data.source", "fonts"]

    def run(
        self,
        what: str,
        words: list[str],
        seconds: float,
        watch: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> dict:
        """Run python with these words for so long at most, and call `watch` every half second meanwhile.

        Returns {"seconds", "code"}, and the last words under "error" where it did not end well.
        """
        start, asked = time.monotonic(), False
        place = self.work / f"{what}.txt"
        with (
            place.open("w") as output,
            subprocess.Popen(
                [sys.executable, "-W", "ignore", *words],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            ) as process,
        ):
            try:
                while process.poll() is None:
                    took = time.monotonic() - start
                    if took > seconds and not asked:
                        _tell(process, signal.SIGTERM)
                        asked = True
                    elif took > seconds + GRACE:
                        break
                    watch()
                    time.sleep(0.5)
            finally:
                _tell(process, signal.SIGKILL)
        done = {"seconds": round(time.monotonic() - start, 1), "code": process.returncode}
        said = _plain(place.read_text(errors="replace"))
        with (self.out / "log.txt").open("a") as log:
            log.write(f"\n=== {what}: {' '.join(words)}\n{said}")
        if asked:
            done["ended"] = f"its {seconds:.0f} seconds were over"
        if process.returncode:
            done["error"] = said[-1500:]
        return done


def _tell(process: subprocess.Popen, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, what)


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character == "\n")


def tests(stay: Stay, write: Callable[[Any], None]) -> None:
    """What `pytest -m gpu` says of each test, in several processes with a share of the tests each."""
    seconds = min(SHARES["tests"] * stay.scale, stay.left)
    count = max(1, min(6, (os.cpu_count() or 1) // 2)) if stay.on_gpu else 1

    def of_share(number: int) -> dict:
        name = f"tests {number} of {count}"
        found = stay.work / f"{name}.xml"
        words = ["-m", "pytest", "-m", "gpu", "tests/gpu", "-vv", "-rs", "-p", "no:cacheprovider"]
        share = {"FIRSTLIGHT_TEST_SHARE": f"{number}/{count}", "OMP_NUM_THREADS": "2"}
        done = stay.run(name, [*words, f"--junitxml={found}"], seconds, environment=share)
        if found.exists():
            return done | {"cases": list(ElementTree.parse(found).getroot().iter("testcase"))}
        said = (stay.work / f"{name}.txt").read_text(errors="replace")
        return done | {"cases": [], "before_the_end": re.findall(r"^tests/gpu/(\S+::.*?) (PASSED|FAILED)", said, re.M)}

    with ThreadPoolExecutor(count) as pool:
        runs = {str(number): done for number, done in enumerate(pool.map(of_share, range(1, count + 1)), 1)}
    cases = [case for done in runs.values() for case in done.pop("cases")]
    skipped = [case for case in cases if case.find("skipped") is not None]
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    write(
        {
            "seconds": max(done["seconds"] for done in runs.values()),
            "passed": len(cases) - len(skipped) - len(wrong),
            "skipped": len(skipped),
            "failed": len(wrong),
            "failures": [{"test": _name(case), "said": _last_words(case)} for case in wrong],
            "skips": [{"test": _name(case), "said": case.find("skipped").get("message")} for case in skipped],
            "measured": {_name(case): _properties(case) for case in cases if _properties(case)},
            "took": {_name(case): float(case.get("time", 0)) for case in cases},
            "shares": runs,
        }
    )


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"


def _properties(case: ElementTree.Element) -> dict[str, str]:
    return {one.get("name"): one.get("value") for one in case.iter("property")}


def _last_words(case: ElementTree.Element) -> str:
    said = [part for kind in ("failure", "error") for part in case.findall(kind)]
    return _plain(" ".join(f"{part.get('message')}\n{(part.text or '')[-600:]}" for part in said))[:1500]


def steps(stay: Stay, write: Callable[[Any], None]) -> None:
    """The table of `benchmarks.gpu.steps`."""
    out, rows = stay.work / "steps.json", 0

    def watch() -> None:
        """Bring out each row: nothing is lost where this process is ended."""
        nonlocal rows
        with contextlib.suppress(OSError, ValueError):  # not there yet, or half written
            if len(found := json.loads(out.read_text())) > rows:
                rows = len(found)
                write({"figures": found})

    seconds = min(SHARES["steps"] * stay.scale, stay.left)
    words = ["-m", "benchmarks.gpu.steps", "--device", stay.device, "--seconds", f"{0.9 * seconds:.0f}"]
    done = stay.run("steps", [*words, "--out", str(out)], seconds, watch)
    write(done | {"figures": json.loads(out.read_text()) if out.exists() else []})


def cifar10(stay: Stay, write: Callable[[Any], None]) -> None:
    """Training and test of the fast CNN, by the clock."""
    out = stay.work / "cifar10.json"
    words = ["-m", "benchmarks.gpu.cifar10", "--out", str(out), "--begin", f"{time.time():.2f}", "--", *stay.source]
    if not stay.on_gpu:
        words += ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--data.batch_size", "50"]
    done = stay.run("cifar10", [*words, *stay.flags], min(SHARES["cifar10"] * stay.scale, stay.left))
    write(done | {"figures": json.loads(out.read_text()) if out.exists() else {}})


def ddpm(stay: Stay, write: Callable[[Any], None]) -> None:
    """The DDPM of all that is left, its weights, and what they draw."""
    for_samples = SAMPLES * stay.scale
    seconds = stay.left - for_samples - FIT_STARTS * stay.scale
    if seconds < 5:
        write({"error": f"{stay.left:.0f} seconds are left: too few to train and to draw"})
        return
    words = ["train.py", "fit", "--config", "configs/cifar10_ddpm.yaml", *stay.flags]
    words += ["--config", str(_overlay(stay)), "--run", "gpu", *stay.source]
    words += [f"--trainer.default_root_dir={stay.work}", f"--trainer.max_time={_clock(seconds)}"]
    run, newest = stay.work / "cifar10_ddpm/gpu", 0.0

    def watch() -> None:
        """Bring out weights that are newer."""
        nonlocal newest
        last = run / "checkpoints/last.ckpt"
        if last.exists() and last.stat().st_mtime > newest + (EXPORT_EVERY if newest else 0):
            newest = last.stat().st_mtime
            brought_out(run, stay.out, stay.work)

    limit = stay.left - 0.7 * for_samples
    done = stay.run("ddpm", words, limit, watch) | {"max_time": _clock(seconds)}
    with contextlib.suppress(OSError, ValueError):
        done["steps"] = AtomicCheckpointIO().load_checkpoint(run / "checkpoints/last.ckpt")["global_step"]
    write(done)
    brought_out(run, stay.out, stay.work)
    place = stay.work / "samples.json"
    given = ["-m", "benchmarks.gpu.samples", str(stay.out), "--out", str(place)]
    if not stay.on_gpu:
        given += ["--samples", "600", "--steps", "2", "--scales", "1"]
    drawn = stay.run("samples", given, stay.left - 1)
    write(done | {"samples": drawn | {"figures": json.loads(place.read_text()) if place.exists() else []}})


def _overlay(stay: Stay) -> Path:
    """`configs/with/gpu_ddpm.yaml`; a copy that is smaller on a CPU, and has digits judged by who knows digits."""
    overlay = yaml.safe_load((ROOT / "configs/with/gpu_ddpm.yaml").read_text())
    callbacks = {one["class_path"].rpartition(".")[2]: one for one in overlay["trainer"]["callbacks"]}
    if not stay.cifar10:
        callbacks["SampleQuality"]["init_args"]["classifier"] = "pretrained/svhn_classifier"
    if not stay.on_gpu:
        callbacks["CompileNetworks"]["init_args"] = {"backend": "eager"}
        overlay["model"]["init_args"]["network"] = {
            "class_path": "networks.unet2d.UNet2D",
            "init_args": {"widths": [64]},
        }
        overlay["data"]["init_args"]["batch_size"] = 16
        overlay["trainer"]["limit_train_batches"] = 20
        overlay["last_checkpoint"]["every_n_epochs"] = 1
    path = stay.work / "gpu_ddpm.yaml"
    path.write_text(yaml.safe_dump(overlay))
    return path


def _clock(seconds: float) -> str:
    """As Lightning's max_time wants it, days:hours:minutes:seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"00:00:{minutes:02}:{rest:02}"


def brought_out(run: Path, out: Path, work: Path) -> None:
    """Put a run's newest weights and their config into `out`; a torn checkpoint leaves those that are there."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        try:
            put(run, Path(folder))
            for name in ("model.safetensors", "config.yaml"):
                shutil.copyfile(Path(folder) / name, out / f"{name}.part")
                (out / f"{name}.part").replace(out / name)
        except Exception as error:
            print(f"weights not brought out: {' '.join(str(error).split())[:300]}", file=sys.stderr, flush=True)


PARTS = {"tests": tests, "steps": steps, "cifar10": cifar10, "ddpm": ddpm}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.0, help="of all parts together")
    parser.add_argument("--data", type=Path, help="a folder as FIRSTLIGHT_DATA names; by default that one")
    parser.add_argument("--out", type=Path, required=True, help="the folder that is written to")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here; --device cpu tries the script without one")
    if given.data is None and os.environ.get("FIRSTLIGHT_DATA"):
        given.data = Path(os.environ["FIRSTLIGHT_DATA"])
    given.out = given.out.resolve()
    given.data = given.data.resolve() if given.data else None
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        stay = Stay(given, Path(work))
        report = Report(given.out, given.device, given.minutes)
        ready = _made_ready(stay) if "tests" in given.parts else None
        for name, part in PARTS.items():
            if name not in given.parts:
                continue
            begin = time.monotonic()
            try:
                part(stay, lambda found, name=name: report.write(name, found))
            except Exception as error:  # whatever it is, the other parts go on
                report.write(name, {"error": f"{type(error).__name__}: {error}"})
            print(f"{name}: {time.monotonic() - begin:.0f} s, {stay.left:.0f} s left", flush=True)
            if ready and name == "tests":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    ready.wait(timeout=max(1.0, min(20.0, stay.left / 8)))
                _tell(ready, signal.SIGKILL)
    print((given.out / "gpu.md").read_text())


def _made_ready(stay: Stay) -> subprocess.Popen:
    """Reads photographs and draws digits into the cache, while the tests run."""
    code = (
        "from datamodules.cifar10 import CIFAR10; from datamodules.mnist import MNIST; "
        "[kind(source='fonts').setup() for kind in (MNIST, CIFAR10)]"
    )
    if stay.cifar10:
        code = code.replace("; [", "; CIFAR10().setup(); [")
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=stay.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    main()
