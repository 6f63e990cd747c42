"""Photographs: the classes that a network sees in an image, in each of the views that it averages at test."""

from collections.abc import Callable
from pathlib import Path

from app.models import arguments_of, class_names, command_of
from app.request import Request
from app.tab import Answer, Say, Tab, packed, rounded
from app.tabs.digits import CLASSIFIERS

COLOUR = 3


class PhotographsTab(Tab):
    """An image and what a classifier says. The page cuts out a square and scales it: pixels arrive, never a file."""

    def hello(self) -> Answer:
        return {
            "models": [
                {"name": name, "command": command_of(name), "shape": list(arguments_of(place)["shape"])}
                for name, place in self._models().items()
            ]
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {"classify": self._classify}

    def _models(self) -> dict[str, Path]:
        return self.app_state.models.of(CLASSIFIERS, lambda given: (given.get("shape") or [0])[0] == COLOUR)

    def _classify(self, request: Request, say: Say) -> None:
        models = self._models()
        name = request.choice("model", models)
        channels, height, width = arguments_of(models[name])["shape"]
        pixels = request.pixels("image", (height, width, channels))
        classifier = self.app_state.models.load(name, models[name], lambda: say({"kind": "loading", "model": name}))
        import torch

        images = torch.tensor(pixels).permute(2, 0, 1)[None]
        with torch.inference_mode():
            views, logits = classifier.views(images), classifier.view_logits(images)[:, 0]  # (V, K)
        say(
            {
                "kind": "classes",
                "names": list(classifier.names.names) or class_names(models[name]),
                "probabilities": rounded(logits.mean(0).softmax(0)),
                "views": [
                    {"image": packed(view[0].numpy()), "probabilities": rounded(own)}
                    for view, own in zip(views, logits.softmax(1), strict=True)
                ],
            }
        )
