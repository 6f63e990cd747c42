"""Keys and classes of configs that have another name now: what a config of before is told."""

RENAMED: dict[str, str] = {  # a key's old name (its last part), or an old class path, and its new one
    "weight_decay": "optimizer.init_args.weight_decay",
    "decay": "lr_schedule",
    "warmup": "lr_schedule.init_args.warmup",
    "warmup_steps": "lr_schedule.init_args.warmup",
}
