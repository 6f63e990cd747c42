"""A confusion matrix as tables to read: (K, K) counts, a row for each class shown, a column for each class named."""

from collections.abc import Sequence

from rich.table import Table
from torch import Tensor

from limits import whole


def class_accuracy(confusion: Tensor) -> Tensor:
    """(K,) share of each class's pictures that were named right; NaN for a class that was never shown."""
    return confusion.diagonal() / confusion.sum(1)


def top(confusion: Tensor, n: int) -> list[tuple[int, int, int]]:
    """The n most frequent mistakes: (class shown, class named, how often), most frequent first."""
    whole(0, n=n)
    mistakes = confusion.clone()
    mistakes.fill_diagonal_(0)
    counts, places = mistakes.flatten().sort(descending=True, stable=True)
    pairs = zip(counts[:n].tolist(), places[:n].tolist(), strict=True)
    return [(*divmod(place, len(confusion)), count) for count, place in pairs if count]


def tables(confusion: Tensor, class_names: Sequence[str], n: int = 10) -> tuple[Table, Table]:
    """Accuracy of every class, and the n most frequent mistakes."""
    shown, total = confusion.sum(1).tolist(), int(confusion.sum())
    accuracy = float(confusion.trace() / confusion.sum())
    classes = Table(title=f"accuracy {accuracy:.2%}, n = {total}")
    for column in ("class", "pictures", "accuracy"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for name, number, share in zip(class_names, shown, class_accuracy(confusion).tolist(), strict=True):
        classes.add_row(name, str(number), f"{share:.2%}")
    mistakes = Table(title="most frequent mistakes")
    for column in ("shown", "named", "times", "share of the shown class"):
        mistakes.add_column(column, justify="left" if column in ("shown", "named") else "right")
    for actual, named, count in top(confusion, n):
        mistakes.add_row(class_names[actual], class_names[named], str(count), f"{count / shown[actual]:.2%}")
    return classes, mistakes
