"""Plans written in Python: what the patterns build, what their items refuse, how a file is read."""

import copy
import inspect
import json
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import (
    Group,
    Input,
    Plan,
    StrettoError,
    Task,
    fan_out,
    hierarchy,
    map_reduce,
    pipeline,
    scatter_gather,
)
from stretto.plan import model
from stretto.plan.references import ID
from stretto.spec.compile import compile_plan
from stretto.spec.fields import ALIASES, GROUP, PLAN, TASK
from stretto.spec.patterns import GroupKeys, Root, TaskKeys, slug_of
from stretto.spec.placing import raw_of
from stretto.spec.raw import plain
from stretto.spec.symbols import Reference


def tasks(root: Root) -> Any:
    """The tasks of a plan as YAML would have them."""
    return plain(raw_of(root))["tasks"]


def refused(build: Callable[[], object]) -> StrettoError:
    with pytest.raises(StrettoError) as caught:
        build()
    return caught.value


def a_function() -> None:
    """Stands at the top of a module, so that a task can call it."""


def sound(root: Root) -> model.Plan:
    """The compiled plan, which has nothing wrong with it."""
    plan, findings = compile_plan(raw_of(root), source="plan.py")
    assert plan is not None and not findings, findings
    return plan


def innermost() -> Task:
    return Task("Innermost")


PATTERNS: dict[str, Callable[[], Task | Group]] = {
    "task": innermost,
    "fan_out": lambda: fan_out(innermost(), Task("B")),
    "pipeline": lambda: pipeline(innermost(), Task("B")),
    "scatter": lambda: scatter_gather([innermost(), Task("B")], gather=Task("C")),
    "hierarchy": lambda: hierarchy(Task("P", output=[str]), do=lambda m: innermost(), finish=Task("C")),
    "map_reduce": lambda: map_reduce(over=["a"], map=lambda m: innermost(), reduce=Task("C")),
}

NEST: dict[str, Callable[[Task | Group], Group]] = {
    "fan_out": lambda part: fan_out(part, Task("Z")),
    "pipeline": lambda part: pipeline(Task("Z"), part),
    "scatter": lambda part: scatter_gather([part, Task("Z")], gather=Task("G")),
    "gather": lambda part: scatter_gather([Task("Z")], gather=part),
    "do": lambda part: hierarchy(Task("P2", output=[str]), do=lambda m: part),
    "finish": lambda part: hierarchy(Task("P2", output=[str]), do=lambda m: Task(f"Z {m}"), finish=part),
    "map": lambda part: map_reduce(over=["z"], map=lambda m: part, reduce=Task("R")),
    "reduce": lambda part: map_reduce(over=["z"], map=lambda m: Task(f"Z {m}"), reduce=part),
}


class TestPatterns:
    """One shape for each pattern, the one that an author of YAML would write."""

    def test_fan_out_takes_tasks_a_list_or_a_generator(self) -> None:
        expected = {"a-x": {"prompt": "A x"}, "a-y": {"prompt": "A y"}}

        assert tasks(fan_out(Task("A x"), Task("A y"))) == expected
        assert tasks(fan_out([Task("A x"), Task("A y")])) == expected
        assert tasks(fan_out(Task(f"A {name}") for name in "xy")) == expected

    def test_a_fan_out_with_a_quorum_is_a_group(self) -> None:
        made = tasks(fan_out(Task("A"), Task("B"), min_ok=1, name="some"))

        assert made == {"fan-out": {"min_ok": 1, "tasks": {"a": {"prompt": "A"}, "b": {"prompt": "B"}}}}

    def test_pipeline(self) -> None:
        made = tasks(pipeline(Task("Build"), Task("Test", check=["pytest", "-q"])))

        members = {"build": {"prompt": "Build"}, "test": {"prompt": "Test", "check": ["pytest", "-q"]}}
        assert made == {"pipeline": {"order": "serial", "tasks": members}}

    def test_hierarchy(self) -> None:
        made = tasks(
            hierarchy(
                Task("Pick", model="opus", output={"modules": [str]}),
                each="modules",
                do=lambda module: Task(f"Audit {module}", model="sonnet"),
                finish=Task("Integrate"),
                max=5,
                tolerate=1,
            )
        )

        assert made == {
            "pick": {"prompt": "Pick", "model": "opus", "output": {"modules": ["string"]}},
            "audit": {
                "prompt": "Audit ${item}",
                "model": "sonnet",
                "each": "${pick.modules}",
                "as": "item",
                "max": 5,
                "tolerate": 1,
            },
            "integrate": {"prompt": "Integrate", "needs": ["audit"]},
        }

    def test_hierarchy_whose_planner_returns_the_list_itself(self) -> None:
        made = tasks(hierarchy(Task("Pick", output=[str]), do=lambda m: Task(f"Do {m}")))

        assert made["do"] == {"prompt": "Do ${item}", "each": "${pick}", "as": "item"}

    def test_hierarchy_without_do_lets_the_planner_write_the_tasks(self) -> None:
        made = tasks(hierarchy(Task("Plan it", model="opus"), finish=Task("Sum up")))

        assert made["plan-it"]["grow"] == "plan"
        assert made["sum-up"]["needs"] == ["plan-it"]

    def test_scatter_gather(self) -> None:
        made = tasks(scatter_gather([Task("Safe?"), Task("Fast?")], gather=Task("One plan"), min_ok=1))

        assert made == {
            "scatter": {"tasks": {"safe": {"prompt": "Safe?"}, "fast": {"prompt": "Fast?"}}, "min_ok": 1},
            "one-plan": {"prompt": "One plan", "needs": ["scatter"]},
        }

    def test_scatter_gather_of_a_named_group(self) -> None:
        made = tasks(scatter_gather(fan_out(Task("A"), Task("B"), id="views"), gather=Task("One plan")))

        assert list(made) == ["views", "one-plan"]
        assert made["one-plan"]["needs"] == ["views"]

    def test_map_reduce(self) -> None:
        made = tasks(
            map_reduce(
                over=Task(run=["git", "ls-files"], output="lines"),
                map=lambda f: pipeline(Task(f"Scan {f}", id="scan"), Task("Judge it")),
                reduce=Task("Merge"),
                fan_in=20,
            )
        )

        assert made == {
            "git-ls-files": {"run": ["git", "ls-files"], "output": "lines"},
            "map": {
                "each": "${git-ls-files}",
                "as": "item",
                "order": "serial",
                "tasks": {"scan": {"prompt": "Scan ${item}"}, "judge-it": {"prompt": "Judge it"}},
            },
            "merge": {"prompt": "Merge", "reduce": "${map}", "fan_in": 20},
        }

    def test_map_reduce_over_a_list_or_a_reference(self) -> None:
        listed = tasks(map_reduce(over=["a", "b"], map=lambda f: Task(f"Scan {f}")))
        listing = Task(call="m:files", id="files")
        referred = tasks(Plan(listing, map_reduce(over=listing.out.found, map=lambda f: Task(f"Scan {f}"))))

        assert listed["scan"]["each"] == ["a", "b"]
        assert referred["map-reduce"]["tasks"]["scan"]["each"] == "${files.found}"

    def test_a_group_as_reduce_gets_all_results_at_once(self) -> None:
        last = pipeline(Task("Merge"), Task("Polish"), id="last")
        made = tasks(map_reduce(over=["a"], map=lambda f: Task(f"Scan {f}"), reduce=last))

        assert made["last"]["needs"] == ["scan"]
        assert "reduce" not in made["last"]["tasks"]["merge"]

    def test_a_plan_with_several_parts(self) -> None:
        plan = Plan(
            Task("One", id="one"),
            Task("Two", after=["one"]),
            name="both",
            limits={"usd": Decimal("1.50"), "time": timedelta(minutes=5)},
            baselines={"alone": {"usd": 3, "time": "20m"}},
        )

        assert plain(raw_of(plan)) == {
            "stretto": 1,
            "name": "both",
            "limits": {"usd": "1.50", "time": 300.0},
            "baselines": {"alone": {"usd": 3, "time": "20m"}},
            "tasks": {"one": {"prompt": "One"}, "two": {"prompt": "Two", "after": ["one"]}},
        }

    def test_one_task_is_a_plan(self) -> None:
        assert tasks(Task("Fix the bug")) == {"fix-the-bug": {"prompt": "Fix the bug"}}

    @pytest.mark.parametrize("inner", ["task", "fan_out", "pipeline", "scatter", "hierarchy", "map_reduce"])
    @pytest.mark.parametrize(
        "outer", ["fan_out", "pipeline", "scatter", "gather", "do", "finish", "map", "reduce"]
    )
    def test_any_pattern_stands_inside_any_other(self, outer: str, inner: str) -> None:
        made = NEST[outer](PATTERNS[inner]())

        sound(made)
        assert "Innermost" in json.dumps(tasks(made))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(sorted(NEST)), min_size=1, max_size=5))
    def test_to_any_depth(self, outer: list[str]) -> None:
        made: Task | Group = Task("Innermost")
        for name in outer:
            made = NEST[name](made)

        assert model.to_data(sound(made))

    def test_too_deep_is_said_and_no_crash(self) -> None:
        made: Group = fan_out(Task("A"))
        for _ in range(2000):
            made = fan_out(made)

        assert refused(lambda: raw_of(made)).slug == "too-deep"

    def test_a_planner_may_be_a_pattern(self) -> None:
        planner = pipeline(Task("Read"), Task("Pick", output={"modules": [str]}), id="p")
        made = hierarchy(planner, each="modules", do=lambda m: Task(f"Do {m}", id="d"))

        sound(made)
        assert tasks(made)["d"]["each"] == "${p.modules}"

    def test_what_a_pattern_adds_stays_in_its_own_plan(self) -> None:
        last = Task("Merge")
        gathered = scatter_gather([Task("A")], gather=last)
        reduced = map_reduce(over=["a"], map=lambda f: Task(f"Scan {f}"), reduce=last)

        assert tasks(gathered)["merge"] == {"prompt": "Merge", "needs": ["scatter"]}
        assert tasks(reduced)["merge"] == {"prompt": "Merge", "reduce": "${scan}"}

    def test_a_plan_can_be_read_twice(self) -> None:
        plan = scatter_gather((Task(x) for x in ("A", "B")), gather=Task("C"))

        assert tasks(plan) == tasks(plan)


class TestIds:
    """An id says what a task does, and does not change when something else does."""

    @pytest.mark.parametrize(
        ("keys", "slug"),
        [
            ({"prompt": "Analyze auth module"}, "analyze-auth-module"),
            (
                {"prompt": "Deep security audit of auth module, then report"},
                "deep-security-audit-of-auth-module",
            ),
            ({"prompt": "\n  Review: for *speed*!\n"}, "review-for-speed"),
            ({"prompt": "5 modules"}, "task-5-modules"),
            ({"prompt": "Überprüfe die Größe"}, "uberprufe-die-groe"),
            ({"prompt": "审查代码"}, "task"),
            ({"prompt": "Audit ${item} of ${list.a} now"}, "audit-of-now"),
            ({"prompt": "${item}"}, "task"),
            ({"prompt": "Internationalization " * 6}, "internationalization-internationalization"),
            ({"prompt": "x" * 500}, "task"),
            ({"run": ["/usr/bin/git", "ls-files", "*.py"]}, "git-ls-files-py"),
            ({"call": "audit:sizes"}, "sizes"),
            ({"call": a_function}, "a-function"),
            ({}, "task"),
        ],
    )
    def test_a_slug(self, keys: dict[str, Any], slug: str) -> None:
        assert slug_of(keys) == slug

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.text(min_size=1) | st.sampled_from(["a", "a 2", "a-2-2"]), min_size=1, max_size=8))
    def test_every_text_gets_an_id_of_its_own(self, prompts: list[str]) -> None:
        made = tasks(fan_out(Task(prompt.replace("@", "")) for prompt in prompts))

        assert len(made) == len(prompts)
        assert all(ID.fullmatch(id) for id in made)
        assert [task["prompt"] for task in made.values()] == [prompt.replace("@", "") for prompt in prompts]

    def test_a_clash_is_numbered_within_its_group_only(self) -> None:
        made = tasks(Plan(Task("A"), Task("A"), fan_out(Task("A"), Task("A"), id="g"), Task("A")))

        assert list(made) == ["a", "a-2", "g", "a-3"]
        assert list(made["g"]["tasks"]) == ["a", "a-2"]

    def test_an_id_given_by_the_author_is_kept_wherever_it_stands(self) -> None:
        made = tasks(fan_out(Task("A"), Task("A 2"), Task("A"), Task("B", id="a")))

        assert list(made) == ["a-2", "a-2-2", "a-3", "a"]

    def test_call_order_does_not_matter(self) -> None:
        late, early = Task("A", model="opus"), Task("A", model="haiku")

        made = tasks(fan_out(early, late))
        assert {id: task["model"] for id, task in made.items()} == {"a": "haiku", "a-2": "opus"}

    def test_two_of_one_id_are_refused_with_both_places(self) -> None:
        error = refused(lambda: raw_of(fan_out(Task("A", id="x"), Task("B", id="x"))))

        assert error.slug == "duplicate-id"
        assert error.at.startswith(__file__)
        assert __file__ in error.what

    def test_one_object_in_two_places_is_refused(self) -> None:
        task = Task("A")

        error = refused(lambda: raw_of(fan_out(task, pipeline(task))))
        assert (error.slug, "'a'" in error.what) == ("task-used-twice", True)


class TestItems:
    """An item is known at run time; until then it can be written into texts and dug into."""

    def test_formatting_gives_a_reference(self) -> None:
        item = Reference("item")

        assert f"{item}" == str(item) == "%s" % item == "{}".format(item) == "${item}"  # noqa: UP031, UP032
        assert f"{item.path}" == "${item.path}"
        assert f"{item[0].name['a-b']}" == "${item.0.name.a-b}"
        assert repr(item.name) == "${item.name}"

    @pytest.mark.parametrize(
        "use",
        [
            len,
            bool,
            list,
            int,
            float,
            hash,
            reversed,
            round,
            math.floor,
            sum,
            lambda x: "yes" if x else "no",
            lambda x: not x,
            lambda x: x == "auth",
            lambda x: x != "auth",
            lambda x: "auth" == x,  # noqa: SIM300
            lambda x: x < 1,
            lambda x: x in ("auth", "pay"),
            lambda x: x in {"auth", "pay"},
            lambda x: "auth" in x,
            lambda x: x + "s",
            lambda x: "s" + x,
            lambda x: x * 2,
            lambda x: 2 * x,
            lambda x: x % 2,
            lambda x: -x,
            lambda x: x | x,
            lambda x: [*x],
            lambda x: {"a": 1, x: 2},
            lambda x: [0, 1][x],
            lambda x: x.upper(),
            lambda x: x(),
            lambda x: x[1:2],
            lambda x: x["a b"],
            lambda x: f"{x:>10}",
            range,
        ],
    )
    def test_anything_else_is_refused(self, use: Callable[[Any], object]) -> None:
        error = refused(lambda: use(Reference("item")))

        assert error.slug == "known-only-at-run-time"
        assert error.what.startswith("${item")
        assert "known only at run time" in error.what
        assert error.next == "put this logic into a function task (call=)"
        assert error.at.startswith(f"{__file__}:")

    def test_an_item_can_be_inspected(self) -> None:
        item = Reference("item")

        assert not hasattr(item, "__wrapped__")
        assert str(copy.copy(item)) == "${item}"
        assert inspect.unwrap(item) is item  # type: ignore[arg-type]

    def test_items_inside_items_have_names_of_their_own(self) -> None:
        made = tasks(
            map_reduce(
                over=["a"],
                map=lambda f: map_reduce(
                    over=Task(f"Split {f}", output=[str]),
                    map=lambda g: fan_out(
                        hierarchy(Task(f"H {g}"), each="x", do=lambda h: Task(f"{h} {g} {f}"))
                    ),
                ),
            )
        )

        assert "${item3} ${item2} ${item}" in json.dumps(made)
        assert "${split}" in json.dumps(made)
        inner = made["map"]["tasks"]
        assert (made["map"]["as"], inner["map"]["as"]) == ("item", "item2")

    def test_names_are_free_again_for_what_stands_beside(self) -> None:
        made = tasks(fan_out(map_reduce(over=["a"], map=lambda f: Task(f"{f}")) for _ in range(2)))

        assert [group["tasks"]["task"]["as"] for group in made.values()] == ["item", "item"]

    def test_an_item_can_be_named(self) -> None:
        made = tasks(map_reduce(over=["a"], as_="file", map=lambda f: Task(f"Scan {f.path}")))

        assert made["scan"] == {"prompt": "Scan ${file.path}", "each": ["a"], "as": "file"}

    def test_an_inner_item_cannot_take_the_name_of_an_outer_one(self) -> None:
        def inner(_: Reference) -> Group:
            return map_reduce(over=["b"], as_="f", map=lambda g: Task(f"{g}"))

        assert refused(lambda: map_reduce(over=["a"], as_="f", map=inner)).slug == "item-name-taken"
        assert tasks(map_reduce(over=["a"], as_="f", map=lambda g: Task(f"{g}"))), "the name is free again"

    def test_what_do_returns_must_be_a_task(self) -> None:
        for wrong in (None, "a text", [Task("A")]):
            error = refused(lambda: hierarchy(Task("P"), each="x", do=lambda m: wrong))  # type: ignore[arg-type, return-value] # noqa: B023
            assert error.slug == "not-a-task"
            assert "what do= returns" in error.what

    def test_an_each_on_what_do_returns_stands_inside(self) -> None:
        made = tasks(hierarchy(Task("P"), each="x", do=lambda m: Task(f"A {m}", each=["1"], as_="one")))

        assert made["do"]["each"] == "${p.x}"
        assert made["do"]["tasks"]["a"] == {"prompt": "A ${item}", "each": ["1"], "as": "one"}


class TestOutputs:
    """`.out` is a reference that leads to a task wherever it stands."""

    def test_a_reference_is_written_with_the_final_id(self) -> None:
        first, second = Task("A"), Task("A")
        made = tasks(Plan(first, second, Task(f"Compare {first.out} and {second.out.score}", id="c")))

        assert made["c"]["prompt"] == "Compare ${a} and ${a-2.score}"

    def test_it_leads_out_of_groups_and_into_them(self) -> None:
        outside, inside = Task("Outside"), Task("Inside")
        made = tasks(
            Plan(
                outside,
                fan_out(inside, Task(f"B {outside.out} {inside.out}"), id="g"),
                Task(f"C {inside.out}"),
            )
        )

        assert made["g"]["tasks"]["b"]["prompt"] == "B ${outside} ${inside}"
        assert made["c"]["prompt"] == "C ${g.inside}"

    def test_it_stands_in_arguments_paths_and_needs(self) -> None:
        first = Task("A", output=[str])
        group = fan_out(Task("G1"), Task("G2"), id="g")
        last = Task(
            call="m:f",
            args={"x": first.out, "deep": [{"y": group}]},
            reads=[first.out.path, PurePath("src")],
            needs=[group, "other"],
            after=first,
        )
        made = tasks(Plan(first, group, Task("Other"), last))

        assert made["f"] == {
            "call": "m:f",
            "args": {"x": "${a}", "deep": [{"y": "${g}"}]},
            "reads": ["${a.path}", "src"],
            "needs": ["g", "other"],
            "after": ["a"],
        }

    def test_needs_of_the_author_and_of_the_pattern_add_up(self) -> None:
        before = Task("Before")
        made = tasks(Plan(before, scatter_gather([Task("A")], gather=Task("G", needs=[before]), id="s")))

        assert made["s"]["tasks"]["g"]["needs"] == ["before", "scatter"]

    def test_a_task_in_a_text_is_its_output(self) -> None:
        task = Task("A")

        assert tasks(Plan(task, Task(f"B {task}")))["b"]["prompt"] == "B ${a}"

    def test_a_task_that_is_not_in_the_plan(self) -> None:
        elsewhere = Task("Elsewhere")
        error = refused(lambda: raw_of(fan_out(Task(f"A {elsewhere.out}"))))

        assert (error.slug, "'elsewhere'" in error.what) == ("unknown-reference", True)

    def test_a_name_that_means_something_nearer(self) -> None:
        outer = Task("Look")
        hidden = refused(lambda: raw_of(Plan(outer, fan_out(Task("Look"), Task(f"Use {outer.out}"), id="g"))))
        item = Task("Item")
        by_item = refused(lambda: raw_of(Plan(item, Task(f"Use {item.out}", each=["a"]))))

        assert (hidden.slug, by_item.slug) == ("hidden-reference", "hidden-reference")

    def test_an_input_stands_for_its_value(self) -> None:
        repo = Input("path", default=".")
        plan = Plan(Task(f"Look at {repo}", args={"repo": repo}), inputs={"repo": repo, "n": {"type": "int"}})
        raw = plain(raw_of(plan))

        assert raw["inputs"] == {"repo": {"type": "path", "default": "."}, "n": {"type": "int"}}
        assert raw["tasks"]["look-at"] == {"prompt": "Look at ${repo}", "args": {"repo": "${repo}"}}
        assert refused(lambda: raw_of(Plan(Task(f"Look at {repo}")))).slug == "unknown-reference"

    def test_a_reference_typed_by_the_author_stays(self) -> None:
        assert tasks(Task("A ${repo} $${x} a@b"))["a-a-b"]["prompt"] == "A ${repo} $${x} a@b"


def words(**keys: Any) -> Any:
    """Keywords that a type checker would refuse, as it should."""
    return keys


class TestKeywords:
    """Every key of the format is a keyword, and nothing else is."""

    def test_they_are_those_of_the_format(self) -> None:
        """The hints that editors show, against the tables that hold."""
        assert set(TaskKeys.__annotations__) | {"prompt"} == ({*TASK, *ALIASES} - {"as"}) | {"as_", "id"}
        assert set(GroupKeys.__annotations__) == ({*GROUP, *PLAN} - {"as", "tasks", "stretto"}) | {
            "as_",
            "id",
        }

    @pytest.mark.parametrize(
        ("build", "fix"),
        [
            (lambda: Task("A", **words(modle="haiku")), "did you mean 'model'?"),
            (lambda: fan_out(Task("A"), **words(min_okay=1)), "did you mean 'min_ok'?"),
            (lambda: pipeline(Task("A"), **words(nmae="x")), "did you mean 'name'?"),
            (lambda: Plan(Task("A"), **words(limit={})), "did you mean 'limits'?"),
            (lambda: Input("path", defualt="x"), "did you mean 'default'?"),
            (
                lambda: Task("A", **words(limits={"usd": 1})),
                "'limits' belongs to the plan: Plan(..., limits=...)",
            ),
            (lambda: hierarchy(Task("A"), **words(zzz=1)), "known here: "),
        ],
    )
    def test_an_unknown_one_is_refused_where_it_stands(self, build: Callable[[], object], fix: str) -> None:
        error = refused(build)

        assert (error.slug, error.next[: len(fix)]) == ("unknown-key", fix)
        assert error.at.startswith(f"{__file__}:")

    def test_free_keys_and_none_are_left_alone(self) -> None:
        free: dict[str, Any] = {"x-owner": "ann"}

        assert tasks(Task("A", timeout=None, **free)) == {"a": {"prompt": "A", "x-owner": "ann"}}

    def test_the_documents_own_call(self) -> None:
        made = tasks(Task("Analyze auth module", model="haiku", subagent_type="Plan"))

        assert made["analyze-auth-module"]["subagent_type"] == "Plan"

    def test_types_of_python_in_an_output(self) -> None:
        made = tasks(Task("A", output={"a": list[str], "b": Literal["x", "y"], "c?": [{"d": int}]}))

        assert made["a"]["output"] == {
            "a": ["string"],
            "b": {"enum": ["x", "y"]},
            "c?": [{"d": "integer"}],
        }

    def test_a_judging_task(self) -> None:
        made = tasks(Task("A", check=Task("Is ${a} good?", model="opus")))

        assert made["a"]["check"] == {"prompt": "Is ${a} good?", "model": "opus"}

    @pytest.mark.parametrize("wrong", ["a text", 5, None, {"a": Task("A")}, [[Task("A")]], Reference("x")])
    def test_members_must_be_tasks(self, wrong: Any) -> None:
        assert refused(lambda: fan_out(wrong)).slug == "not-a-task"
