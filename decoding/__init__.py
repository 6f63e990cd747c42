"""From logits to sequences: generation, sampling, beam search."""
