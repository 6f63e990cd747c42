"""Modules as ONNX files, and ONNX Runtime to run them, for the tests of `export`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from checkpoints.onnx_file import write_onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def session(path: Path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(own, **inputs):
    """The outputs of a session by name, for tensors or arrays."""
    given = {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
    return dict(zip((output.name for output in own.get_outputs()), own.run(None, given), strict=True))


def sessions(module, folder: Path):
    """Of all functions of a module, by what is added to the name of their files."""
    found = {}
    for added, function in module.eval().onnx_functions().items():
        write_onnx(module, function, folder / f"model{added}.onnx", {})
        found[added] = session(folder / f"model{added}.onnx")
    return found


def metadata(own) -> dict[str, str]:
    return own.get_modelmeta().custom_metadata_map


def step_by_step(step, prompt, lengths, **memory):
    """Logits (V,) of the last token and the past of one row, read by a file of the cached step in pieces."""
    shapes = {given.name: given.shape for given in step.get_inputs()}
    layers, two, _, heads, _, dim = shapes["past_keys_values"]
    past = {
        "past_tokens": np.zeros((len(prompt), 0), np.int64),
        "past_tokens_mask": np.zeros((len(prompt), 0), bool),
        "past_keys_values": np.zeros((layers, two, len(prompt), heads, 0, dim), np.float32),
    }
    found = []
    for start, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
        tokens = prompt[:, start : start + length]
        given = run(step, tokens=tokens, tokens_mask=np.ones_like(tokens, bool), **past, **memory)
        found.append(given["logits"])
        past = {name: given[name.replace("past", "all")] for name in past}
    return np.concatenate(found, 1), past
