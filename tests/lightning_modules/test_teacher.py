"""Distillation in the modules: a student learns its teacher's way in fewer steps, and holds nothing of it."""

from functools import partial

import pytest
import torch
import yaml
from safetensors.torch import save_file

from checkpoints.load_trained import load_trained
from diffusion.distillation import Distillation
from diffusion.noise import generators
from diffusion.noise_schedule import CosineSchedule
from diffusion.samplers import DDIMSampler, DPMSolver
from diffusion.timesteps import TrailingTimesteps
from lightning_modules.ddpm import DDPM
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.chunk_mlp import ChunkMLP
from networks.normalized_features import NormalizedFeatures
from networks.unet2d import UNet2D
from optim.lr_schedule import Constant
from tests.lightning_modules import test_ddpm, test_diffusion_policy

FEW = {"sampler": DDIMSampler(timesteps=TrailingTimesteps()), "lr_schedule": Constant()}
DENOISER = {"widths": [64], "attention": 0}
CHUNKS = {"width": 32, "depth": 1, "encoder_width": 32, "encoder_depth": 1}


def ddpm(teacher, substeps=1, **options):
    given = {
        "network": partial(UNet2D, **DENOISER),
        "shape": [1, 8, 8],
        "num_classes": 3,
        "guidance_scale": 1.0,
        "distillation": Distillation(str(teacher), substeps),
    }
    return DDPM(**given | FEW | options)


def policy(teacher, substeps=1, **options):
    given = {"network": partial(ChunkMLP, **CHUNKS), "distillation": Distillation(str(teacher), substeps)}
    return DiffusionPolicy(**test_diffusion_policy.TINY | given | FEW | options)


def loud(module):
    """Its head, which begins at 0, says something."""
    torch.manual_seed(0)
    torch.nn.init.normal_(module.network.head.weight, std=0.1)
    return module


def kept(module, folder, **options):
    """Where its weights are, with their config."""
    part = {"class_path": f"{type(module).__module__}.{type(module).__name__}", "init_args": options}
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": part}))
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, folder / "model.safetensors")
    return folder


@pytest.fixture
def images_teacher(tmp_path):
    network = {"class_path": "networks.unet2d.UNet2D", "init_args": DENOISER}
    options = {"shape": [1, 8, 8], "num_classes": 3, "guidance_scale": 1.0}
    options["thresholding"] = {"class_path": "diffusion.thresholding.NoThresholding"}
    return kept(loud(ddpm("", guidance_scale=1.0)), tmp_path, network=network, **options)


@pytest.fixture
def policy_teacher(tmp_path):
    taught = loud(policy(""))
    taught.distillation = None
    test_diffusion_policy.fit(taught, 1)
    network = {"class_path": "networks.chunk_mlp.ChunkMLP", "init_args": CHUNKS}
    return kept(taught, tmp_path, network=network, features="networks.pusht_features.PushTFeatures")


@pytest.mark.parametrize("steps", [1, 3])
def test_a_teacher_of_as_many_steps_has_nothing_to_teach_its_like(policy_teacher, steps):
    """The same weights, a step for a step: what is learned is what is predicted already."""
    student = policy(policy_teacher, sampling_steps=steps, temperature=0.5)
    student.load_state_dict(load_trained(policy_teacher).state_dict())
    student.setup("fit")
    batch = test_diffusion_policy.rows(8)
    assert student._loss(batch, student.timestep_distribution, student._teacher) < 1e-9
    assert student._loss(batch, student.timestep_distribution) > 1e-2


@pytest.mark.parametrize("steps", [1, 3])
def test_images_of_a_teacher_of_as_many_steps(images_teacher, steps, monkeypatch):
    monkeypatch.setattr("lightning_modules.ddpm.check_image_data", lambda *_: None)
    monkeypatch.setattr(DDPM, "take_class_names", lambda *_: None)  # there is no trainer, and so no data
    student = ddpm(images_teacher, sampling_steps=steps)
    student.load_state_dict(load_trained(images_teacher).state_dict())
    student.setup("fit")
    assert student.loss(*test_ddpm.images().values()) < 1e-9
    student._teacher = None
    assert student.loss(*test_ddpm.images().values()) > 1e-2


@pytest.mark.slow
def test_one_step_of_a_policy_comes_near_what_its_teacher_does_in_twelve(policy_teacher):
    """In pixels, also for another network than the teacher's, and in bfloat16."""
    torch.manual_seed(0)
    student = policy(policy_teacher, 12, sampling_steps=1, lr=3e-3, network=partial(ChunkMLP, **CHUNKS | {"width": 48}))
    teacher = load_trained(policy_teacher)
    teacher.sampler, teacher.hparams.sampling_steps = FEW["sampler"], 12
    observations, drawn = test_diffusion_policy.keypoints(32), partial(generators, 0, range(32))
    test_diffusion_policy.fit(student, 1)
    wanted = teacher.act(observations, drawn())
    before = (student.eval().act(observations, drawn()) - wanted).abs().mean()
    test_diffusion_policy.fit(student.train(), 150)
    after = (student.eval().act(observations, drawn()) - wanted).abs().mean()
    assert after < before / 3, (before, after)
    assert torch.equal(student.action_scale, teacher.action_scale)


def test_one_step_of_a_guided_ddpm(images_teacher, tmp_path):
    """The teacher's guidance is learned: the student draws with a scale of 1."""
    torch.manual_seed(0)
    config = yaml.safe_load((images_teacher / "config.yaml").read_text())
    config["model"]["init_args"]["guidance_scale"] = 3.0
    (images_teacher / "config.yaml").write_text(yaml.safe_dump(config))
    teacher, student = load_trained(images_teacher), ddpm(images_teacher, 4, sampling_steps=1, lr=3e-3)
    labels, x = torch.arange(3).repeat(4), torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def distance():
        ends = []
        for module, scale, steps in ((teacher, 3.0, 4), (student.eval(), 1.0, 1)):
            denoise = module._denoiser(labels, scale, teacher.thresholding)
            ends.append(FEW["sampler"](denoise, x, module.scheduler, steps))
        return (ends[0] - ends[1]).square().mean().item()

    before = distance()
    test_ddpm.fit(student, 60)
    assert distance() < before / 3


def test_a_student_holds_nothing_of_its_teacher(policy_teacher, tmp_path):
    student = policy(policy_teacher, 4, sampling_steps=2)
    names = student.state_dict().keys()
    runner = test_diffusion_policy.fit(student, 1)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["state_dict"].keys() == names == student.state_dict().keys()
    assert len(content["optimizer_states"][0]["state"]) == len(list(student.parameters()))
    alone = policy("no longer there", 4, sampling_steps=2)
    alone.load_state_dict(content["state_dict"])
    observations = test_diffusion_policy.keypoints(3)
    drawn = [one.eval().act(observations, generators(0, range(3))) for one in (student, alone)]
    assert torch.equal(*drawn)


def test_a_resumed_run_finds_the_same_teacher(policy_teacher):
    """It is read anew, and what it teaches is the same to the bit."""
    weights, losses = policy(policy_teacher).state_dict(), []
    for _ in range(2):
        student = policy(policy_teacher, 4, sampling_steps=2)
        student.setup("fit")
        student.load_state_dict(weights)
        torch.manual_seed(0)
        losses.append(student._loss(test_diffusion_policy.rows(8), student.timestep_distribution, student._teacher))
    assert torch.equal(*losses)
    assert losses[0] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_train_timesteps": 50}, "num_train_timesteps=100, this model num_train_timesteps=50"),
        ({"noise_schedule": CosineSchedule()}, "another noise_schedule"),
        ({"horizon": 12}, "horizon=16, this model horizon=12"),
        ({"features": NormalizedFeatures, "observation_shape": [18], "action_dim": 2}, "PushTFeatures of"),
    ],
)
def test_teachers_that_do_not_fit(policy_teacher, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        policy(policy_teacher, **options).setup("fit")
    assert "\n" not in str(caught.value)


def test_teachers_that_are_not_there_or_of_another_kind(policy_teacher):
    policy("nowhere")  # as long as nothing is trained
    with pytest.raises(FileNotFoundError, match="there are no weights nowhere"):
        policy("nowhere").setup("fit")
    with pytest.raises(ValueError, match="is of a DDPM, and a DiffusionPolicy is needed"):
        policy("mnist_ddpm").setup("fit")
    with pytest.raises(ValueError, match="DDIMSampler with eta 0; set sampler to that, in place of DPMSolver"):
        policy(policy_teacher, sampler=DPMSolver())
