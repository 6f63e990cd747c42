"""Every family on a device that is not the CPU, without one (`tests.pretended_device`): it gives what the CPU gives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

import train
from optim.weight_average import WeightAverage
from tests.families import FAMILIES
from tests.pretended_device import DEVICE, DeviceMistake, Pretended, PretendedDevice
from tests.test_train import ROOT

pytestmark = pytest.mark.usefixtures("offline")
QUICK = ("mnist_mlp", "sorting_decoder", "svhn_gan", "mnist_ddpm", "pusht")
WATCHED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]


def everything(name: str, module: Any, data: Any, batch: dict[str, Tensor]) -> dict[str, Any]:
    """What a family makes of a batch in training, validation, test and prediction, with the same random numbers."""
    made: dict[str, Any] = {}

    def log(metric: str, value: Any, **_: Any) -> None:
        made[metric] = value.compute() if isinstance(value, Metric) else value

    module.log = log
    torch.manual_seed(0)
    module.train()
    module.zero_grad()
    batch = data.on_after_batch_transfer(dict(batch), 0)
    if "gan" in name:
        real = batch["image"] / 127.5 - 1
        given = real, module.generator(module.latents(len(real)), batch["label"]), batch["label"]
    else:
        given = batch, 0
    for loss in FAMILIES[name].losses:
        made[loss] = getattr(module, loss)(*given)
        made[loss].backward()
    made |= {f"gradient of {key}": value.grad for key, value in module.named_parameters()}
    average = WeightAverage(module, lambda updates: 0.9)
    for _ in range(2):
        with torch.no_grad():
            next(module.parameters()).mul_(1.5)
        average.update_parameters(module)
    made["averaged"] = next(average.parameters())
    module.eval()
    with torch.no_grad():
        module.on_validation_start()
        module.on_validation_epoch_start()
        made["validation"] = module.validation_step(batch, 0)
        made["test"] = module.test_step(batch, 0)
        prompt = {"tokens": batch["tokens"][:, :8]} if "tokens" in batch else {}  # of a text, which goes on from it
        made["prediction"] = module.predict_step(batch | prompt, 0)
        if hasattr(module, "sample"):
            made["by a list"] = module.sample([0, 1, 2], generator=torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("name", WATCHED)
def test_a_device_gives_what_the_cpu_gives(name):
    options = "--trainer.max_epochs 0 --trainer.callbacks []"
    given = [*FAMILIES[name].words(), *options.split()]
    cli = train.main(["fit", "--config", str(ROOT / f"configs/{name}.yaml"), *given])
    module, data = cli.model, cli.datamodule
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    expected = everything(name, module, data, batch)
    module.load_state_dict(weights)
    with PretendedDevice():
        there = everything(name, module.to(DEVICE), data, {key: value.to(DEVICE) for key, value in batch.items()})
        assert all(isinstance(value, Pretended) for value in (*module.parameters(), *module.buffers()))
        assert there.keys() == expected.keys()
        for key, value in expected.items():
            compare(key, there[key], value)


def compare(key: str, there: Any, here: Any) -> None:
    if isinstance(here, dict):
        for part, value in here.items():
            compare(f"{key}, {part}", there[part], value)
    elif isinstance(here, Tensor):
        near = {"rtol": 0, "atol": 1} if here.dtype == torch.uint8 else {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(there.cpu(), here, **near, msg=lambda said: f"{key}: {said}")
    else:
        assert there == here, key


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: x[torch.tensor([0, 2])],
        lambda x: torch.cat([x, torch.zeros(1)]),
        lambda x: x.numpy(),
        lambda x: torch.randn(3, generator=torch.Generator(), device=x.device),
        lambda x: torch.nn.functional.linear(x[None], torch.eye(3)),
    ],
)
def test_what_a_gpu_refuses_is_refused(mistake: Callable[[Tensor], Any]):
    with PretendedDevice():
        x = torch.arange(3.0).to(DEVICE)
        with pytest.raises(DeviceMistake):
            mistake(x)


def test_what_a_gpu_allows_is_computed_forward_and_backward():
    with PretendedDevice():
        x = torch.tensor([1.0, 2.0, 3.0], device=DEVICE).requires_grad_()
        y = (x * torch.tensor(2.0) + torch.ones(3, device=DEVICE)).square().sum()
        y.backward()
        assert (y.device, x.grad.device) == (DEVICE, DEVICE)
        assert (y.item(), x.grad.tolist()) == (83.0, [12.0, 20.0, 28.0])
        z = torch.zeros(2, 2, device=DEVICE)
        z[0].fill_(1.0)
        assert z.cpu().tolist() == [[1.0, 1.0], [0.0, 0.0]]
        assert not isinstance(z.cpu(), Pretended)
