"""Arguments of models that were renamed: what the config of an older run is told.

old: new                its own name, without those of what it lies in
old: (new, other new)   where the new name differs between classes: the first that the class takes
"""

from collections.abc import Container, Mapping

RENAMED_ARGUMENTS: dict[str, str | tuple[str, ...]] = {
    "weight_decay": "optimizer.init_args.weight_decay",
    "betas": ("optimizer.init_args.betas", "generator_optimizer.init_args.betas"),
    "bias_lr": "optimizer.init_args.bias_lr",
    "head_lr": "optimizer.init_args.head_lr",
    "decay": "lr_schedule",
    "warmup": ("lr_schedule.init_args.warmup", "generator_lr_schedule.init_args.warmup"),
    "warmup_steps": "lr_schedule.init_args.warmup",
    "generator_final_lr": "generator_lr_schedule.init_args.final",
    "discriminator_final_lr": "discriminator_lr_schedule.init_args.final",
    "network_args": "network.init_args",
    "latent": "generator.init_args.latent",
    "width": ("generator.init_args.width", "network.init_args.width"),
    "widths": "network.init_args.widths",
    "blocks": "network.init_args.blocks",
    "attention": "network.init_args.attention",
    "depth": "network.init_args.depth",
    "heads": "network.init_args.heads",
    "dropout": "network.init_args.dropout",
    "max_length": "network.init_args.max_length",
    "positions": "network.init_args.positions",
    "discriminator_batch_norm": "discriminator.init_args.batch_norm",
    "schedule": "noise_schedule",
    "train_steps": "num_train_timesteps",
    "objective": "prediction_type",
    "min_snr": "min_snr_gamma",
    "label_dropout": "condition_dropout",
    "scale": "guidance_scale",
    "interval": "guidance_interval",
    "threshold": "thresholding",
    "noises": "noise_levels_per_sample",
}


def renamed(
    old: str, known: Container[str], names: Mapping[str, str | tuple[str, ...]] = RENAMED_ARGUMENTS
) -> str | None:
    """The words "`old` is now `new`", of the first new name that is known or lies in a known one; None without one.

    Args:
        old: the name that is not taken any more.
        known: those that are.
        names: new names by old ones.
    """
    news = names.get(old, ())
    for new in (news,) if isinstance(news, str) else news:
        if new.partition(".")[0] in known:
            return f"`{old}` is now `{new}`"
    return None
