"""Bare `Task(...)` calls: what is read from them, in Python files and Markdown pages, and never executed."""

from pathlib import Path

import pytest

from stretto.errors import StrettoError
from stretto.spec.bare.blocks import blocks_of
from stretto.spec.load import load, load_all
from tests.bare import loaded, only, prompts, read, slugs, staged, tasks_of


class TestCalls:
    """What is read from the calls themselves."""

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ('Task("A")\nTask(prompt="B", description="b")\nTask(description="C")', ["A", "B", "C"]),
            (
                'for x in ["a", "b"]:\n    Task(f"Do {x}")\n    Task("then " + x)',
                ["Do a", "then a", "Do b", "then b"],
            ),
            ('for n in range(2, 7, 2):\n    Task(f"{n:03d}")', ["002", "004", "006"]),
            ('for n, x in enumerate(("a", "b"), 1):\n    Task(f"{n} {x!r}")', ["1 'a'", "2 'b'"]),
            ('for a, b in zip(["x", "y"], [1, 2]):\n    Task(f"{a}{b}")', ["x1", "y2"]),
            ('for k, v in {"a": [1], "b": 2}.items():\n    Task(f"{k} {v}")', ["a {v}", "b 2"]),
            ('[Task(f"{a}{b}") for a in "x y".split() for b in (1, 2)]', ["x1", "x2", "y1", "y2"]),
            ('NAMES = ["a"]\nWHAT = f"module {NAMES[0]}"\nTask("Look at " + WHAT)', ["Look at module a"]),
            ('Task("In {} of {name} and {0}".format("a", name=b))', ["In a of {b} and a"]),
            ('Task(textwrap.dedent("""\n  A\n"""))', ["\n  A\n"]),
            ('Task(f"Fix {issue.title} {{x}} {f(1)}")', ["Fix {issue.title} {x} {f(1)}"]),
            ('def work(m):\n    return Task(f"Do {m}")', ["Do {m}"]),
            ('if ready:\n    Task("A")\nelif more:\n    Task("B")\nelse:\n    Task("C")', ["A", "B", "C"]),
            ('x = "a"\nx = ask()\nTask(f"{x}")', ["{x}"]),
            ('x = "a"\nif deep:\n    x = "b"\nTask(f"{x}")', ["{x}"]),
        ],
    )
    def test_prompts(self, code: str, expected: list[str]) -> None:
        assert prompts(code) == expected

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ('["mod1", "mod2", ..., "mod5"]', "mod1 mod2 mod3 mod4 mod5"),
            ('["m08", ..., "m11"]', "m08 m09 m10 m11"),
            ("[1, 3, ..., 9]", "1 3 5 7 9"),
            ('["a1-x", ..., "a3-x", "b"]', "a1-x a2-x a3-x b"),
        ],
    )
    def test_dots_between_numbered_names_are_filled_in(self, written: str, expected: str) -> None:
        assert prompts(f'for x in {written}:\n    Task(f"{{x}}")') == expected.split()

    def test_a_list_that_goes_on_is_said(self) -> None:
        text = 'for x in ["auth", "payment", ...]:\n    Task(f"Do {x}")'

        assert prompts(text) == ["Do auth", "Do payment"]
        assert slugs(text) == [("open-list", "1:10")]

    @pytest.mark.parametrize(
        ("loop", "over", "name", "most"),
        [
            ("for m in top_10_modules:", "top_10_modules", "m", 10),
            ("for m in find_modules():", "find_modules", "m", 100),
            ("for m in plan.modules[:7]:", "modules", "m", 7),
            ("for n, m in enumerate(result['files']):", "files", "m", 100),
            ("for Module in Modules:", "modules", "item", 100),
            ("for item in item:", "item", "entry", 100),
            ("for m in v2_modules:", "v2_modules", "m", 100),
            ("for m in range(n):", "items", "m", 100),
            ("async for m in sorted(modules, key=len):", "modules", "m", 100),
        ],
    )
    def test_a_loop_over_an_unknown_list_is_one_task(
        self, loop: str, over: str, name: str, most: int
    ) -> None:
        variable = "Module" if "Module " in loop else "item" if name == "entry" else "m"
        plan = only(f'async def main():\n  {loop}\n    Task(f"Do {{{variable}}} {{{variable}.path}}")')

        (task,) = tasks_of(plan)
        assert task.each and (task.each.over, task.each.name, task.each.max) == (f"${{{over}}}", name, most)
        assert task.prompt == f"Do ${{{name}}} ${{{name}.path}}"
        assert list(plan.inputs) == [over]

    def test_of_loops_in_loops_the_innermost_unknown_list_counts(self) -> None:
        (first, second) = tasks_of(
            only('for a in xs:\n  for b in ys:\n    Task(f"{a} {b}")\n  Task(f"{a} for {c}")')
        )

        assert first.each and (first.each.over, first.prompt) == ("${ys}", "{a} ${b}")
        assert second.each and (second.each.over, second.prompt) == ("${xs}", "${a} for {c}")

    def test_nothing_in_a_text_becomes_a_reference_by_accident(self) -> None:
        text = 'Task("costs ${x}, $${y}")\nfor sum in sums:\n    Task(f"Pay ${sum} or ${other}")'

        assert prompts(text) == ["costs $${x}, $$${y}", "Pay $ ${sum} or $${other}"]

    def test_a_name_that_a_task_was_assigned_to_is_its_output(self) -> None:
        first, second, third = tasks_of(
            only(
                'plan = Task("Plan it")\ndone = await Task(f"Do {plan}")\nTask("Join", context=[plan, done])'
            )
        )

        assert (second.prompt, second.needs, third.needs) == ("Do ${task-1}", (), ("task-1", "task-2"))
        assert first.needs == ()

    def test_keywords(self) -> None:
        text = (
            'BIG = "Opus"\n'
            'Task("A", BIG, model=BIG, subagent_type="Plan", agent="x", attempts=2, tools=["read"])\n'
            'Task("B", model=choose(), run=["rm"], colour=1)\nTask("C", colour=2, **more)\n'
        )
        first, second, _ = tasks_of(only(text))

        assert (first.model, first.role, first.attempts) == ("opus", "Plan", 2)
        assert first.tools == ("read",)
        assert (second.model, second.run) == ("auto", ())
        ignored = [(f.at, f.message.split("`")[1]) for f in read(text)[1] if f.slug == "ignored-keyword"]
        assert ignored == [
            ("plan.py:3:17", "model"),
            ("plan.py:3:31", "run"),
            ("plan.py:3:46", "colour"),
            ("plan.py:4:23", "**"),
        ]

    def test_values_are_held_by_the_one_compiler_at_their_place(self) -> None:
        found = slugs('x = 1; Task("Ä", timeout="soon")\nTask("é", model="gpt-4")\nTask("")\n')

        assert found == [("wrong-value", "1:26"), ("unknown-model", "2:17"), ("wrong-value", "3:6")]

    def test_a_task_without_a_prompt_is_none(self) -> None:
        text = 'Task(...)\nTask(model="opus")\nTask(*words)\nTask("A")'

        assert prompts(text) == ["A"]
        assert slugs(text) == [("unread-task", "1:1"), ("unread-task", "2:1"), ("unread-task", "3:1")]

    def test_open_placeholders_are_said_once(self) -> None:
        (finding,) = read('Task("A")\nTask(f"Fix {x}")\nTask(f"Fix {y} {x}")')[1]

        assert (finding.slug, finding.severity, finding.at) == ("open-placeholder", "info", "plan.py:2:1")
        assert finding.message.endswith("{x}, {y}")
        assert finding.tasks == ("task-2", "task-3")

    def test_nothing_is_executed(self, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        loaded(tmp_path, f'open({str(trace)!r}, "w")\nTask(f"{{open({str(trace)!r}, \'w\')}}")')

        assert not trace.exists()

    def test_limits(self) -> None:
        for text in (
            "for n in range(20_001): Task(f'{n}')",
            f"x = '{'a' * 30_000}'\nfor n in range(700): Task(x)",
        ):
            plans, findings = read(text)
            assert (plans, [(f.slug, f.severity) for f in findings]) == ([], [("too-many-tasks", "error")])


class TestPieces:
    """Markdown pages, and text that is no Python."""

    def test_blocks_of_a_page(self) -> None:
        text = (
            "# One\n```js\nTask('no')\n```\n```python title=x\nx = 1\n```\n- item\n\n"
            "  ```python\n  Task('A',\n       model='opus')\n  ```\n"
            "> ~~~~\n> Task('B')\n> ~~~\n> ~~~~\n```\nTask('C')"
        )
        found = [(block.text, block.line, block.column) for block in blocks_of(text)]

        assert found == [
            ("Task('A',\n     model='opus')", 11, 2),
            ("Task('B')\n~~~", 15, 2),
            ("Task('C')", 19, 0),
        ]

    def test_places_are_those_of_the_page(self) -> None:
        text = "x\n\n* y\n  ```\n      Task('A')\n      Task('B',\n           model='gpt')\n  ```\n"
        (plan,), findings = read(text, page=True)

        assert plan is None
        assert [(f.slug, f.at) for f in findings] == [("unknown-model", "plan.md:7:18")]

    @pytest.mark.parametrize("end", ["\r\n", "\r"])
    def test_ends_of_lines(self, end: str) -> None:
        text = '\ufeff# Step 1\nTask("A")\n# Step 2\nTask("B", timeout="x")'

        assert slugs(text.replace("\n", end)) == [("inferred-structure", "3:1"), ("wrong-value", "4:19")]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                'First these:\nfor x in ["a", "b"]:\n    Task(f"{x}")\nThen, after that:\nTask("C")\n...',
                "1-2 > 3",
            ),
            ('Step 1: build\n    Task("A")\nStep 2: test\n    Task("B")', "1 > 2"),
            ('  Task("A")\n  # Wait\n  Task("B")', "1 > 2"),
            ('    Task("A")\n# Wait\n  Task("B")', "1 > 2"),
            ('Task("A") -> Task("B")', "1-2"),
            ('Task("A")\0\n# then\nTask("B")', "1 > 2"),
            ('* Task("A"): builds\n* Task("B", model="haiku"): tests', "1, 2 haiku"),
        ],
    )
    def test_fragments_are_read_as_far_as_they_can_be(self, text: str, expected: str) -> None:
        assert staged(text) == expected

    def test_what_cannot_be_read_is_said_with_its_place(self) -> None:
        text = 'Task("A")\nTask("B" "C" D)\n  Task("E",\nTask("F")'

        assert slugs(text) == [("unread-task", "2:1"), ("unread-task", "3:3")]
        assert prompts(text) == ["A", "F"]

    @pytest.mark.parametrize(
        "text",
        [
            "Task(" * 5000,
            "Task(" + "(" * 5000,
            "x = " + "[" * 3000 + "]" * 3000 + "\nTask('A')",
            "Task(" + " + ".join(["'a'"] * 5000) + ")",
            "Task('A', attempts=" + "-" * 5000 + "1)",
            'Task(f"' + "{f'" * 200 + '")',
            "if a:\n  Task('A')\n" + "elif b:\n  Task('B')\n" * 3000,
            "'''" * 4999 + "Task('A')",
            "Task('''" + "a" * 100_000,
            "x = 'a'\n" + "x = x + x\n" * 200 + "Task(x)",
            'Task(f"{1:>999999999}{1:{2}}{x!a:{y}}")',
        ],
    )
    def test_wild_text_never_raises(self, text: str) -> None:
        plans, findings = read(text)
        assert plans or findings


class TestFiles:
    """Bare plans from files."""

    def test_a_python_file_that_does_not_import_stretto(self, tmp_path: Path) -> None:
        (entry,) = loaded(tmp_path, "import os\n# stretto is not imported\nTask('A')\n", "ship.py")

        assert (entry.kind, entry.bare, entry.name) == ("bare", True, "ship")
        assert entry.plan is not None and entry.plan.name == "ship"
        assert entry.plan.places == {"task-1": f"{tmp_path / 'ship.py'}:3:1"}
        assert load(tmp_path / "ship.py") == (entry.plan, entry.findings, "bare")

    def test_one_that_does_is_executed(self, tmp_path: Path) -> None:
        (entry,) = loaded(tmp_path, "from stretto import Task\nplan = Task('A', id='a')\n")

        assert (entry.kind, entry.bare, entry.plan and entry.plan.tasks[0].id) == ("python", False, "a")

    def test_several_plans_are_listed_and_chosen_by_name(self, tmp_path: Path) -> None:
        assert [e.name for e in loaded(tmp_path, "# BAD\nTask('A')\n# GOOD\nTask('B')")] == ["bad", "good"]
        with pytest.raises(StrettoError, match="2 plans: bad, good") as caught:
            load(tmp_path / "plan.py")
        assert (caught.value.slug, caught.value.next) == ("several-plans", "choose one with --plan bad")

        plan, _, kind = load(tmp_path / "plan.py", "good")
        assert plan is not None and (plan.name, plan.tasks[0].id, kind) == ("good", "task-2", "bare")
        with pytest.raises(StrettoError, match="no plan called 'goood'") as caught:
            load(tmp_path / "plan.py", "goood")
        assert caught.value.next == "did you mean 'good'?"

    def test_the_plans_of_a_broken_file(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.py"
        path.write_text("Task('A', model='gpt')\n# GOOD\nTask('B')\n")
        broken, good = load_all(path)

        assert broken.plan is None and good.plan is not None
        assert [f.slug for f in broken.findings] == ["unknown-model"]
        assert load_all(path, even_broken=True)[0].plan is not None

    def test_files_without_plans(self, tmp_path: Path) -> None:
        for name, text, slug in (
            ("plan.md", "# Nothing\nTask is a word\n", "no-plan-in-file"),
            ("plan.py", "x = 1\n", "no-plan-in-file"),
            ("plan.py", "x = (\n", "plan-file-failed"),
            ("plan.py", "import stretto\nTask((\n", "plan-file-failed"),
        ):
            with pytest.raises(StrettoError) as caught:
                loaded(tmp_path, text, name)
            assert caught.value.slug == slug

    def test_a_file_of_which_nothing_can_be_read(self, tmp_path: Path) -> None:
        (entry,) = loaded(
            tmp_path, "```\nTask('A'\n```\n\n```\n'Task()'\n```\nTask('outside')\n", "plan.markdown"
        )

        assert entry.plan is None
        assert [(f.slug, f.severity) for f in entry.findings] == [
            ("no-plan-in-file", "error"),
            ("unread-task", "warning"),
            ("unread-task", "warning"),
        ]

    def test_a_bare_file_may_be_as_large_as_any_plan(self, tmp_path: Path) -> None:
        with pytest.raises(StrettoError) as caught:
            loaded(tmp_path, "# " + "a" * 4_194_304 + "\nTask('A')")
        assert caught.value.slug == "too-large"
