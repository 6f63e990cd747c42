"""A function's body taken out of the source of its module, and what stands in its place."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

EMPTY = "the hole is still empty"


class Hole:
    """The body of a function or method, without its docstring, in the source as it is now.

    Args:
        function: as imported; not one that is defined within another.
    """

    def __init__(self, function: Callable[..., Any]):
        function = inspect.unwrap(function)  # of torch.no_grad() and the like
        self.name = function.__qualname__
        self.path = Path(inspect.getfile(function))
        self.source = self.path.read_text(encoding="utf-8")
        self._lines = self.source.splitlines(keepends=True)
        node = _find(ast.parse(self.source), self.name)
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        assert body, f"{self.name} has no body to take out"
        first, self._last = body[0].lineno, node.end_lineno or body[-1].lineno
        while self._lines[first - 2].lstrip().startswith("#"):  # comments before the first statement belong to it
            first -= 1
        self._first, self._start = first, node.lineno
        self._indent = " " * body[0].col_offset

    @property
    def solution(self) -> str:
        """The whole function, as the project has it."""
        return "".join(self._lines[self._start - 1 : self._last])

    def exercise(self) -> str:
        """The module's source with the hole in it."""
        size = self._last - self._first + 1
        filling = (
            f"{self._indent}# ---- your code, in place of the next line (ours: {size} line{'s' * (size > 1)}) ----\n"
            f'{self._indent}raise NotImplementedError("{EMPTY}")\n'
        )
        return "".join([*self._lines[: self._first - 1], filling, *self._lines[self._last :]])


def _find(tree: ast.AST, qualified_name: str) -> ast.FunctionDef:
    """The function with a dotted name, as in "Linear.backward"."""
    for name in qualified_name.split("."):
        tree = next(
            node
            for node in ast.iter_child_nodes(tree)
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        )
    assert isinstance(tree, ast.FunctionDef)
    return tree
