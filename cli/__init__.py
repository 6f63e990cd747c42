"""The command line, and commands that let a trained policy act."""
