"""What the weights of a DDPM draw: a grid, and how near 10,000 samples are to the real images.

    python -m benchmarks.gpu.samples FOLDER --out samples.json

FOLDER holds model.safetensors and config.yaml; samples.png is written to it. The measures are those of
`callbacks.sample_quality.SampleQuality`, which config.yaml names, at each of some guidance scales.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import yaml
from torchvision.io import write_png

import train
from callbacks.sample_grid import draw, grid
from checkpoints.load_trained import load_trained
from lightning_modules.ddpm import DDPM

ROWS = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.samples", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=20, help="of the sampler")
    parser.add_argument("--scales", type=float, nargs="+", default=[5.0, 2.0, 3.0], help="of guidance, in this order")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_trained(given.folder, DDPM).to(device)
    begin, figures = time.perf_counter(), {"scales": {}}
    write_png(grid(draw(model, model.hparams.num_classes, ROWS)), str(given.folder / "samples.png"))
    figures["seconds_of_the_grid"] = round(time.perf_counter() - begin, 1)
    given.out.write_text(json.dumps(figures))
    config = yaml.safe_load((given.folder / "config.yaml").read_text())
    for callback in config["trainer"]["callbacks"]:
        if callback["class_path"].endswith("SampleQuality"):
            callback["init_args"]["samples"] = given.samples
    place = given.out.with_suffix(".yaml")
    place.write_text(yaml.safe_dump(config))
    words = ["test", "--config", str(place), "--ckpt_path", str(given.folder / "model.safetensors")]
    words += ["--trainer.default_root_dir", str(given.out.parent), "--trainer.logger", "false"]
    words += ["--model.sampling_steps", str(given.steps), "--trainer.devices", "1"]
    for scale in given.scales:
        begin = time.perf_counter()
        metrics = train.main([*words, "--model.guidance_scale", str(scale)]).trainer.callback_metrics
        took = {"seconds": time.perf_counter() - begin}
        figures["scales"][str(scale)] = {name: float(value) for name, value in metrics.items()} | took
        given.out.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
