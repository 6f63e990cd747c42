"""LightningModules: steps, what is logged, optimizers."""
