"""Keys and classes of configs that were renamed: what an older config is told.

old: new                a key (its own name without those of what it lies in), or a class path
old: (new, other new)   a key whose new name differs between classes: the first that the class takes
"""

RENAMED: dict[str, str | tuple[str, ...]] = {
    # keys of models
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
    # keys of data
    "pictures": "images",
    # the command line's own callbacks
    "loader_place": "data_loader_state",
    "schedule_place": "lr_schedule_state",
    "finite_loss": "non_finite_guard",
    "interruption": "graceful_shutdown",
    # classes
    "callbacks.answers.Answers": "callbacks.text_prediction_writer.TextPredictionWriter",
    "callbacks.predictions.Predictions": "callbacks.class_prediction_writer.ClassPredictionWriter",
    "callbacks.predicted_actions.PredictedActions": "callbacks.action_prediction_writer.ActionPredictionWriter",
    "callbacks.sample_files.SampleFiles": "callbacks.image_prediction_writer.ImagePredictionWriter",
    "callbacks.latent_walk.LatentWalk": "callbacks.latent_interpolation.LatentInterpolation",
    "callbacks.checkpoint_files.CheckpointFiles": "checkpoints.atomic_checkpoint_io.AtomicCheckpointIO",
    "callbacks.finite_loss.FiniteLoss": "callbacks.non_finite_guard.NonFiniteGuard",
    "callbacks.interruption.Interruption": "callbacks.resume.graceful_shutdown.GracefulShutdown",
    "callbacks.last_checkpoint.LastCheckpoint": "callbacks.resume.last_checkpoint.LastCheckpoint",
    "callbacks.loader_place.LoaderPlace": "callbacks.resume.data_loader_state.DataLoaderState",
    "callbacks.random_state.RandomState": "callbacks.resume.random_state.RandomState",
    "callbacks.schedule_place.SchedulePlace": "callbacks.resume.lr_schedule_state.LRScheduleState",
    "callbacks.run_config.RunConfig": "callbacks.resume.run_config.RunConfig",
}
