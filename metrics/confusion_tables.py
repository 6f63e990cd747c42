"""A confusion matrix as tables to read: (K, K) counts, a row for each target class, a column for each predicted one."""

from collections.abc import Sequence

from rich.table import Table
from torch import Tensor

from limits import whole


def class_accuracy(confusion: Tensor) -> Tensor:
    """(K,) share of each class's images that were predicted right; NaN for a class without images."""
    return confusion.diagonal() / confusion.sum(1)


def top(confusion: Tensor, n: int) -> list[tuple[int, int, int]]:
    """The n most frequent mistakes: (target, predicted, how often), most frequent first."""
    whole(0, n=n)
    mistakes = confusion.clone()
    mistakes.fill_diagonal_(0)
    counts, places = mistakes.flatten().sort(descending=True, stable=True)
    pairs = zip(counts[:n].tolist(), places[:n].tolist(), strict=True)
    return [(*divmod(place, len(confusion)), count) for count, place in pairs if count]


def tables(confusion: Tensor, class_names: Sequence[str], n: int = 10) -> tuple[Table, Table]:
    """Accuracy of every class, and the n most frequent mistakes."""
    images, total = confusion.sum(1).tolist(), int(confusion.sum())
    accuracy = float(confusion.trace() / confusion.sum())
    classes = Table(title=f"accuracy {accuracy:.2%}, n = {total}")
    for column in ("class", "images", "accuracy"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for name, number, share in zip(class_names, images, class_accuracy(confusion).tolist(), strict=True):
        classes.add_row(name, str(number), f"{share:.2%}")
    mistakes = Table(title="most frequent mistakes")
    for column in ("target", "predicted", "times", "share of the target class"):
        mistakes.add_column(column, justify="left" if column in ("target", "predicted") else "right")
    for target, predicted, count in top(confusion, n):
        share = f"{count / images[target]:.2%}"
        mistakes.add_row(class_names[target], class_names[predicted], str(count), share)
    return classes, mistakes
