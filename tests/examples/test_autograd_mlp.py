from xml.etree import ElementTree

import numpy as np
import pytest

from examples.autograd_mlp import MLP, main, spirals, train


def test_learns_two_spirals():
    """That a straight line cannot tell apart."""
    _, accuracy = train(600, np.random.default_rng(0))
    assert accuracy > 0.95
    x, arm = spirals(1000, np.random.default_rng(1))
    features = np.concatenate([x, np.ones((1000, 1))], 1)
    line = np.linalg.lstsq(features, 2.0 * arm - 1, rcond=None)[0]
    assert ((features @ line > 0) == arm).mean() < 0.8


def test_draws_the_graph_of_the_loss(tmp_path, capsys):
    main(["--steps", "0", "--out", str(tmp_path / "new")])
    said = capsys.readouterr().out
    assert str(tmp_path / "new" / "graph.svg") in said
    root = ElementTree.parse(tmp_path / "new" / "graph.svg").getroot()
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"x", "W1", "b1", "W2", "b2", "relu", "@", "log"} <= texts
    assert len(MLP(np.random.default_rng(0)).weights) == 4


def test_a_negative_number_of_steps(capsys):
    with pytest.raises(SystemExit):
        main(["--steps", "-1"])
    assert "--steps -1 must be at least 0" in capsys.readouterr().err
