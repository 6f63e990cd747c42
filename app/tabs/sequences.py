"""Sequences: an answer token by token, what else might have been written, and what every head attended to.

T tokens that attend, L tokens that they attend to, H heads, V vocabulary.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.models import class_of, command_of, data_of
from app.request import Request
from app.tab import Answer, Say, Tab

LONGEST_TEXT = 2000  # characters
CANDIDATES = 5
MOST_TOKENS = 400  # new ones, of free text
MOST_ATTENDED = 96  # tokens, beyond which attention is not drawn
KINDS = {
    "lightning_modules.sequence_tagger.SequenceTagger": "encoder",
    "lightning_modules.seq2seq.Seq2Seq": "encoder-decoder",
    "lightning_modules.language_model.LanguageModel": "decoder",
}
EXAMPLES = {"sorting": "31 41 59 26 53 58 97 93", "pig_latin": "the quick brown fox jumps over the lazy dog"}


class SequencesTab(Tab):
    """A text and its answer."""

    def hello(self) -> Answer:
        return {
            "models": [
                {
                    "name": name,
                    "command": command_of(name),
                    "example": next((text for part, text in EXAMPLES.items() if part in name), ""),
                    "writes": _writes(place),
                    "draws": KINDS.get(class_of(place)) != "encoder",
                }
                for name, place in self.app_state.models.of(KINDS).items()
            ]
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {"answer": self._answer}

    def _answer(self, request: Request, say: Say) -> None:
        models = self.app_state.models.of(KINDS)
        name = request.choice("model", models)
        text = request.text("text", LONGEST_TEXT)
        options = _options(request)
        module = self.app_state.models.load(name, models[name], lambda: say({"kind": "loading", "model": name}))
        import torch

        from networks.vocabulary import EOS

        (ids,) = module.vocabulary.encode([text])
        if not ids:
            raise ValueError("there is nothing to answer: type at least one token")
        writes = _writes(models[name])
        source = torch.tensor([ids])
        said: list[int] = []

        def on_token(token: Any, logits: Any) -> None:
            said.append(int(token[0]))
            say({"kind": "token", **_candidates(module, logits[0], int(token[0]))})

        say({"kind": "reading", "tokens": _names(module, ids), "writes": writes})
        if not hasattr(module.network, "decoder") and not hasattr(module.network, "cache"):  # an encoder alone
            said += self._tag(module, source, say)
        else:
            streams = {} if options.get("beams", 1) > 1 else {"on_token": on_token}
            if writes:
                answer = module.go_on(source, **options, **streams)
            else:
                answer = module.generate(source, **{**options, "max_new_tokens": None}, **streams)
            said = answer[0].tolist()
        ended = EOS in said
        said = said[: said.index(EOS)] if ended else said
        say(
            {
                "kind": "answer",
                "text": module.vocabulary.decode([said])[0],
                "ended": ended,
                "tokens": _names(module, said),
            }
        )
        attention = _attention(module, ids, said, writes)
        say({"kind": "attention", "maps": attention})

    def _tag(self, module: Any, source: Any, say: Say) -> list[int]:
        """The token at every position, all at once."""
        import torch

        from networks.vocabulary import EOS, SPECIAL, after_bos

        with torch.inference_mode():
            features = module.network.features(*after_bos(source, torch.ones_like(source, dtype=torch.bool)))
            logits = module.network.logits(features)[0, 1:]
            logits[:, :SPECIAL] = -torch.inf
        tokens = logits.argmax(1).tolist()
        for token, row in zip(tokens, logits, strict=True):
            say({"kind": "token", **_candidates(module, row, token)})
        return [*tokens, EOS]


def _options(request: Request) -> dict[str, Any]:
    """How to generate, as `decoding.generate.generate` takes it; it refuses what does not go together."""
    options: dict[str, Any] = {
        "temperature": request.number("temperature", "[0, 10]") if "temperature" in request else 0.0,
        "beams": request.whole("beams", 1, 16) if "beams" in request else 1,
        "seed": request.whole("seed", 0, 2**32 - 1) if "seed" in request else 0,
        "max_new_tokens": request.whole("max_new_tokens", 1, MOST_TOKENS) if "max_new_tokens" in request else 100,
    }
    if "top_k" in request:
        options["top_k"] = request.whole("top_k", 1, 10_000)
    if "top_p" in request:
        options["top_p"] = request.number("top_p", "(0, 1]")
    return options


def _writes(place: Path) -> bool:
    """Whether a model goes on with free text; the others answer."""
    return data_of(place) == "datamodules.text.Text"


def _names(module: Any, ids: list[int]) -> list[str]:
    return module.vocabulary.tokens(ids)


def _candidates(module: Any, logits: Any, token: int) -> Answer:
    """A token, its probability, and the likeliest ones with theirs (before temperature, top-k and top-p)."""
    probabilities = logits.float().softmax(0)
    best = probabilities.topk(min(CANDIDATES, len(probabilities)))
    return {
        "token": _names(module, [token])[0],
        "probability": round(float(probabilities[token]), 4),
        "candidates": [
            [name, round(float(p), 4)]
            for name, p in zip(_names(module, best.indices.tolist()), best.values, strict=True)
        ],
    }


def _attention(module: Any, source: list[int], answer: list[int], writes: bool) -> list[Answer]:
    """What each head of each layer attended to while the whole was read once more: maps (H, T, L) with their tokens."""
    import torch

    from networks.vocabulary import BOS, SEP

    if len(source) + len(answer) > MOST_ATTENDED:
        return []
    sequence, both = torch.tensor([source]), torch.tensor([source + answer])
    if writes:
        batch, reads = {"tokens": torch.cat([both, both[:, -1:]], 1)}, {"": source + answer}
    else:
        target = torch.tensor([answer], dtype=torch.long)
        batch = {
            "source": sequence,
            "source_mask": torch.ones_like(sequence, dtype=torch.bool),
            "target": target,
            "target_mask": torch.ones_like(target, dtype=torch.bool),
        }
        if hasattr(module.network, "decoder"):
            reads = {"encoder": [BOS, *source], "decoder": [BOS, *answer]}
        elif hasattr(module.network, "cache"):
            reads = {"": [*source, SEP, *answer]}
        else:
            reads = {"": [BOS, *source]}
    found = []
    for name, map_ in module.attention_maps(batch).items():
        asking = next(tokens for reader, tokens in reads.items() if name.startswith(reader))
        attended = next(iter(reads.values())) if name.endswith("cross_attention") else asking
        heads = map_[0].float()  # (H, T, L)
        if heads.shape[1:] != (len(asking), len(attended)):
            continue  # a network of somebody's own that reads something else
        found.append(
            {
                "name": name,
                "heads": len(heads),
                "asking": _names(module, asking),
                "attended": _names(module, attended),
                "bytes": base64.b64encode((255 * heads).round().byte().numpy().tobytes()).decode(),
            }
        )
    return found
