"""Keys and classes of configs that have another name now: what a config of before is told."""

RENAMED: dict[str, str] = {  # a key's old name (its last part), or an old class path, and its new one
    "weight_decay": "optimizer.init_args.weight_decay",
    "decay": "lr_schedule",
    "bias_lr": "optimizer.init_args.bias_lr",
    "head_lr": "optimizer.init_args.head_lr",
    "warmup": "lr_schedule.init_args.warmup",
    "warmup_steps": "lr_schedule.init_args.warmup",
    "latent": "generator.init_args.latent",
    "discriminator_batch_norm": "discriminator.init_args.batch_norm",
    "generator_final_lr": "generator_lr_schedule.init_args.final",
    "discriminator_final_lr": "discriminator_lr_schedule.init_args.final",
    "betas": "generator_optimizer.init_args.betas",
    "heads": "network.init_args.heads",
    "positions": "network.init_args.positions",
    "max_length": "network.init_args.max_length",
}
