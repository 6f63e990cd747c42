"""Noise schedules, samplers, guidance, thresholding: functions of tensors and a model."""
