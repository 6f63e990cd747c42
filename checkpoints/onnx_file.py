"""An ONNX file of a module's function, and how far ONNX Runtime is from PyTorch with it."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.onnx_function import OnnxFunction

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}


def check_packages() -> None:
    """Raises ValueError where a package is missing that writes or runs ONNX files."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"export needs {', '.join(missing)}, not installed here: pip install 'firstlight[export]', or "
            f"pip install {' '.join(PACKAGES)}"
        )


def write_onnx(
    module: nn.Module, function: OnnxFunction, path: Path, metadata: Mapping[str, str], int8: bool = False
) -> None:
    """Write a function of a module as one ONNX file, whole or not at all.

    The file's metadata hold what is given here, what the function brings, and shape, type and meaning of each input
    and output ("input.NAME", "output.NAME").

    Args:
        module: in evaluation mode, whose weights the function reads.
        function: what is exported.
        path: of the file.
        metadata: that it gets besides.
        int8: whether its linear layers compute in 8-bit integers. One row through a large network takes as long as its
            weights take to read, and these are a quarter of the bytes.

    Raises OSError where the file cannot be written; ValueError for a function that cannot be exported.
    """
    with _written_beside(path) as partial:
        program = _program(module, function)
        program.model.metadata_props.update({**metadata, **function.metadata, **_meanings(function)})
        if int8:
            _write_int8(program, partial)
        else:
            program.save(partial, external_data=False)


def _write_int8(program: Any, path: Path) -> None:
    """By ONNX Runtime's dynamic quantization.

    Weights are rounded here, with a scale for each output of a layer; its inputs as they come, with one scale for all.
    Weights have 7 bits: processors without VNNI add pairs of products in 16 bits, where those of 8 bits overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            program.model_proto,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )


@contextlib.contextmanager
def _written_beside(path: Path) -> Iterator[Path]:
    """A file beside a path, which takes its place at last. It is there at once: a folder that takes none is refused."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; name another file by --out") from error


class _Called(nn.Module):
    """A function of a module as a module of its own, which is what torch exports."""

    def __init__(self, module: nn.Module, function: OnnxFunction):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.function.call(*inputs)


def _program(module: nn.Module, function: OnnxFunction) -> Any:
    """The `torch.onnx.ONNXProgram` of a function, without a trace of the code that it came from."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    axes = tuple(dict(given.axes) for given in function.inputs.values())
    examples = tuple(given.example for given in function.inputs.values())
    with _quiet(), torch.no_grad():
        try:
            program: Any = torch.onnx.export(
                _Called(module, function).eval(),
                examples,
                input_names=list(function.inputs),
                output_names=list(function.outputs),
                dynamic_shapes=(axes,),
                dynamo=True,
                optimize=False,  # by `_fold`
                verbose=False,
            )
        except Exception as error:  # whatever tracing the user's own network raises
            first: BaseException = error
            while first.__cause__ is not None:
                first = first.__cause__
            said = " ".join(str(first).split()) or type(first).__name__
            raise ValueError(
                f"{type(module).__name__} cannot be exported to ONNX: {said:.300}; its network, and what is around it, "
                "must compute by torch operations without Python branches on the values of tensors"
            ) from error
    drawn = sorted({node.op_type for node in program.model.graph.all_nodes()} & RANDOM)
    if drawn:
        raise ValueError(
            f"{type(module).__name__} draws random numbers on its way ({', '.join(drawn)}), and an ONNX file takes all "
            "of its noise as an input; choose a sampler that draws none, such as DDIMSampler with eta 0 or DPMSolver"
        )
    _fold(program.model)
    ClearMetadataAndDocStringPass()(program.model)
    return program


def _fold(model: Any) -> None:
    """Compute once what depends on no input, and leave out what nothing reads, or what is there twice.

    Of the exporter's own optimizations this is what makes a file smaller and faster. Its rules for rewriting operations
    are left out: ONNX Runtime has them, too, and among the 20,000 operations of a DDPM's steps they search for hours.
    """
    from onnx_ir.passes import common
    from onnxscript.optimizer import fold_constants

    fold_constants(model)
    for tidy in (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        tidy(model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about its own steps; what it cannot do, it raises."""
    own = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    loggers = [logging.root, *(logging.getLogger(name) for name in own)]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _meanings(function: OnnxFunction) -> dict[str, str]:
    inputs = {}
    for name, (example, meaning, axes) in function.inputs.items():
        shape = ", ".join(axes.get(place, str(size)) for place, size in enumerate(example.shape))
        inputs[f"input.{name}"] = f"({shape}) {str(example.dtype).removeprefix('torch.')}: {meaning}"
    return inputs | {f"output.{name}": meaning for name, meaning in function.outputs.items()}


def largest_differences(function: OnnxFunction, path: Path) -> dict[str, float]:
    """The largest difference between ONNX Runtime and PyTorch in each output, for the function's examples."""
    import onnxruntime

    examples = {name: given.example for name, given in function.inputs.items()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(list(function.outputs), {name: example.numpy() for name, example in examples.items()})
    with torch.no_grad():
        ours = function.call(*examples.values())
    ours = (ours,) if isinstance(ours, Tensor) else ours
    return {
        name: float((own.double() - torch.from_numpy(other).double()).abs().max())
        for name, own, other in zip(function.outputs, ours, theirs, strict=True)
    }
