"""What a machine with one GPU does in a few minutes, as tables."""
