"""Weights of GPT-2 (Radford et al. 2019) as Hugging Face keeps them, for our decoder."""

from torch import Tensor

from networks.positions import LearnedPositions
from networks.transformer import Decoder

OURS = {  # their names, and ours
    "wte": "embedding",
    "wpe": "positions.table",
    "ln_f": "norm",
    "h": "blocks",
    "ln_1": "attention_norm",
    "ln_2": "mlp_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "mlp.0",
    "mlp.c_proj": "mlp.2",
}


def gpt2_decoder(vocab_size: int, width: int, depth: int, heads: int, max_length: int) -> Decoder:
    """A decoder of GPT-2's shape: learned positions, and no memory to attend to."""
    return Decoder(vocab_size, width, depth, heads, max_length, positions=LearnedPositions)


def load_gpt2(decoder: Decoder, weights: dict[str, Tensor]) -> None:
    """Copy the state of a `transformers.GPT2LMHeadModel`, whose matrices are (in, out), into a decoder of its shape.

    Its activation must be "gelu": the "gelu_new" of the published weights differs from ours by up to 5e-4.
    """
    loaded = {}
    for name, value in weights.items():
        if name == "lm_head.weight":  # the embedding once more
            continue
        ours = "." + name.removeprefix("transformer.")
        for their_part, our_part in OURS.items():
            ours = ours.replace(f".{their_part}.", f".{our_part}.")
        loaded[ours[1:]] = value.t() if ".c_" in name and value.ndim == 2 else value
    decoder.load_state_dict(loaded)
