"""Speed of our decoder on the CPU: writing against Hugging Face, training against nanoGPT, with cache and without.

    python -m benchmarks.generation
    python -m benchmarks.generation --nanogpt path/to/nanoGPT/model.py

Generation: the same random weights in `transformers.GPT2LMHeadModel` and in ours, the same prompts, greedy, both with a
cache, in float32 and in bfloat16. Training: forward, backward and AdamW's step, in float32 as nanoGPT's train.py takes
it on a CPU, and with autocast to bfloat16. The contestants take turns; figures are medians.

At batch 1 every token needs all weights to be read, so memory sets a limit for any implementation: "limit" is tokens a
second when weights are read as fast as a large tensor is summed. A small network's weights stay in the cache and may
pass it.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.gpt2 import gpt2_decoder, load_gpt2
from decoding.generate import generate

# depth, width, heads, vocabulary of nanoGPT's character model, and of the smallest GPT-2
SHAPES = {
    "6 layers, 384 wide, 65 tokens": (6, 384, 6, 65),
    "GPT-2 small: 12 layers, 768 wide, 50,257 tokens": (12, 768, 12, 50257),
}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BATCHES = (1, 32)
PROMPT = 8  # tokens
NO_END = -1  # no token ends a row
LENGTHS = (64, 128, 256, 512)  # of the table of cache on against off
# nanoGPT's settings for small runs, its README's for a CPU and those of its train_shakespeare_char.py, here with fewer
# rows to a batch: depth, width, heads, T, B, vocabulary
TRAINING = {
    "4 layers, 128 wide, 12 x 64 tokens": (4, 128, 4, 64, 12, 65),
    "6 layers, 384 wide, 8 x 256 tokens": (6, 384, 6, 256, 8, 65),
}


def take_turns(contestants: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one call that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    with Progress(transient=True) as bar:
        for _ in bar.track(range(1 + rounds), description=" against ".join(contestants)):
            for name, call in contestants.items():
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: median(seconds[1:]) for name, seconds in times.items()}


def reading_speed(rounds: int) -> float:
    """Bytes a second."""
    large = torch.ones(2**27)  # half a GiB, more than any cache holds
    return large.nbytes / take_turns({"sum": large.sum}, rounds)["sum"]


def generation(new_tokens: int, rounds: int) -> Table:
    from transformers import GPT2Config, GPT2LMHeadModel

    columns = (
        "shape",
        "type",
        "batch",
        "ours, tokens/s",
        "Hugging Face, tokens/s",
        "ratio",
        "to their float32",
        "limit",
    )
    table = Table(*columns)
    memory = reading_speed(rounds)
    table.title = f"{new_tokens} new tokens, transformers {version('transformers')}"
    for shape, (depth, width, heads, vocabulary) in SHAPES.items():
        options = {"activation_function": "gelu", "bos_token_id": None, "eos_token_id": None}  # no token ends a row
        config = GPT2Config(vocab_size=vocabulary, n_layer=depth, n_embd=width, n_head=heads, **options)
        theirs = GPT2LMHeadModel(config).eval()
        ours = gpt2_decoder(vocabulary, width, depth, heads, config.n_positions).eval()
        load_gpt2(ours, theirs.state_dict())
        as_it_comes: dict[int, float] = {}  # seconds of a batch
        for type_name, dtype in TYPES.items():
            ours, theirs = ours.to(dtype), theirs.to(dtype)
            for batch in BATCHES:
                prompt = torch.randint(vocabulary, (batch, PROMPT), generator=torch.Generator().manual_seed(0))

                def write(tokens=new_tokens, ours=ours, prompt=prompt):
                    return generate(ours, prompt, max_new_tokens=tokens, end=NO_END)

                def write_theirs(tokens=new_tokens, theirs=theirs, prompt=prompt):
                    options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
                    return theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **options)

                if dtype == torch.float32:  # with the same weights, both generate the same
                    assert torch.equal(write(PROMPT), write_theirs(PROMPT)[:, PROMPT:])
                seconds = take_turns({"ours": write, "Hugging Face": write_theirs}, rounds)
                speeds = [f"{batch * new_tokens / seconds[name]:.0f}" for name in seconds]
                theirs_took = seconds["Hugging Face"]
                others = (theirs_took, as_it_comes.setdefault(batch, theirs_took))
                ratios = [f"{other / seconds['ours']:.2f}" for other in others]
                limit = batch * memory / sum(weight.nbytes for weight in ours.parameters())
                table.add_row(shape, type_name, str(batch), *speeds, *ratios, f"{limit:.0f}")
    return table


def cache(rounds: int) -> Table:
    shape, (depth, width, heads, vocabulary) = next(iter(SHAPES.items()))
    table = Table("new tokens", "with cache, s", "without, s", "ratio", title=f"{shape}, float32, batch 1")
    network = gpt2_decoder(vocabulary, width, depth, heads, 1024).eval()
    prompt = torch.randint(vocabulary, (1, PROMPT), generator=torch.Generator().manual_seed(0))
    for length in LENGTHS:
        seconds = take_turns(
            {
                name: lambda cached=cached, length=length: generate(
                    network, prompt, max_new_tokens=length, end=NO_END, cached=cached
                )
                for name, cached in (("with cache", True), ("without", False))
            },
            rounds,
        )
        table.add_row(
            str(length),
            *(f"{taken:.2f}" for taken in seconds.values()),
            f"{seconds['without'] / seconds['with cache']:.1f}",
        )
    return table


def training(path: Path, rounds: int) -> Table:
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    nanogpt = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nanogpt)
    table = Table("shape", "type", "ours, ms", "nanoGPT, ms", "ratio", "to nanoGPT's float32", title="a training step")
    for shape, (depth, width, heads, length, batch, vocabulary) in TRAINING.items():
        config = nanogpt.GPTConfig(
            block_size=length, vocab_size=vocabulary, n_layer=depth, n_head=heads, n_embd=width, dropout=0.0, bias=True
        )
        theirs = nanogpt.GPT(config)
        their_optimizer = theirs.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
        ours = gpt2_decoder(vocabulary, width, depth, heads, length)
        optimizer = torch.optim.AdamW(ours.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.1, fused=True)
        tokens = torch.randint(vocabulary, (batch, length + 1), generator=torch.Generator().manual_seed(0))
        inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        seconds = {}
        for type_name, dtype in TYPES.items():

            def step(ours=ours, optimizer=optimizer, dtype=dtype, inputs=inputs, labels=labels):
                with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                    loss = F.cross_entropy(ours(inputs).flatten(0, 1), labels.flatten())
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

            def their_step(theirs=theirs, optimizer=their_optimizer, dtype=dtype, inputs=inputs, labels=labels):
                with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                    _, loss = theirs(inputs, labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

            seconds[type_name] = take_turns({"ours": step, "nanoGPT": their_step}, 5 * rounds)
        as_it_comes = seconds["float32"]["nanoGPT"]
        for type_name, taken in seconds.items():
            milliseconds = [f"{1e3 * took:.1f}" for took in taken.values()]
            ratios = [f"{other / taken['ours']:.2f}" for other in (taken["nanoGPT"], as_it_comes)]
            table.add_row(shape, type_name, *milliseconds, *ratios)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__.split("\n\n")[0])
    parser.add_argument("--nanogpt", type=Path, help="nanoGPT's model.py; without it, training is left out")
    parser.add_argument("--new-tokens", type=int, default=256, help="tokens that are generated after each prompt")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant is measured")
    options = parser.parse_args()
    console = Console(width=120)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {time.strftime('%Y-%m-%d')}")
    console.print(generation(options.new_tokens, options.rounds))
    console.print(cache(options.rounds))
    if options.nanogpt:
        console.print(training(options.nanogpt, options.rounds))


if __name__ == "__main__":
    as_command(main)
