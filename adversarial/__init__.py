"""Objectives of GANs, and augmentation that gradients pass through."""
