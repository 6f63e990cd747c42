"""Files of weights and runs: written whole or not at all, and read without running code."""
