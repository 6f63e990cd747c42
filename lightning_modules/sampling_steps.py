"""How many of the steps that a model was trained on it visits when it draws or acts."""


def check_sampling_steps(sampling_steps: int, train_steps: int) -> None:
    """Raises ValueError where there are not so many to visit."""
    if not (isinstance(sampling_steps, int) and 1 <= sampling_steps <= train_steps):
        raise ValueError(f"sampling_steps={sampling_steps} must be a whole number from 1 to train_steps={train_steps}")
