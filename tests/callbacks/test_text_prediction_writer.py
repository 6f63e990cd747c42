import lightning as L
import torch
from torch.utils.data import DataLoader

from callbacks.text_prediction_writer import TextPredictionWriter
from datamodules.sorting import Sorting
from lightning_modules.sequence_tagger import SequenceTagger
from networks.vocabulary import with_eos


class Sorter(SequenceTagger):
    """Answers right."""

    def _generate(self, source, source_mask, max_new_tokens):
        return with_eos(source.sort(1).values, source_mask)


def test_answers_are_printed(capsys):
    data = Sorting(numbers=[5, 3, 9])
    data.setup()
    module = Sorter(data.vocab_size)
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[TextPredictionWriter()], enable_progress_bar=False)
    trainer.predict(module, data)
    assert "5 3 9 -> 3 5 9" in [line.strip() for line in capsys.readouterr().out.splitlines()]


class Echo(L.LightningModule):
    """Writes every prompt's text twice."""

    def predict_step(self, batch, batch_idx):
        return ["ab" * len(batch["tokens"][0])]


def test_a_text_is_printed_as_it_is(capsys):
    prompts = DataLoader([{"tokens": torch.ones(1, 3)}], batch_size=None)
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[TextPredictionWriter()], enable_progress_bar=False)
    trainer.predict(Echo(), prompts)
    assert "ababab" in [line.strip() for line in capsys.readouterr().out.splitlines()]
