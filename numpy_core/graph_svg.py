"""The graph of a computation as a picture: SVG, which every browser and notebook shows."""

from html import escape
from itertools import groupby

from numpy_core.autograd import Tensor

WIDTH, HEIGHT, GAP = 96, 44, 40  # pixels: of a box, and between two columns


def graph_svg(result: Tensor, names: dict[str, Tensor] | None = None) -> str:
    """What a tensor was made from, left to right: boxes with operation, shape, value of a scalar, and gradient's norm.

    Args:
        result: the tensor at the right.
        names: of tensors that have one, such as {"W1": w1}; the others show their operation.
    """
    labels = {tensor: name for name, tensor in (names or {}).items()}
    places = _places(result)
    right = max(x for x, _ in places.values()) + WIDTH + GAP / 2
    bottom = max(y for _, y in places.values()) + HEIGHT + GAP / 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:g} {bottom:g}" width="{right:g}" '
        f'height="{bottom:g}" font-family="monospace" font-size="12" text-anchor="middle">',
        f'<rect width="{right:g}" height="{bottom:g}" fill="white"/>',
    ]
    for tensor, (x, y) in places.items():
        for source, _ in tensor.sources:
            left, top = places[source][0] + WIDTH, places[source][1] + HEIGHT / 2
            bend, end = (left + x) / 2, y + HEIGHT / 2
            curve = f"M{left:g},{top:g} C{bend:g},{top:g} {bend:g},{end:g} {x:g},{end:g}"
            lines.append(f'<path d="{curve}" fill="none" stroke="gray"/>')
    for tensor, (x, y) in places.items():
        colour = "#e8f0fe" if tensor.operation else "#e6f4ea"
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{colour}" stroke="gray"/>'
        )
        for row, text in enumerate(_texts(tensor, labels)):
            lines.append(f'<text x="{x + WIDTH / 2:g}" y="{y + 14 + 13 * row:g}">{escape(text)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _texts(tensor: Tensor, labels: dict[Tensor, str]) -> list[str]:
    """The lines in a tensor's box."""
    shape = "×".join(map(str, tensor.value.shape))
    texts = [labels.get(tensor, tensor.operation or "constant"), shape or f"{float(tensor.value):.4g}"]
    if tensor.grad is not None:
        texts.append(f"|grad| {float((tensor.grad**2).sum() ** 0.5):.2g}")
    return texts


def _places(result: Tensor) -> dict[Tensor, tuple[float, float]]:
    """The upper left corner of every box: in the column before the first of those that were made from it."""
    graph = result.graph()
    column = {result: 0}  # counted from the right
    users: dict[Tensor, list[Tensor]] = {tensor: [] for tensor in graph}
    for tensor in reversed(graph):
        for source, _ in tensor.sources:
            column[source] = max(column.get(source, 0), column[tensor] + 1)
            users[source].append(tensor)
    rows = {result: 0.0}
    for _, members in groupby(sorted(graph, key=column.__getitem__), key=column.__getitem__):
        together = sorted(members, key=lambda tensor: _mean([rows[user] for user in users[tensor]]))
        row = 0.0
        for tensor in together:  # as high as those that were made from it, where no other box is
            row = max(row, _mean([rows[user] for user in users[tensor]]))
            rows[tensor] = row
            row += 1
    last = max(column.values())
    return {
        tensor: (GAP / 2 + (last - column[tensor]) * (WIDTH + GAP), GAP / 2 + rows[tensor] * (HEIGHT + GAP / 2))
        for tensor in graph
    }


def _mean(rows: list[float]) -> float:
    return sum(rows) / len(rows) if rows else 0.0
