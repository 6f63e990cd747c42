"""Numbers of a config, each in its range or refused in one line."""


def at_least(least: float, **numbers: float) -> None:
    """Raises ValueError that names the first of the numbers that is less, or is no number."""
    for name, value in numbers.items():
        if not value >= least:
            raise ValueError(f"{name}={value} must be at least {least}")


def shares(**numbers: float) -> None:
    """Raises ValueError that names the first of the numbers that is no share of something which leaves the rest."""
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} must be at least 0 and less than 1: it is a share")
