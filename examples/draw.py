"""Images of the classes you name, by a shipped model: a PNG of each, and all of them under their names.

    python -m examples.draw 7 7 7 --scale 3            # handwritten digits, by diffusion
    python -m examples.draw ship ship cat              # photographs, likewise
    python -m examples.draw 3 1 4 --model svhn_gan     # house numbers, by a GAN
    python -m examples.draw --seed 1                   # one of each class

Nothing is downloaded, and no data set is read.
"""

import argparse
import difflib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from jsonargparse import ArgumentParser
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from callbacks.pillow_image import pillow_image
from callbacks.sampling import HIGHEST_SEED
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import read_config, trained_file
from checkpoints.run_model import config_beside
from cli.quiet import keep_quiet
from diffusion.noise import generators
from lightning_modules.named_classes import NamedClasses
from limits import whole

DIGITS, PHOTOGRAPHS = "mnist_ddpm", "cifar10_ddpm"
MOST = 1000  # images at once
COLUMNS = 10  # of the grid
UNFIT = re.compile(r"[^\w.+-]")  # for a file's name: a class may be called n/a
TILE, LETTERS = 128, 16  # pixels: an image's side in the grid, and the height of its name


def class_names(model: L.LightningModule, given: str) -> list[str]:
    """What the model's classes are called: by itself, or by the data that it learned from; else numbers."""
    if isinstance(model, NamedClasses) and model.names.names:
        return list(model.names.names)
    config = config_beside(trained_file(given))
    data = read_config(config).get("data") if config else None
    count = int(model.hparams.get("num_classes") or 1)
    try:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(L.LightningDataModule, "data", fail_untyped=False)
        names = list(parser.instantiate(parser.parse_object({"data": data})).data.class_names)
    except Exception:  # whatever data that are not on this machine raise
        names = []
    return names if len(names) == count else [str(number) for number in range(count)]


def labels_of(words: Sequence[str], names: Sequence[str]) -> list[int]:
    """The classes that words name, each by its name or its number; without words, all of them.

    Raises ValueError for a word that is neither, with the nearest name.
    """
    lower = [name.lower() for name in names]
    labels = []
    for word in words:
        if word.lower() in lower:
            labels.append(lower.index(word.lower()))
        elif word.isdecimal() and int(word) < len(names):
            labels.append(int(word))
        else:
            near = difflib.get_close_matches(word.lower(), lower, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"there is no class {word!r}; this model draws {', '.join(names)}{hint}")
    return labels if words else list(range(len(names)))


def draw(model: L.LightningModule, labels: Sequence[int], scale: float | None, seed: int) -> Tensor:
    """An image for each class: (B, C, H, W) uint8. Each has noise of its own, from the seed and its place.

    Raises ValueError for a model that draws no images, or a scale where there is no guidance.
    """
    name, sample = type(model).__name__, getattr(model, "sample", None)
    takes = inspect.signature(sample).parameters if callable(sample) else {}
    if "labels" not in takes:
        raise ValueError(f"{name} draws no images; take a DDPM or a GAN, such as {DIGITS} or svhn_gan")
    if scale is not None and "guidance_scale" not in takes:
        raise ValueError(f"--scale {scale}: {name} draws without guidance; leave --scale out, or take {DIGITS}")
    whole(0, HIGHEST_SEED, seed=seed)
    options = {} if scale is None else {"guidance_scale": scale}
    return model.sample(list(labels), generator=generators(seed, range(len(labels))), **options).cpu()


def grid(images: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    """Images in rows of ten, enlarged, each with its name beneath."""
    columns = min(COLUMNS, len(images))
    width, height = TILE + 4, TILE + LETTERS + 10
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for place, (image, name) in enumerate(zip(images, names, strict=True)):
        left, top = place % columns * width + 2, place // columns * height + 2
        enlarged = image.convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST)  # pixels stay to be seen
        sheet.paste(enlarged, (left, top))
        pen.text((left + TILE / 2, top + TILE + 2), name, fill="black", font=font, anchor="ma")
    return sheet


def main(args: list[str] | None = None) -> None:
    """`python -m examples.draw`."""
    parser = argparse.ArgumentParser(prog="python -m examples.draw", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("classes", nargs="*", help="names or numbers of classes, an image for each; all by default")
    parser.add_argument("--scale", type=float, help="guidance scale of a DDPM: a larger one is truer to the class")
    parser.add_argument("--model", help=f"a name in pretrained/, or a run's folder (default {DIGITS} or {PHOTOGRAPHS})")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other images (default 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/drawn"), help="folder of the images (default runs/drawn)"
    )
    options = parser.parse_args(args)
    keep_quiet()
    chosen = options.model or (DIGITS if all(word.isdecimal() for word in options.classes) else PHOTOGRAPHS)
    try:
        if len(options.classes) > MOST:
            raise ValueError(f"{len(options.classes)} images are too many at once; name at most {MOST} classes")
        model = load_trained(chosen)
        names = class_names(model, chosen)
        labels = labels_of(options.classes, names)
        with torch.inference_mode():
            images = [pillow_image(image) for image in draw(model, labels, options.scale, options.seed)]
        options.out.mkdir(parents=True, exist_ok=True)
        called = [names[label] for label in labels]
        for place, (image, name) in enumerate(zip(images, called, strict=True)):
            image.save(options.out / f"{place:03d}-{UNFIT.sub('_', name)}.png")
        grid(images, called).save(options.out / "grid.png")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    other = "python -m examples.draw ship cat" if chosen == DIGITS else "python -m examples.draw 7 7 7 --scale 3"
    print(f"run     {options.out}: {len(images)} images by {chosen}")
    print(f"look at {options.out / 'grid.png'}")
    print(f"next    {other}")


if __name__ == "__main__":
    main()
