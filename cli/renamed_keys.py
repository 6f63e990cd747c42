"""Keys and classes of configs that were renamed: what an older config is told.

old: new                a key (its own name without those of what it lies in), or a class path
old: (new, other new)   as in `checkpoints.renamed_arguments`
"""

from checkpoints.renamed_arguments import RENAMED_ARGUMENTS

RENAMED: dict[str, str | tuple[str, ...]] = {
    **RENAMED_ARGUMENTS,
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
