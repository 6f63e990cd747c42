"""Optimizers, learning-rate schedules, and what goes with them."""
