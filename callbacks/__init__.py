"""What watches a run: samples, figures, rollouts, predictions, the best checkpoint."""
