"""What is trained on: from a source to tensors in memory to batches."""
