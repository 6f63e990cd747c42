"""One exercise: what to write, where, and the grader that looks at it. A stage is a list of them."""

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from exercises.grading import Wrong
from exercises.hole import Hole

FOLDER = Path("my_exercises")
Grader = Callable[[Any], None]
"""Is given the answer's module, and raises `Wrong` where it does not do what it should."""


@dataclass
class Exercise:
    """A function to write again.

    Attributes:
        name: on the command line.
        title: in one line, for the list.
        task: what to do, with the formulas, in plain text.
        level: 1: the formula is given; 2: a derivation, or several lines; 3: an algorithm.
        function: whose body is taken out.
        grader: looks at what was written.
    """

    name: str
    title: str
    task: str
    level: int
    function: Callable[..., Any]
    grader: Grader

    @property
    def path(self) -> Path:
        """The file to write in."""
        return FOLDER / f"{self.name}.py"

    def start(self) -> int:
        """Write the file; returns the line of the hole. FileExistsError where it is there already."""
        hole = Hole(self.function)
        lines = [f"Exercise {self.name}, level {self.level}: {self.title}", "", *self.task.splitlines()]
        said = "".join(f"# {line}".rstrip() + "\n" for line in lines)
        said += f"#\n# Write what is missing in {hole.name} below, then:  python -m exercises check {self.name}\n\n"
        text = said + hole.exercise()
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("x", encoding="utf-8") as file:
            file.write(text)
        return next(number for number, line in enumerate(text.splitlines(), 1) if "# ---- your code" in line)

    def check(self) -> str | None:
        """What is wrong with the file as it is now, in one line; None where it passes. OSError where there is none."""
        text = self.path.read_text(encoding="utf-8")
        answer = ModuleType(self.path.stem)
        answer.__file__ = str(self.path)
        try:
            exec(compile(text, str(self.path), "exec"), answer.__dict__)  # the learner's own file
            self.grader(answer)
        except Wrong as wrong:
            return str(wrong)
        except SyntaxError as error:
            return f"{error.filename}, line {error.lineno}: {error.msg}"
        except Exception as error:  # whatever the answer raises
            said = " ".join(f"{type(error).__name__}: {error}".split())
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
            if not lines:
                return f"expected something that can be used, got {said}"
            if isinstance(error, NotImplementedError):
                said = str(error)
            return f"{self.path}, line {lines[-1]}: {said}"
        return None


class Stage:
    """The exercises of one stage of the road, in order."""

    def __init__(self, title: str):
        self.title = title
        self.exercises: list[Exercise] = []

    def exercise(self, function: Callable[..., Any], level: int) -> Callable[[Grader], Grader]:
        """Makes an exercise of a grader: its name is the exercise's, its docstring title and task."""

        def make(grader: Grader) -> Grader:
            title, _, task = (inspect.getdoc(grader) or "").partition("\n\n")
            name = grader.__name__
            self.exercises.append(Exercise(name, title.removesuffix("."), task, level, function, grader))
            return grader

        return make
