"""A search for hyperparameters: what is searched, its trials, and what came of them."""
