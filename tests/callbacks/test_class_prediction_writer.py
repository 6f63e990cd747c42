import csv

import lightning as L
import numpy as np
import torch
from PIL import Image

from callbacks.class_prediction_writer import ClassPredictionWriter
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from lightning_modules.mlp_classifier import MLPClassifier


class Images(PublishedImages):
    shape = (1, 6, 6)
    class_names = ("cat", "dog", "fox")

    def __init__(self, **options):
        super().__init__("memory", batch_size=2, **options)
        images = torch.randint(256, (5, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.test_set = ImageSet(images, torch.zeros(5, dtype=torch.long))


def predict(data, folder):
    torch.manual_seed(0)
    module = MLPClassifier(shape=[1, 6, 6], num_classes=3)
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = L.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[ClassPredictionWriter()], **quiet)
    trainer.predict(module, data)
    with (folder / "predictions.csv").open(newline="") as file:
        return module.eval(), list(csv.DictReader(file))


def test_a_row_for_each_of_the_users_images(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 6), np.uint8)
    for name, image in zip(("a, b.png", "c.png", "ü.png"), pixels, strict=True):
        Image.fromarray(image).save(tmp_path / "mine" / name)
    module, rows = predict(Images(images=str(tmp_path / "mine")), tmp_path)
    assert [row["file"] for row in rows] == ["a, b.png", "c.png", "ü.png"]
    probability = module(torch.from_numpy(pixels)[:, None]).softmax(1)
    assert [row["class"] for row in rows] == [Images.class_names[k] for k in probability.argmax(1)]
    for row, share in zip(rows, probability.amax(1).tolist(), strict=True):
        assert abs(float(row["probability"]) - share) < 1e-4
    assert "3 predictions in" in capsys.readouterr().out


def test_images_of_a_data_set_go_by_their_numbers(tmp_path):
    _, rows = predict(Images(), tmp_path)
    assert [row["file"] for row in rows] == list("01234")


def test_a_file_name_of_any_bytes_and_rows_as_soon_as_they_are_answered(tmp_path):
    """What is answered is in the table as soon as its batch is done."""

    class Named(Images):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return {**batch, "file": [f"{index}-\udcff.png" for index in batch["index"].tolist()]}

    class Reads(L.Callback):
        def on_predict_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
            if batch_idx == 1:
                rows.extend((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines())

    rows: list[str] = []
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = L.Trainer(
        accelerator="cpu", default_root_dir=tmp_path, callbacks=[Reads(), ClassPredictionWriter()], **quiet
    )
    trainer.predict(MLPClassifier(shape=[1, 6, 6], num_classes=3), Named())
    assert [row.split(",")[0] for row in rows] == ["file", "0-\\udcff.png", "1-\\udcff.png"]
