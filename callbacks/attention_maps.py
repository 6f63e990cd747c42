"""What a transformer attends to, as images.

B batch, H heads, T tokens that attend (queries), L tokens that they attend to (keys).
"""

from collections.abc import Sequence
from typing import Any, cast

import lightning as L
from lightning.pytorch.utilities import rank_zero_warn
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.figures import pixels
from callbacks.log_media import log_image
from callbacks.module_protocols import AttentiveModule, check_module
from callbacks.validation_rows import validation_rows
from networks.transformer import Decoder, Encoder

WIDEST = 120  # inches of an image; beyond it maps shrink: long sequences and many heads would take gigabytes


class AttentionMaps(L.Callback):
    """Logs the attention weights of the middle row of the validation set (`callbacks.log_media`).

    Each layer is an image "attention/LAYER", its heads side by side. Rows of a map are the tokens that attend, columns
    those that are attended to; black is 1, white 0. Tokens are numbered where the network is not of
    `networks.transformer`; a network whose attention weights cannot be read is named in a warning.
    """

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, AttentiveModule)

    # Averaged weights are swapped in at the start of the validation epoch and out at its end. During its batches they
    # are in place, whatever the order of the callbacks.
    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        for name, figure in self.figures(module, validation_rows(trainer, batch, 1)).items():
            log_image(trainer, f"attention/{name}", pixels(figure))

    def figures(self, module: L.LightningModule, batch: dict[str, Tensor]) -> dict[str, Figure]:
        """A figure for each attention of the module that reads this batch of one row; warns where there is none."""
        batch = {name: value.to(module.device) for name, value in batch.items()}
        transformer = cast(AttentiveModule, module)
        read: dict[str, list[str]] = {}  # what each part of the network reads, a source before its target

        def note(reader: str, given: tuple[Tensor]) -> None:
            read[reader] = transformer.vocabulary.tokens(given[0][0].tolist())

        handles = [
            part.embedding.register_forward_pre_hook(lambda _, given, reader=name: note(reader, given))
            for name, part in transformer.network.named_modules()
            if isinstance(part, Encoder | Decoder)
        ]
        try:
            maps = transformer.attention_maps(batch)
        finally:
            for handle in handles:
                handle.remove()
        if not maps:
            rank_zero_warn(
                f"AttentionMaps shows nothing of {type(transformer.network).__name__}, which has no "
                "networks.attention.ScaledDotProductAttention; leave the callback out of trainer.callbacks"
            )
        figures = {}
        for name, heads in maps.items():
            asking, attended = (list(map(str, range(size))) for size in heads.shape[2:])
            for reader, tokens in read.items():
                if name.startswith(reader):
                    asking = tokens
                    attended = next(iter(read.values())) if name.endswith("cross_attention") else tokens
                    break
            figures[name] = draw(heads[0], asking, attended)
        return figures


def draw(maps: Tensor, asking: Sequence[str], attended: Sequence[str]) -> Figure:
    """Maps of all heads, (H, T, L), side by side, with T and L labels."""
    heads = len(maps)
    inches = min(1 + max(len(asking), len(attended)) / 6, WIDEST / heads)
    figure = Figure(figsize=(inches * heads, inches), layout="tight")
    for head, axes in enumerate(figure.subplots(1, heads, squeeze=False)[0]):
        axes.imshow(maps[head].float().cpu().numpy(), cmap="Greys", vmin=0, vmax=1)
        axes.set(title=f"head {head}", xlabel="attended to")
        axes.set_xticks(range(len(attended)), attended, rotation=90, fontsize=7)
        axes.set_yticks(range(len(asking)), asking, fontsize=7)
    figure.axes[0].set_ylabel("attending")
    return figure
