import importlib.util

import pytest

from exercises.hole import EMPTY, Hole

SOURCE = '''"""A module."""

A = 1


def plain(x: int) -> int:
    # a comment that belongs to the answer
    return x + A  # more


class B:
    def documented(
        self,
        x: int,
    ) -> int:
        """Stays.

        All of it.
        """

        y = x
        return y

    def inner(self):
        def within():
            return 1

        return within()


def last():
    return "last"
'''


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("module", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_body_is_gone_and_all_else_stays(module):
    text = Hole(module.plain).exercise()
    assert "a comment that belongs" not in text
    assert "return x + A" not in text
    before, _, after = SOURCE.partition("    # a comment that belongs")
    assert text.startswith(before)
    assert text.endswith(after.partition("# more\n")[2])
    namespace = {}
    exec(text, namespace)
    assert namespace["last"]() == "last"
    with pytest.raises(NotImplementedError, match=EMPTY):
        namespace["plain"](1)


def test_the_docstring_of_a_method_stays(module):
    hole = Hole(module.B.documented)
    text = hole.exercise()
    assert '"""Stays.\n\n        All of it.\n        """\n' in text
    assert "y = x" not in text
    namespace = {}
    exec(text, namespace)
    with pytest.raises(NotImplementedError, match=EMPTY):
        namespace["B"]().documented(1)
    assert namespace["B"]().inner() == 1


@pytest.mark.parametrize("name", ["plain", "B.documented", "B.inner", "last"])
def test_the_solution_is_the_function_as_it_stands(module, name):
    function = module
    for part in name.split("."):
        function = getattr(function, part)
    solution = Hole(function).solution
    assert solution in SOURCE
    assert solution.lstrip().startswith(f"def {name.split('.')[-1]}(")
