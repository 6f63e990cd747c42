from xml.etree import ElementTree

import numpy as np

from numpy_core import Tensor, graph_svg
from numpy_core.graph_svg import HEIGHT, WIDTH

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> tuple[list[tuple[float, float]], int, str]:
    """Corners of the boxes, number of arrows, and all text."""
    root = ElementTree.fromstring(picture)
    boxes = [(float(box.get("x")), float(box.get("y"))) for box in root.iter(f"{NAMESPACE}rect") if box.get("x")]
    texts = " ".join(text.text for text in root.iter(f"{NAMESPACE}text"))
    return boxes, len(list(root.iter(f"{NAMESPACE}path"))), texts


def test_every_tensor_and_every_source_is_drawn():
    x, w = Tensor(np.ones((4, 3))), Tensor(np.ones((3, 2)))
    loss = ((x @ w).tanh() * 2).sum()
    boxes, arrows, texts = parsed(graph_svg(loss, {"w": w}))
    assert len(boxes) == len(loss.graph()) == 7
    assert arrows == sum(len(tensor.sources) for tensor in loss.graph()) == 6
    for text in ("w 3×2", "constant 4×3", "@ 4×2", "tanh 4×2", "* 4×2", f"sum {float(loss.value):.4g}"):
        assert text in texts
    assert "grad" not in texts
    loss.backward()
    assert "|grad| 1" in parsed(graph_svg(loss))[2]


def test_boxes_do_not_overlap_and_stand_below_their_sources():
    x = Tensor(np.ones((2, 2)))
    y = ((x + x.exp() * x.tanh()) @ x - x.relu() / 3).mean()
    boxes, *_ = parsed(graph_svg(y))
    assert len(set(boxes)) == len(y.graph())
    for i, (left, top) in enumerate(boxes):
        for other_left, other_top in boxes[:i]:
            assert abs(left - other_left) >= WIDTH or abs(top - other_top) >= HEIGHT
    place = dict(zip(y.graph(), boxes, strict=True))
    assert all(place[source][1] + HEIGHT < place[tensor][1] for tensor in place for source, _ in tensor.sources)


def test_one_tensor_and_signs_of_xml():
    x = Tensor(1.0)
    assert parsed(graph_svg(x, {"a<b": x}))[2] == "a<b 1"
