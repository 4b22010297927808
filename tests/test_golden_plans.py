"""The golden test: what is written in YAML and in Python compiles to the same plan."""

import json
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from stretto.cli import main
from stretto.plan.finding import Finding
from stretto.plan.model import Plan, to_data
from stretto.spec.compile import compile_plan
from stretto.spec.python import read_python
from stretto.spec.yaml import read_yaml

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


class Pair(NamedTuple):
    """One plan, written twice."""

    yaml: str
    python: str


def from_yaml(text: str) -> Plan:
    return sound(*compile_plan(read_yaml(text, "plan.yaml"), source="plan.yaml"))


def from_python(path: Path) -> Plan:
    return sound(*compile_plan(read_python(path), source=str(path)))


def sound(plan: Plan | None, findings: list[Finding]) -> Plan:
    assert plan is not None and {f.slug for f in findings} <= {"not-supported"}, findings
    return plan


def test_there_is_an_example_of_each_pattern_in_both_forms() -> None:
    assert EXAMPLES == ["fan_out", "hierarchy", "map_reduce", "nested", "pipeline", "scatter_gather"]
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.yaml")) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_the_same_in_both_forms(name: str) -> None:
    yaml = from_yaml((ROOT / "examples" / f"{name}.yaml").read_text())
    python = from_python(ROOT / "examples" / f"{name}.py")

    assert to_data(yaml) == to_data(python)
    assert yaml == python
    assert yaml.places.keys() == python.places.keys()


@pytest.mark.parametrize("ending", ["yaml", "py"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_rehearsed(
    name: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    path = str(ROOT / "examples" / f"{name}.{ending}")

    code = main(["run", path, "--on", "simulated:latency=0", "--root", str(tmp_path), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {task["state"] for task in answer["tasks"]} == {"succeeded"}


PAIRS = {
    "a quorum": Pair(
        """
        tasks:
          reviews:
            tolerate: 1
            min_ok: {count: 2, then: cancel}
            tasks:
              a: {prompt: Review A}
              b: {prompt: Review B, optional: true}
              c: {prompt: Review C}
        """,
        """
        plan = fan_out(
            Task("Review A", id="a"),
            Task("Review B", id="b", optional=True),
            Task("Review C", id="c"),
            id="reviews", tolerate=1, min_ok={"count": 2, "then": "cancel"}, name="plan",
        )
        """,
    ),
    "slugs": Pair(
        """
        tasks:
          fan-out:
            min_ok: 1
            tasks:
              look-at-it: {prompt: Look at it}
              look-at-it-2: {prompt: "Look at it!"}
              grep-rn-todo: {run: [grep, -rn, TODO, .], output: lines}
              sizes: {call: "audit:sizes", args: {repo: "."}}
        """,
        """
        plan = fan_out(
            Task("Look at it"),
            Task("Look at it!"),
            Task(run=["grep", "-rn", "TODO", "."], output="lines"),
            Task(call="audit:sizes", args={"repo": "."}),
            min_ok=1, name="plan",
        )
        """,
    ),
    "references and needs": Pair(
        """
        inputs: {repo: {type: path, default: "."}, depth: {type: int, default: 2}}
        limits: {usd: 2, time: 1h, parallel: 3, slots: {messages: 2}}
        baselines: {all-opus: {usd: 7.5, time: 25m}}
        tasks:
          list: {run: [ls, "${repo}"], output: lines, env: [HOME], timeout: 30s, pure: true}
          work:
            needs: [list]
            tasks:
              one: {prompt: "First of ${list.0} in ${repo}, ${depth} deep", reads: ["${repo}/*.py"]}
              two: {prompt: "Second after ${one}", after: [list]}
          last:
            prompt: "All: ${work.two} $${literal}"
            needs: [work.one, list]
            expect: {usd: 0.2, time: 5m, strongest: {usd: 1.5}}
        """,
        """
        repo, depth = Input("path", default="."), Input("int", default=2)
        listing = Task(run=["ls", repo], output="lines", env=["HOME"], timeout="30s", pure=True, id="list")
        one = Task(f"First of {listing.out[0]} in {repo}, {depth} deep", reads=[f"{repo}/*.py"], id="one")
        two = Task(f"Second after {one.out}", after=[listing], id="two")
        work = Group(one, two, id="work", needs=[listing])
        last = Task(
            f"All: {two.out} $${{literal}}", needs=[one, listing], id="last",
            expect={"usd": 0.2, "time": "5m", "strongest": {"usd": 1.5}},
        )
        plan = Plan(
            listing, work, last, name="plan",
            inputs={"repo": repo, "depth": depth},
            limits={"usd": 2, "time": "1h", "parallel": 3, "slots": {"messages": 2}},
            baselines={"all-opus": {"usd": 7.5, "time": "25m"}},
        )
        """,
    ),
    "a planner that writes the tasks": Pair(
        """
        tasks:
          split: {prompt: Split the work, model: opus, grow: plan}
          sum-up: {prompt: Sum up, needs: [split]}
        """,
        """
        plan = hierarchy(
            Task("Split the work", model="opus", id="split"), finish=Task("Sum up"), name="plan"
        )
        """,
    ),
    "checks, models and other words": Pair(
        """
        tasks:
          pipeline:
            order: serial
            tasks:
              a: {prompt: A, check: [pytest, -q], model: {from: haiku, to: opus}, role: Plan}
              b: {prompt: B, check: "audit:has_lines", on: "openai:http://127.0.0.1:8080/v1", model: qwen}
              c: {prompt: C, check: {prompt: "Is it right?", model: sonnet}, tools: [read], usd: 0.5}
        """,
        """
        plan = pipeline(
            Task("A", check=["pytest", "-q"], model={"from": "haiku", "to": "opus"}, subagent_type="Plan"),
            Task("B", check="audit:has_lines", on="openai:http://127.0.0.1:8080/v1", model="qwen"),
            Task("C", check=Task("Is it right?", model="sonnet"), tools=["read"], usd=0.5),
            name="plan",
        )
        """,
    ),
    "outputs": Pair(
        """
        tasks:
          a: {prompt: A, output: text}
          b: {prompt: B, output: [string]}
          c: {prompt: C, output: {n: integer, f?: number, ok: boolean, tags: [string], more: [{x: string}]}}
          d: {prompt: D, output: {type: array, items: {type: string}, maxItems: 3}}
        """,
        """
        plan = fan_out(
            Task("A", output=str),
            Task("B", output=list[str]),
            Task("C", output={"n": int, "f?": float, "ok": bool, "tags": [str], "more": [{"x": str}]}),
            Task("D", output={"type": "array", "items": {"type": "string"}, "maxItems": 3}),
            name="plan",
        )
        """,
    ),
    "scatter-gather in map-reduce in a pipeline": Pair(
        """
        tasks:
          pipeline:
            order: serial
            tasks:
              prepare: {prompt: Prepare}
              map-reduce:
                tasks:
                  list: {run: [ls], output: lines}
                  map:
                    each: "${list}"
                    as: item
                    tolerate: 10%
                    tasks:
                      scatter:
                        min_ok: 1
                        tasks:
                          safe: {prompt: "Is ${item} safe?"}
                          fast: {prompt: "Is ${item} fast?"}
                      verdict: {prompt: Verdict, needs: [scatter]}
                  merge: {prompt: Merge, reduce: "${map}", fan_in: 5}
              publish: {prompt: Publish}
        """,
        """
        plan = pipeline(
            Task("Prepare"),
            map_reduce(
                over=Task(run=["ls"], output="lines", id="list"),
                map=lambda f: scatter_gather(
                    [Task(f"Is {f} safe?", id="safe"), Task(f"Is {f} fast?", id="fast")],
                    gather=Task("Verdict"), min_ok=1,
                ),
                reduce=Task("Merge"), fan_in=5, tolerate="10%",
            ),
            Task("Publish"),
            name="plan",
        )
        """,
    ),
    "map-reduce in map-reduce": Pair(
        """
        tasks:
          map:
            each: [src, tests]
            as: item
            tasks:
              ls-1: {run: [ls, "-1", "${item}"], output: lines}
              read:
                each: "${ls-1}"
                as: item2
                max: 1000
                prompt: "Read ${item2} of ${item}"
              merge: {prompt: "Merge ${item}", reduce: "${read}"}
          merge-all: {prompt: Merge all, reduce: "${map}"}
        """,
        """
        def read_folder(folder):
            return map_reduce(
                over=Task(run=["ls", "-1", folder], output="lines", id="ls-1"),
                map=lambda file: Task(f"Read {file} of {folder}", id="read"),
                reduce=Task(f"Merge {folder}"),
                max=1000,
            )

        plan = map_reduce(over=["src", "tests"], map=read_folder, reduce=Task("Merge all"), name="plan")
        """,
    ),
    "hierarchy in hierarchy, fan-out at the end": Pair(
        """
        tasks:
          top: {prompt: Top, output: {areas: [string]}}
          do:
            each: "${top.areas}"
            as: area
            min_ok: 2
            tasks:
              sub: {prompt: "Sub of ${area}", output: [string]}
              leaf: {each: "${sub}", as: item, prompt: "Leaf ${item} of ${area} of ${top.areas}"}
              close: {prompt: Close, needs: [leaf]}
          fan-out:
            needs: [do]
            tasks:
              one: {prompt: One}
              two: {prompt: Two}
        """,
        """
        top = Task("Top", output={"areas": [str]})

        def area_of(area):
            return hierarchy(
                Task(f"Sub of {area}", output=[str], id="sub"),
                do=lambda leaf: Task(f"Leaf {leaf} of {area} of {top.out.areas}", id="leaf"),
                finish=Task("Close"),
            )

        plan = hierarchy(
            top, each="areas", as_="area", do=area_of, min_ok=2,
            finish=fan_out(Task("One"), Task("Two")), name="plan",
        )
        """,
    ),
}

IMPORTS = (
    "from stretto import Group, Input, Plan, Task, fan_out, hierarchy, map_reduce, pipeline, scatter_gather\n"
)


@pytest.mark.parametrize("name", PAIRS)
def test_a_plan_is_the_same_in_both_forms(name: str, tmp_path: Path) -> None:
    pair = PAIRS[name]
    path = tmp_path / "written.py"
    path.write_text(IMPORTS + textwrap.dedent(pair.python))

    yaml = from_yaml("stretto: 1\nname: plan\n" + textwrap.dedent(pair.yaml))
    python = from_python(path)
    assert to_data(yaml) == to_data(python)
    assert yaml.places.keys() == python.places.keys()


def test_what_is_wrong_is_found_at_its_line_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(
        IMPORTS + 'plan = fan_out(\n    Task("A", id="a", attempts=0),\n    Task("B ${x}", id="b"),\n)\n'
    )
    yaml = "stretto: 1\ntasks:\n  a: {prompt: A, attempts: 0}\n  b: {prompt: 'B ${x}'}\n"

    _, in_yaml = compile_plan(read_yaml(yaml, "plan.yaml"), source="plan.yaml")
    _, in_python = compile_plan(read_python(path), source=str(path))

    slugs = {finding.slug for finding in in_yaml}
    assert slugs == {finding.slug for finding in in_python}
    assert slugs
    assert {finding.at.rsplit(":", 2)[1] for finding in in_python} <= {"3", "4"}
