"""The graph of a computation as a picture: SVG, which every browser and notebook shows."""

from html import escape
from itertools import groupby

from numpy_core.autograd import Tensor

WIDTH, HEIGHT, GAP = 104, 44, 28  # pixels: of a box, and between two
MARGIN = 40  # left of all boxes, for arrows that pass others


def graph_svg(result: Tensor, names: dict[str, Tensor] | None = None) -> str:
    """What a tensor was made from, top to bottom: boxes with operation, shape, value of a scalar, and gradient's norm.

    Args:
        result: the tensor at the bottom.
        names: of tensors that have one, such as {"W1": w1}; the others show their operation.
    """
    labels = {tensor: name for name, tensor in (names or {}).items()}
    places = _places(result)
    width = max(x for x, _ in places.values()) + WIDTH + GAP
    height = max(y for _, y in places.values()) + HEIGHT + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="monospace" font-size="12" text-anchor="middle">',
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
    ]
    for tensor, (x, y) in places.items():
        for source, _ in tensor.sources:
            start, top, end = places[source][0] + WIDTH / 2, places[source][1] + HEIGHT, x + WIDTH / 2
            aside = 0 if y - top <= GAP else 0.95 * WIDTH  # an arrow to a later row passes the boxes between
            curve = f"M{start:g},{top:g} C{start - aside:g},{top + GAP:g} {end - aside:g},{y - GAP:g} {end:g},{y:g}"
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
    """The upper left corner of every box: in the row before the first of those that were made from it."""
    graph = result.graph()
    row = {result: 0}  # counted from the bottom
    users: dict[Tensor, list[Tensor]] = {tensor: [] for tensor in graph}
    for tensor in reversed(graph):
        for source, _ in tensor.sources:
            row[source] = max(row.get(source, 0), row[tensor] + 1)
            users[source].append(tensor)
    column: dict[Tensor, float] = {}
    for _, members in groupby(sorted(graph, key=row.__getitem__), key=row.__getitem__):
        # below it is what was made from it: a box stands above that, or where there is room
        wished = {tensor: _mean([column[user] for user in users[tensor]]) for tensor in members}
        free = 0.0
        for tensor in sorted(wished, key=lambda tensor: (wished[tensor], not tensor.sources)):
            column[tensor] = max(free, wished[tensor])
            free = column[tensor] + 1
    last = max(row.values())
    return {
        tensor: (MARGIN + column[tensor] * (WIDTH + GAP), GAP + (last - row[tensor]) * (HEIGHT + GAP))
        for tensor in graph
    }


def _mean(columns: list[float]) -> float:
    return sum(columns) / len(columns) if columns else 0.0
