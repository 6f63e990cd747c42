"""GAN: images between two latents, for every class, and what a classifier and the discriminator make of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adversarial.slerp import slerp
from app.models import class_names, command_of, data_of
from app.request import Request
from app.tab import Answer, Say, Tab, packed, rounded
from app.tabs.digits import CLASSIFIERS
from checkpoints.pretrained import trained_file
from diffusion.noise import generators
from networks.image_range import from_pixels

CLASSES = ("lightning_modules.gan.GAN",)
BETWEEN = 9  # images on the way from one latent to the other


class GANTab(Tab):
    """A walk between two latents."""

    def hello(self) -> Answer:
        return {
            "models": [
                {"name": name, "command": command_of(name), "classes": class_names(place)}
                for name, place in self._models().items()
            ]
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {"draw": self._draw}

    def _models(self) -> dict[str, Path]:
        return self.app_state.models.of(CLASSES)

    def _draw(self, request: Request, say: Say) -> None:
        models = self._models()
        name = request.choice("model", models)
        seeds = [request.whole(end, 0, 2**32 - 1) for end in ("start", "end")]
        share, truncation = request.number("share", "[0, 1]"), request.number("truncation", "[0, 2]")
        model = self.app_state.models.load(name, models[name], lambda: say({"kind": "loading", "model": name}))
        classes = model.hparams.num_classes
        label = request.whole("label", 0, max(0, classes - 1))
        start, end = (truncation * model.latents(1, generators(seed, [0])) for seed in seeds)
        different = seeds[0] != seeds[1] and truncation > 0
        between = [slerp(start, end, i / (BETWEEN - 1)) if different else start for i in range(BETWEEN)]
        here = slerp(start, end, share) if different else start
        walk = model.sample([label] * BETWEEN, latents=torch.cat(between))
        others = list(range(classes)) or [0]
        of_all = model.sample(others, latents=here.expand(len(others), -1))
        image = of_all[label if classes else 0]
        say(
            {
                "kind": "images",
                "image": packed(image.numpy()),
                "walk": [packed(one.numpy()) for one in walk],
                "classes": [packed(one.numpy()) for one in of_all],
                "latent": rounded(here[0], 2),
                "discriminator": self._discriminator(model, models[name], image, label),
            }
        )
        say({"kind": "classifier", **self._classifier(image, classes, data_of(models[name]), say)})

    @staticmethod
    def _discriminator(model: Any, place: Path, image: torch.Tensor, label: int) -> float | None:
        """The logit of the discriminator, high for real ones; None where the weights lack it, as those that ship do."""
        if trained_file(place).suffix != ".ckpt":
            return None
        with torch.inference_mode():
            return round(float(model.discriminator(from_pixels(image[None]), torch.tensor([label]))[0]), 3)

    def _classifier(self, image: torch.Tensor, classes: int, data: str, say: Say) -> Answer:
        """What a classifier that was trained on the same data reads, where there is one."""
        shape = list(image.shape)

        def fits(given: dict[str, Any]) -> bool:
            return list(given.get("shape") or []) == shape and given.get("num_classes") == classes

        for name, place in self.app_state.models.of(CLASSIFIERS, fits).items():
            if data_of(place) != data:
                continue
            classifier = self.app_state.models.load(name, place, partial(say, {"kind": "loading", "model": name}))
            with torch.inference_mode():
                return {"name": name, "probabilities": rounded(classifier(image[None]).softmax(1)[0])}
        return {"name": None, "probabilities": []}
