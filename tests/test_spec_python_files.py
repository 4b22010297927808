"""Python files as plans: how one is read, where its parts come from, how its functions are found again."""

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import pytest

from stretto import StrettoError, Task, fan_out
from stretto.spec.patterns import Root
from stretto.spec.placing import raw_of
from stretto.spec.python import read_python
from stretto.spec.raw import Raw, plain


def tasks(root: Root) -> Any:
    """The tasks of a plan as YAML would have them."""
    return plain(raw_of(root))["tasks"]


def refused(build: Callable[[], object]) -> StrettoError:
    with pytest.raises(StrettoError) as caught:
        build()
    return caught.value


def a_function() -> None:
    """Stands at the top of a module, so that a task can call it."""


class TestFunctions:
    """A function is kept by its name, so that another process finds it again."""

    def test_of_a_module(self) -> None:
        assert tasks(Task(call=json.dumps))["dumps"]["call"] == "json:dumps"
        assert (
            tasks(Task(call=a_function, check=a_function))["a-function"]["check"] == f"{__name__}:a_function"
        )
        assert tasks(Task(call=PurePath.joinpath, id="x"))["x"]["call"] == "pathlib:PurePath.joinpath"

    def test_what_has_no_name_to_be_found_by(self) -> None:
        def inner() -> None: ...

        functions: list[Callable[..., object]] = [lambda: None, inner, "".join, copy.copy(inner)]
        for function in functions:
            error = refused(lambda: raw_of(Task(call=function)))  # noqa: B023
            assert error.slug == "function-without-name"
            assert error.at.startswith(__file__)


class TestPlaces:
    """Every part knows the line and column of the call that made it."""

    def test_file_line_and_column(self) -> None:
        here = sys._getframe().f_lineno
        plan = fan_out(
            Task("A"),
            *[Task(f"B {n}") for n in range(2)],
        )
        raw = raw_of(plan)

        assert raw.at == f"{__file__}:{here + 1}:16"
        assert raw.value["tasks"].value["a"].at == f"{__file__}:{here + 2}:13"
        assert raw.value["tasks"].keys["b-1"] == f"{__file__}:{here + 3}:15"
        assert raw.value["tasks"].value["b-1"].value["prompt"].at == f"{__file__}:{here + 3}:15"


class TestFiles:
    """A file that imports stretto is executed; any other is not."""

    def test_the_plan_of_a_file(self, tmp_path: Path) -> None:
        raw = read(tmp_path, "from stretto import Task\nplan = Task('A', id='a')\nother = Task('B')\n")

        assert plain(raw)["tasks"] == {"a": {"prompt": "A"}}
        assert raw.value["tasks"].value["a"].at == f"{tmp_path / 'plan.py'}:2:8"

    def test_the_only_plan_needs_no_name(self, tmp_path: Path) -> None:
        text = (
            "from stretto import Task, pipeline\n"
            "a = Task('A')\nb = Task('B')\nship = pipeline(a, b)\n_x = Task('X')\n"
        )

        assert list(plain(read(tmp_path, text))["tasks"]) == ["pipeline"]

    def test_several_plans_are_listed(self, tmp_path: Path) -> None:
        text = "from stretto import Task\none = Task('A')\ntwo = again = Task('B')\n"

        error = refused(lambda: read(tmp_path, text))
        assert error.slug == "several-plans"
        assert "one, two" in error.what
        assert "--plan one" in error.next
        assert list(plain(read(tmp_path, text, "two"))["tasks"]) == ["b"]
        assert list(plain(read(tmp_path, text, "again"))["tasks"]) == ["b"]
        assert "one, two" in refused(lambda: read(tmp_path, text, "three")).next

    def test_no_plan(self, tmp_path: Path) -> None:
        assert refused(lambda: read(tmp_path, "import stretto\nx = 1\n")).slug == "no-plan-in-file"
        assert refused(lambda: read_python(tmp_path / "none.py")).slug == "unreadable-plan"

    def test_a_file_that_does_not_import_stretto_is_not_executed(self, tmp_path: Path) -> None:
        error = refused(lambda: read(tmp_path, "open('trace', 'w')\nTask('A', model='haiku')\n"))

        assert (error.slug, "from stretto import" in error.next) == ("no-plan-in-file", True)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("import sys; sys.exit(3)", "SystemExit: 3"),
            ("import no_such_module_here", "ModuleNotFoundError"),
            ("raise KeyError", "KeyError"),
        ],
    )
    def test_what_the_file_raises_is_said_with_its_line(self, tmp_path: Path, line: str, said: str) -> None:
        error = refused(lambda: read(tmp_path, f"import stretto\ndef f():\n    {line}\n\nf()\n"))

        assert error.slug == "plan-file-failed"
        assert said in error.what
        assert error.at == f"{tmp_path / 'plan.py'}:3"

    def test_bad_syntax(self, tmp_path: Path) -> None:
        error = refused(lambda: read(tmp_path, "import stretto\nplan = (\n"))

        assert (error.slug, error.at) == ("plan-file-failed", f"{tmp_path / 'plan.py'}:2:8")

    def test_our_own_errors_keep_their_place(self, tmp_path: Path) -> None:
        error = refused(lambda: read(tmp_path, "from stretto import Task\nplan = Task('A', modle=1)\n"))

        assert (error.slug, error.at) == ("unknown-key", f"{tmp_path / 'plan.py'}:2:8")

    def test_its_folder_is_importable_meanwhile_and_its_guard_stays_shut(self, tmp_path: Path) -> None:
        (tmp_path / "beside_the_plan.py").write_text("def sizes(): pass\n")
        text = (
            "from stretto import Task, fan_out\nimport beside_the_plan\n\ndef own(): pass\n\n"
            "plan = fan_out(Task(call=beside_the_plan.sizes), Task(call=own))\n"
            "if __name__ == '__main__':\n    raise RuntimeError\n"
        )
        before = list(sys.path)

        made = plain(read(tmp_path, text))["tasks"]
        assert made == {"sizes": {"call": "beside_the_plan:sizes"}, "own": {"call": "plan:own"}}
        assert sys.path == before

    def test_what_it_prints_is_no_result(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        read(tmp_path, "from stretto import Task\nprint('hello')\nplan = Task('A')\n")

        assert capsys.readouterr() == ("", "hello\n")

    def test_a_file_cannot_run_its_plan_while_it_is_read(self, tmp_path: Path) -> None:
        text = "from stretto import Task\nplan = Task('A')\nplan.run_sync(on='simulated')\n"

        assert refused(lambda: read(tmp_path, text)).slug == "run-while-read"


def read(folder: Path, text: str, plan_name: str | None = None) -> Raw:
    path = folder / "plan.py"
    path.write_text(text)
    return read_python(path, plan_name)
