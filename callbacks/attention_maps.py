"""What a transformer attends, as pictures in TensorBoard.

B batch, H heads, T tokens that ask, L tokens that are attended.
"""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor, nn

from callbacks.figures import pixels
from networks.transformer import Decoder, Encoder


class AttentionMaps(L.Callback):
    """Attention weights of the middle row of the validation set, a picture for each layer with its heads side by side.

    Rows of a map are the tokens that ask, columns those that are attended; black is 1, white 0.
    """

    # Averaged weights are swapped in between the start and the end of the validation epoch: a batch lies between the
    # two whatever the order of the callbacks.
    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero or not loggers:
            return
        rows = trainer.datamodule.val_dataloader().dataset
        for name, figure in self.figures(module, rows.__getitems__([len(rows) // 2])).items():
            picture = pixels(figure)
            for logger in loggers:
                logger.experiment.add_image(f"attention/{name}", picture, trainer.global_step)

    def figures(self, module: L.LightningModule, batch: dict[str, Tensor]) -> dict[str, Figure]:
        """A picture for each attention of the module that reads this batch of one row."""
        batch = {name: value.to(module.device) for name, value in batch.items()}
        labels: dict[int, list[str]] = {}  # by length: what a source and its target add up to, marks included, differs

        def note(embedding: nn.Embedding, given: tuple[Tensor]) -> None:
            tokens = given[0][0].tolist()
            labels.setdefault(len(tokens), [module.vocabulary.tokenizer.id_to_token(token) for token in tokens])

        readers = [part.embedding for part in module.modules() if isinstance(part, Encoder | Decoder)]
        handles = [embedding.register_forward_pre_hook(note) for embedding in readers]
        try:
            maps = module.attention_maps(batch)
        finally:
            for handle in handles:
                handle.remove()
        return {name: draw(heads[0], labels) for name, heads in maps.items()}


def draw(maps: Tensor, labels: dict[int, list[str]]) -> Figure:
    """Maps of all heads, (H, T, L), side by side, with the labels for axes of these lengths."""
    heads, asking, attended = maps.shape
    inches = 1 + max(asking, attended) / 6
    figure = Figure(figsize=(inches * heads, inches), layout="tight")
    for head, axes in enumerate(figure.subplots(1, heads, squeeze=False)[0]):
        axes.imshow(maps[head].float().cpu().numpy(), cmap="Greys", vmin=0, vmax=1)
        axes.set_title(f"head {head}")
        axes.set_xticks(range(attended), labels.get(attended, range(attended)), rotation=90, fontsize=7)
        axes.set_yticks(range(asking), labels.get(asking, range(asking)), fontsize=7)
    return figure
