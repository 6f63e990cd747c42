"""Every config that trains, as the suites that go through all families run it: alone, and tiny."""

import shlex
from dataclasses import dataclass

FONTS = "--data.source fonts"
TRANSFORMER = (
    "--model.network.width 32 --model.network.depth 1 --model.network.heads 2 --data.batch_size 8 --data.train_size 48"
)
SORTING = f"{TRANSFORMER} --data.max_length 8 --model.network.max_length 24 --data.val_size 8"
PIG_LATIN = f"{TRANSFORMER} --data.max_length 40 --model.network.max_length 160"
TEXT = (
    "--model.network.width 32 --model.network.depth 1 --model.network.heads 2 --model.network.max_length 32 "
    "--data.block_size 32 --data.batch_size 8 --data.tokenizer ByteLevelBPETokenizer --data.tokenizer.vocab_size 260"
)
AVERAGED = (
    "--trainer.callbacks '[{class_path: callbacks.weight_averaging.EMAWeightAveraging, "
    "init_args: {decay: 0.9, use_buffers: false}}]'"
)
SILENT = "--trainer.callbacks []"
EACH_EPOCH = "--trainer.check_val_every_n_epoch 1 --trainer.val_check_interval 1.0"
POLICY = (
    "--model.network.width 16 --model.network.depth 1 --model.network.encoder_width 16 --model.network.encoder_depth 1"
)
SCORED = f"--checkpoint.monitor val/loss --checkpoint.mode min {AVERAGED}"  # by no rollouts


@dataclass
class Family:
    """Words for the command line, after `fit --config configs/NAME.yaml`."""

    alone: str = ""  # without data and without a network
    tiny: str = ""  # a small model in small batches
    quiet: str = ""  # without images that take longer to draw than a tiny model's training
    losses: tuple[str, ...] = ("training_step",)  # the module's methods that return what is minimised in a batch

    def words(self, tiny: bool = True, quiet: bool = True) -> list[str]:
        chosen = (self.alone, self.tiny if tiny else "", self.quiet if quiet else "", "--trainer.precision 32-true")
        return shlex.split(" ".join(chosen))


FAMILIES = {
    "mnist_mlp": Family(FONTS, "--model.hidden [16] --data.batch_size 32", SILENT),
    "mnist_softmax": Family(FONTS, "--data.batch_size 32"),
    "cifar10_resnet": Family(FONTS, "--model.widths [8,16] --data.batch_size 8"),
    "cifar10_fast": Family(FONTS, "--model.widths [24,24,24] --model.depth 2 --data.batch_size 8"),
    "sorting_encoder": Family(tiny=SORTING),
    "sorting_decoder": Family(tiny=SORTING),
    "sorting_encoder_decoder": Family(tiny=SORTING),
    "pig_latin_encoder_decoder": Family(tiny=PIG_LATIN),
    "pig_latin_decoder": Family(tiny=PIG_LATIN),
    "text_decoder": Family(tiny=TEXT),
    "svhn_gan": Family(
        FONTS,
        "--model.generator.width 4 --model.generator.latent 8 --model.discriminator.width 4 --data.batch_size 8",
        SILENT,
        ("discriminator_loss", "generator_loss"),
    ),
    "mnist_ddpm": Family(FONTS, "--model.network.widths [64] --model.network.blocks 1 --data.batch_size 4", AVERAGED),
    "pusht": Family("", f"{POLICY} --data.batch_size 16", SCORED),
    "pusht_image": Family(
        f"--data.source bundled {EACH_EPOCH}", f"{POLICY} --data.batch_size 4 --data.scenes 4", SCORED
    ),
}
