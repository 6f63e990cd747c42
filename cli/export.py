"""A trained model as ONNX files: `python train.py export RUN`.

What becomes a file, and what its inputs and outputs mean, the model's own module says (`checkpoints.onnx_function`).
Each file is run by ONNX Runtime as soon as it is written, and compared with PyTorch.
"""

from pathlib import Path
from typing import cast

from checkpoints.load_trained import load_trained
from checkpoints.onnx_file import check_packages, largest_differences, write_onnx
from checkpoints.onnx_function import LARGEST_BATCH, OnnxExportable
from checkpoints.pretrained import trained_file
from checkpoints.run_model import config_beside
from checkpoints.runs import config_name
from cli.subcommand_parser import SubcommandParser
from cli.usage import version


def export(args: list[str]) -> None:
    """Do what the words after `export` say.

    Raises ValueError or OSError for a mistake, with one line that says what to do.
    """
    options = _parser().parse_args(args)
    check_packages()
    weights = trained_file(options.model)
    module = load_trained(weights)
    if not hasattr(module, "onnx_functions"):
        raise ValueError(
            f"{type(module).__name__} does not say how it is exported; give it a method onnx_functions, as "
            "checkpoints.onnx_function.OnnxExportable describes it"
        )
    config = config_beside(weights)
    assert config is not None  # `load_trained` read it
    out = Path(f"{config_name(config)}.onnx") if options.out is None else options.out
    if out.suffix != ".onnx" or out.is_dir():
        raise ValueError(f"--out {out} must be a file that ends in .onnx")
    functions = cast(OnnxExportable, module).onnx_functions()
    if options.batch_size is not None:
        functions = {added: function.of_batch(options.batch_size) for added, function in functions.items()}
    metadata = {"model": type(module).__name__, "weights": config_name(config), "made_by": version()}
    for added, function in functions.items():
        path = out.with_stem(out.stem + added)
        write_onnx(module, function, path, metadata, options.int8)
        differences = largest_differences(function, path)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; takes {', '.join(function.inputs)}; gives", end=" ")
        print(", ".join(f"{name} (at most {value:.1e} from PyTorch's)" for name, value in differences.items()))


def _parser() -> SubcommandParser:
    parser = SubcommandParser("export", __doc__)
    parser.add_argument("model", help="a run's folder, a checkpoint, or the name of a folder of pretrained/")
    parser.add_argument("--out", type=Path, help="the file (by default NAME.onnx here); further ones lie beside it")
    help_ = f"takes so many rows alone, at most {LARGEST_BATCH}, with fewer operations; by default, any number may come"
    parser.add_argument("--batch_size", type=int, metavar="N", help=help_)
    help_ = "linear layers in 8-bit integers: a quarter of the size, faster for one row, further from PyTorch's outputs"
    parser.add_argument("--int8", action="store_true", help=help_)
    return parser
