"""Every number of every public constructor and function, at its edges: it works, or one line says what is allowed.

The walk finds the callables by itself, so that a new one without a case in `edge_cases.py` is a failure.
"""

import contextlib
import inspect
import math
import pkgutil
import resource
import signal
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from tests.edge_cases import CASES

PACKAGES = (
    *("numpy_core", "networks", "decoding", "diffusion", "adversarial", "optim", "metrics", "checkpoints"),
    *("envs", "planning", "datamodules", "lightning_modules", "callbacks", "cli"),
)
CHECKS = ("float_array", "axis", "indices", "positive", "sizes", "between", "above_zero", "finite", "shares")
GEOMETRY = ("output_size", "pad", "taps")
EXCLUDED = {  # and why
    **{  # Lightning's hook: it counts batches
        f"callbacks.{kind}_prediction_writer.{kind.title()}PredictionWriter.write_on_batch_end": "a hook of Lightning's"
        for kind in ("action", "class", "image", "text")
    },
    **{f"numpy_core.checks.{name}": "it is what refuses the numbers" for name in CHECKS},
    "numpy_core.windows.pair": "it is what refuses the numbers",
    **{f"numpy_core.windows.Windows.{name}": "geometry of images that are there" for name in GEOMETRY},
    "numpy_core.activations.softmax": "arithmetic inside layers that have checked the axis",
    "numpy_core.activations.softmax_backward": "arithmetic inside layers that have checked the axis",
    "numpy_core.autograd.Tensor.sum": "NumPy refuses a wrong axis",
    "numpy_core.autograd.Tensor.reshape": "NumPy refuses a wrong shape",
    "numpy_core.optimizers.Optimizer": "the base of those that are walked",
    "datamodules.device_resident.index_on": "takes rows that a sampler has drawn",
    "datamodules.fonts.DrawnDigits": "draws tens of thousands of digits by `draw`, which is walked",
    "datamodules.fonts.FontSource": "likewise",
    "datamodules.fonts.write_letters": "draws by `draw`, which is walked, and writes files",
    "datamodules.image_reader.fit_image": "takes the size that `Images` has checked",
    "datamodules.encoded_images.image_shape_of": "takes the size that `Images` has checked",
    "datamodules.cache.cached_rows": "takes the number of files that were found, and the shape of their images",
    "datamodules.sources.head": "takes constants",
    "datamodules.images.Images": "reads a data set; tests/datamodules/test_own_images.py walks its numbers",
    "datamodules.images.Images.training_images": "likewise; tests/datamodules/test_images.py walks it",
    "datamodules.published_images.PublishedImages": "says no shape; tests/datamodules/test_images.py walks a subclass",
    "datamodules.pseudo_words.PseudoWords.chained": "as many words as an epoch has, which its datamodule checks",
    "datamodules.pseudo_words.PseudoWords.draw": "as many words as an epoch has, which its datamodule checks",
    "datamodules.image_files.read_image_files": "reads a folder; its shape comes from `Images`",
    "datamodules.augmentation.sampling_places": "takes the size of images that are there",
    "datamodules.augmentation.smooth_field": "takes the size of images that are there",
    "envs.drawing.Colours": "takes what numpy's ArrayLike is; tests/envs/test_drawing.py walks its numbers",
    "callbacks.log_interval.interval": "takes any number of steps; its docstring's examples are run",
    "callbacks.pace.in_words": "takes a duration that was measured",
    "callbacks.start_line.line": "takes a duration that was measured",
    "callbacks.progress_lines.folded": "takes the width of a terminal that is there",
    "callbacks.rollouts.title": "names numbers that `Rollouts` has checked",
    "cli.own_process.outcomes": "takes a constant",
    "cli.publication.measured": "trains and tests in a folder; Lightning refuses the seed",
    "cli.repeat.fit_and_test": "trains; the command line has checked the number of seeds",
    "cli.tuning.trials.Trials": "takes numbers that the command line has checked",
    "cli.tuning.trials.Trials.take": "takes a number that the command line has checked",
    "cli.tuning.trials.report": "takes a metric, which may be any number",
    "callbacks.text_table.TextTable": "the base of those that are walked",
    "metrics.classifier_features.check_classifier": "compares what a classifier and data have checked",
    "lightning_modules.data_contract.check_image_data": "compares what a module and its data have checked",
    "lightning_modules.onnx_text.tokens_and_mask": "takes the vocabulary that SequenceModel has checked",
    "lightning_modules.data_contract.metric_of_loader": "takes Lightning's own number of a loader",
    "lightning_modules.data_contract.tokenizer": "compares what a module and its data have checked",
    "lightning_modules.data_contract.training_images": "hands the number on to the datamodule, which checks it",
    "optim.training_length.total_steps": "takes Lightning's own estimate, which is infinite where there is none",
    "lightning_modules.optimized_module.scheduled": "takes Lightning's own estimate, which is infinite where none is",
    "optim.muon.MuonWithAdamW": "torch refuses its numbers, by its own names",
    "optim.distributed_muon.DistributedMuon": "torch refuses its numbers, by its own names",
    "optim.weight_average.WeightAverage": "its number names a device",
    "cli.precision.fast_precision": "hands Lightning's own argument on",
    "metrics.distributed_mean.log_mean": "takes the length of a batch that is there",
    "diffusion.noise.randn": "takes the shape of a batch that is there",
    "diffusion.noise.randint": "takes the shape of a batch that is there",
    **{
        f"diffusion.timesteps.{name}.spaced": "takes a number of steps that its caller has checked"
        for name in ("Timesteps", "UniformTimesteps", "TrailingTimesteps", "LogSNRTimesteps", "GivenTimesteps")
    },
    "callbacks.rollouts.roll_out": "seeds; runs a policy by envs.world.World.rollout, which is walked",
    "envs.compiled_space.CompiledSpace.drive": "takes a number that its loops count",
    "envs.world.World.replay": "images of an episode that was played; its size comes from a constant",
    "envs.pusht_world.PushTWorld.replay": "likewise",
    "datamodules.video_frames.video_frames": "takes the rate that meta/info.json says, which its caller has checked",
    "callbacks.rollouts.run_policy": "seeds; runs a policy by envs.rollout.rollout, which is walked",
    "callbacks.rollouts.run_checkpoint": "seeds; runs a policy by envs.rollout.rollout, which is walked",
    "callbacks.latent_interpolation.LatentInterpolation.interpolation": "takes the number of classes of the data",
    "callbacks.sample_image.SampleImage.noise": "called by callbacks that have checked the count",
    "callbacks.rollouts.table": "prints figures that are there",
    "callbacks.sample_grid.draw": "called by callbacks that have checked the rows",
    "callbacks.log_media.log_video": "logs to a trainer; its rate comes from constants",
    "metrics.kernel_inception_distance.kernel_distance": "takes features that are there, and any seed",
    **{
        f"{name}.load": "takes the shape of images that are there"
        for name in (
            "metrics.image_features.ImageFeatures",
            "metrics.inception_features.InceptionFeatures",
            "callbacks.trained_features.TrainedFeatures",
        )
    },
    "callbacks.drawn_samples.drawn_samples": "called by callbacks that have checked the seed",
    "callbacks.sample_quality.distances": "takes features that are there, and any seed",
    "metrics.features_as_given.FeaturesAsGiven": "takes the number of features that are there",
    "optim.training_length.planned_steps": "takes what a module counts for a batch",
    "envs.arguments.whole_number": "makes a parser from constants",
    "envs.arguments.seeds_from": "takes numbers that a parser has refused or not",
    "envs.pusht.finite_vector": "it is what refuses the numbers",
    "planning.beam_search.BeamSearch.plans": "a search of seconds; NumPy refuses a wrong seed",
    "planning.planner.plan": "a search of seconds; its numbers are those of BeamSearch",
    "planning.planner.plan_episode": "a search of seconds; its attempts are those of `plan`",
    "planning.dagger.plan_corrections": "a search of seconds, by plan_episodes, which is walked",
    "envs.video.write": "writes a film; its speed comes from constants",
}
HANDED_ON = {"batch_idx", "dataloader_idx", "epoch", "layer"}  # by loops that count for themselves
PARTS = {"shape": ("channels", "height", "width"), "target": ("action",), "count": ("rows",)}
HUGE = 2**63
EDGES = {int: (0, 1, -1, HUGE), float: (0.0, 1.0, -1.0, 1e308, math.nan)}
SECONDS, BYTES = 5, 3 * 2**30


def public() -> Iterator[tuple[str, Callable]]:
    """Every public class, method and function of the packages, by its dotted name; not plain records of results."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            for name, value in vars(import_module(module.name)).items():
                own = not name.startswith("_") and getattr(value, "__module__", None) == module.name
                if own and callable(value) and not typing.get_origin(value) and not _record(value):
                    yield f"{module.name}.{name}", value
                    for method in vars(value) if inspect.isclass(value) else ():
                        function = getattr(value, method)
                        if not method.startswith("_") and inspect.isroutine(function) and callable(function):
                            yield f"{module.name}.{name}.{method}", function


def _record(value: object) -> bool:
    plain = hasattr(value, "__dataclass_fields__") and not hasattr(value, "__post_init__")
    return plain or hasattr(value, "_fields") or typing.is_typeddict(value) or getattr(value, "_is_protocol", False)


def numbers(value: Callable) -> dict[str, tuple[type, bool]]:
    """The parameters that take a number (its type, False) or a sequence of numbers (its type, True)."""
    function = value.__init__ if inspect.isclass(value) else value
    try:
        hints = typing.get_type_hints(function)
    except (NameError, AttributeError):
        hints = getattr(function, "__annotations__", {})
    try:
        parameters = inspect.signature(value).parameters
    except ValueError:  # an exception without an __init__ of its own
        return {}
    found = {}
    for name in parameters:
        kinds = [] if name in HANDED_ON else list(_kinds(hints.get(name)))
        if kinds:
            found[name] = next((kind for kind in kinds if kind[0] is int), kinds[0])
    return found


def _kinds(hint: object, within: bool = False) -> Iterator[tuple[type, bool]]:
    if hint in (int, float):
        yield hint, within
    origin = typing.get_origin(hint)
    inside = within or (inspect.isclass(origin) and issubclass(origin, Sequence))
    if origin in (typing.Union, types.UnionType) or (inside and not within):
        for part in typing.get_args(hint):
            yield from _kinds(part, inside)


FOUND = {name: (value, numbers(value)) for name, value in public()}
WALKED = {name: found for name, found in FOUND.items() if found[1] and name not in EXCLUDED}


class TooLongError(BaseException):
    """Not an Exception: nothing that is tried may catch it."""


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """A few seconds of the processor for what is done within, and so much memory beyond what is taken already."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    def stop(*_):
        raise TooLongError

    before = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def fault(name: str, parameter: str | None = None, edge: float | None = None, place: int | None = None) -> str | None:
    """What is wrong about a call with one number at an edge (or with none); None where it works or is refused well."""
    value, case = WALKED[name][0], CASES[name]
    arguments = case.arguments()
    if parameter is not None:
        arguments[parameter] = edge if place is None else _replaced(arguments[parameter], place, edge)
    try:
        with guard(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            result = case.use(value(**arguments), arguments)
    except (ValueError, TypeError, MisconfigurationException) as error:  # the last is Lightning's own
        return None if parameter is not None and _names(str(error), parameter, edge) else f"{error!r}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Rust code is no Exception
        return f"{error!r}"
    return _not_finite(result, huge=edge is not None and abs(edge) > 1e100)


def _replaced(values: Sequence, place: int, edge: float) -> Sequence:
    changed = list(values)
    changed[place] = edge
    return type(values)(changed)


def _names(message: str, parameter: str, edge: float) -> bool:
    """One line with the parameter's name, or that of its part, and the value."""
    said = (repr(edge), str(edge), f"{edge:g}", f"{edge:,}")
    named = any(name in message for name in (parameter, *PARTS.get(parameter, ())))
    return "\n" not in message and named and any(text in message for text in said)


def _not_finite(result: object, huge: bool) -> str | None:
    """Numbers that come out are finite; from a huge number they may be infinite, never NaN."""
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return next((bad for item in result if (bad := _not_finite(item, huge))), None)
    array = result.detach().numpy() if isinstance(result, torch.Tensor) else result
    if not isinstance(array, np.ndarray | float) or np.asarray(array).dtype.kind != "f":
        return None
    good = ~np.isnan(array) if huge else np.isfinite(array)
    return None if np.all(good) else "what comes out is not finite"


def edges(name: str) -> Iterator[tuple[str, float, int | None]]:
    """(parameter, edge, place in a sequence) for every number of a callable."""
    value, parameters = WALKED[name]
    defaults = {p.name: p.default for p in inspect.signature(value).parameters.values()}
    for parameter, (kind, sequence) in parameters.items():
        usual = CASES[name].arguments().get(parameter, defaults[parameter])
        places = range(len(usual)) if sequence and isinstance(usual, list | tuple) else [None]
        for place in places:
            for edge in EDGES[kind]:
                if not (sequence and place is None and not isinstance(usual, int | float | None)):
                    yield parameter, edge, place


def test_every_public_callable_has_a_case():
    assert WALKED.keys() - CASES.keys() == set(), "give it small valid arguments in tests/edge_cases.py"
    assert CASES.keys() - WALKED.keys() == set(), "is gone, or takes no numbers any more"
    assert EXCLUDED.keys() - FOUND.keys() == set(), "excluded, and not there"


@pytest.mark.parametrize("name", sorted(WALKED.keys() & CASES.keys()))
def test_the_case_itself_works(name):
    assert fault(name) is None


@pytest.mark.parametrize("name", sorted(WALKED.keys() & CASES.keys()))
def test_edges(name):
    faults = {f"{p}={edge:g}": bad for p, edge, place in edges(name) if (bad := fault(name, p, edge, place))}
    assert not faults, "\n".join(f"{name} {number}: {bad[:300]}" for number, bad in faults.items())
