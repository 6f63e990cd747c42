"""Keys and classes of configs that have another name now: what a config of before is told.

old: new                a key (its own name alone, without those of what it lies in), or a class path
old: (new, other new)   a key that has another name in each of several classes: the first that the class takes
"""

RENAMED: dict[str, str | tuple[str, ...]] = {
    # keys of models
    "weight_decay": "optimizer.init_args.weight_decay",
    "decay": "lr_schedule",
    "warmup": "lr_schedule.init_args.warmup",
    "warmup_steps": "lr_schedule.init_args.warmup",
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
