"""How text is generated: greedy, by sampling, or by beam search."""

from dataclasses import dataclass

from decoding import sampling
from decoding.beam_search import MOST_BEAMS
from limits import whole


@dataclass(frozen=True)
class GenerationConfig:
    """Options of `decoding.generate.generate`.

    Args:
        max_new_tokens: rows that have not ended by then are cut off, as they are where they have max_length + 1 tokens.
        temperature: 0 takes the likeliest token; otherwise tokens are drawn (`sampling.next_distribution`).
        top_k, top_p: draw from these only.
        beams: more than 1 searches for the likeliest answer as a whole with so many beams (`beam_search`).
        seed: of the draws.

    Raises ValueError for options that are out of range, or do not go together.
    """

    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    beams: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None:
            whole(max_new_tokens=self.max_new_tokens)
        sampling.check(self.temperature, self.top_k, self.top_p)
        whole(1, MOST_BEAMS, beams=self.beams)
        whole(0, sampling.SEEDS - 1, seed=self.seed)
        if self.temperature > 0 and self.beams > 1:
            raise ValueError(
                f"beams={self.beams} search for the likeliest, and temperature={self.temperature} draws; leave one out"
            )
        if self.temperature == 0 and not (self.top_k is None and self.top_p is None):
            raise ValueError(
                f"top_k={self.top_k} and top_p={self.top_p} choose what to draw from, and temperature=0 draws nothing; "
                "raise it"
            )
