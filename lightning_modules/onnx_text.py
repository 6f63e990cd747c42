"""What the exported functions of sequence models have in common: tokens as inputs, and the cached step.

B batch, L tokens read before, T new tokens, S source tokens, V vocabulary.
"""

import json

import torch
from torch import Tensor

from checkpoints.onnx_function import BATCH, ROWS, Input, OnnxFunction
from networks.cached_step import Past, cached_step
from networks.kv_cache import KVCache
from networks.sequence_network import DecoderNetwork
from networks.transformer import Memory
from networks.vocabulary import BOS, EOS, PAD, SEP, SPECIAL, Vocabulary

LOGITS = "(batch, {}, V) float32: a score of every id of the vocabulary"


def tokens_and_mask(name: str, vocab_size: int, axis: str, meaning: str) -> dict[str, Input]:
    """Random token ids as an input of this name, and their mask as NAME_mask."""
    axes = {0: BATCH, 1: axis}
    ids = torch.randint(SPECIAL, vocab_size, (ROWS, ROWS))
    mask = torch.ones_like(ids, dtype=torch.bool)
    return {name: Input(ids, meaning, axes), f"{name}_mask": Input(mask, f"false where {name} is padding", axes)}


def vocabulary_metadata(vocabulary: Vocabulary) -> dict[str, str]:
    """The special ids, and the tokenizer as the JSON that `tokenizers.Tokenizer.from_str` reads."""
    special = json.dumps({"PAD": PAD, "BOS": BOS, "EOS": EOS, "SEP": SEP})
    known = {} if vocabulary.tokenizer is None else {"tokenizer": vocabulary.tokenizer.to_str()}
    return {"special_ids": special} | known


def cached_step_function(
    decoder: DecoderNetwork, metadata: dict[str, str], memory: Memory | None = None
) -> OnnxFunction | None:
    """`networks.cached_step.cached_step` as a function; None for a decoder without a `KVCache`.

    Args:
        decoder: the network.
        metadata: as `OnnxFunction` has it.
        memory: of an encoder-decoder, as an example.
    """
    cache = decoder.cache(ROWS)
    if not isinstance(cache, KVCache):
        return None
    new = tokens_and_mask("tokens", decoder.vocab_size, "new", "the next token ids, one or more")
    read = tokens_and_mask("past_tokens", decoder.vocab_size, "past", "those read before; none at first")
    tokens, mask = (given.example for given in read.values())
    with torch.no_grad():
        decoder.features(tokens, mask, memory, cache)
    past = Input(cache.keys_values, "their keys and values; none at first", {2: BATCH, 4: "past"})
    inputs = {**new, **read, "past_keys_values": past}
    if memory is not None:
        inputs["memory"] = Input(torch.stack(memory.keys_values), "what _encode gave", {2: BATCH, 4: "source"})
        ones = torch.ones(ROWS, ROWS, dtype=torch.bool)
        inputs["source_mask"] = Input(ones, "as it was given to _encode", {0: BATCH, 1: "source"})

    def step(tokens: Tensor, mask: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        attended = Memory(list(given[3].unbind()), given[4][:, None, None]) if memory is not None else None
        logits, past = cached_step(decoder, tokens, mask, Past(*given[:3]), attended)
        return logits, *past

    outputs = {
        "logits": LOGITS.format("new"),
        "all_tokens": "past_tokens of the next step",
        "all_tokens_mask": "past_tokens_mask of the next step",
        "all_keys_values": "past_keys_values of the next step",
    }
    return OnnxFunction(step, inputs, outputs, metadata)
