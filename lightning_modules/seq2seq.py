"""Sequences to sequences by an encoder-decoder, trained with teacher forcing.

    encoder reads    BOS s1  s2  s3
    decoder reads    BOS t1  t2  t3
    and predicts     t1  t2  t3  EOS

Attention averages, so a network cannot count how many tokens there are by itself: against the constant BOS it can.

B batch, S source tokens, T target tokens.
"""

from torch import Tensor

from decoding.generate import generate
from lightning_modules.sequence_model import SequenceModel
from networks.transformer import Decoder, Encoder, EncoderDecoder
from networks.vocabulary import BOS, UNWRITTEN, after_bos, with_eos


class Seq2Seq(SequenceModel):
    """A `SequenceModel` on `networks.transformer.EncoderDecoder`.

    Args:
        **options: those of `SequenceModel`; max_length holds for source and target each, BOS included.
    """

    def __init__(self, **options):
        super().__init__(**options)
        hp = self.hparams
        size = (hp.vocab_size, hp.width, hp.depth, hp.heads)
        self.network = EncoderDecoder(
            Encoder(*size, self._positions(), dropout=hp.dropout),
            Decoder(*size, self._positions(), cross=True, dropout=hp.dropout),
        )

    def _task(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        target, mask = batch["target"], batch["target_mask"]
        labels = with_eos(target, mask)  # (B, T + 1)
        shifted, counts = after_bos(target, mask)  # padding on the right is behind all that counts
        source, source_mask = after_bos(batch["source"], batch["source_mask"])
        return (source, shifted, source_mask), labels, counts

    def _write(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None, **options) -> Tensor:
        memory = self.network.encode(*after_bos(source, source_mask))
        begin = source.new_full((len(source), 1), BOS)
        return generate(
            self.network.decoder,
            begin,
            memory=memory,
            max_new_tokens=max_new_tokens,
            suppress_tokens=UNWRITTEN,
            **options,
        )
