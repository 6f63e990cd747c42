"""Every config that trains, as the suites that go through all families run it: alone, and tiny."""

import shlex
from dataclasses import dataclass

FONTS = "--data.source fonts"
TRANSFORMER = "--model.width 32 --model.depth 1 --model.heads 2 --data.batch_size 8 --data.train_size 48"
SORTING = f"{TRANSFORMER} --data.max_length 8 --model.max_length 24 --data.val_size 8"
PIG_LATIN = f"{TRANSFORMER} --data.max_length 40 --model.max_length 160"
AVERAGED = "--trainer.callbacks '[{class_path: lightning.pytorch.callbacks.EMAWeightAveraging, init_args: {decay: 0.9}}]'"


@dataclass
class Family:
    """Words for the command line, after `fit --config configs/NAME.yaml`."""

    alone: str = ""  # without data and without a network
    tiny: str = ""  # a small model in small batches, without the pictures that would take longer than its training

    def words(self, tiny: bool = True) -> list[str]:
        return shlex.split(f"{self.alone} {self.tiny if tiny else ''} --trainer.precision 32-true")


FAMILIES = {
    "mnist_mlp": Family(FONTS, "--model.hidden [16] --data.batch_size 32 --trainer.callbacks []"),
    "mnist_softmax": Family(FONTS, "--data.batch_size 32"),
    "cifar10_resnet": Family(FONTS, "--model.widths [8,16] --data.batch_size 8"),
    "cifar10_fast": Family(FONTS, "--model.widths [24,24,24] --model.depth 2 --data.batch_size 8"),
    "sorting_encoder": Family(tiny=SORTING),
    "sorting_decoder": Family(tiny=SORTING),
    "sorting_encoder_decoder": Family(tiny=SORTING),
    "pig_latin_encoder_decoder": Family(tiny=PIG_LATIN),
    "pig_latin_decoder": Family(tiny=PIG_LATIN),
    "svhn_gan": Family(FONTS, "--model.width 4 --model.latent 8 --data.batch_size 8 --trainer.callbacks []"),
    "mnist_ddpm": Family(FONTS, f"--model.widths [64] --model.blocks 1 --data.batch_size 4 {AVERAGED}"),
    "pusht": Family(
        tiny="--model.network_args '{width: 16, depth: 1, encoder_width: 16, encoder_depth: 1}' --data.batch_size 16 "
        f"--checkpoint.monitor val/loss --checkpoint.mode min {AVERAGED}"
    ),
}
