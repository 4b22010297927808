"""The compiler: every mistake at its place with what to do, all at once, and the plan that is meant."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.models import BUILTIN, ModelInfo
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Group, Input, Plan, Quorum, Task, plan_from_data, to_data
from stretto.spec.compile import compile_plan
from stretto.spec.fields import TABLES
from stretto.spec.planner import models_for, schema_for
from stretto.spec.raw import Raw, plain, wrap
from stretto.spec.roles import Roles
from stretto.spec.values import READERS, time_s
from stretto.spec.yaml import read_yaml

AUDIT = """\
stretto: 1
name: audit
inputs: {repo: {type: path, default: "."}}
limits: {usd: 5.00, time: 30m, parallel: 8, slots: {local: 1, messages/claude-haiku-5-5: 4}}
x-notes: [free, {as: you like}]
tasks:
  list:  {run: [git, ls-files, "*.py"], output: lines}
  files:
    each: "${list}"
    as: file
    max: 500
    tolerate: 5%
    order: serial
    tasks:
      scan:
        {prompt: "List risky calls in ${file}", model: haiku, reads: ["${file}"], output: {calls: [string]}}
      judge: {prompt: "Which of ${scan.calls} are real?", model: auto, check: "audit:has_lines"}
  merge: {reduce: "${files}", fan_in: 20, prompt: "Merge, keep file and line", model: sonnet}
"""


def compiled(text: str, **more: Any) -> tuple[Plan | None, list[Finding]]:
    raw = read_yaml(text, "p.yaml")
    return compile_plan(raw, source="p.yaml", text=text, **more)


def plan_of(body: str, **more: Any) -> Plan:
    plan, findings = compiled(f"stretto: 1\n{body}", **more)
    assert {f.slug for f in findings} <= {"not-supported"}
    assert plan is not None
    return plan


def part_of(fields: str) -> Any:
    """The one part of a plan, written as a flow mapping."""
    return plan_of(f"tasks: {{a: {{{fields}}}}}\n").tasks[0]


def test_the_plan_of_the_design() -> None:
    plan, findings = compiled(AUDIT)
    assert findings == []
    assert plan is not None
    assert plan.name == "audit"
    assert plan.inputs == {"repo": Input(type="path", default=".")}
    assert plan.limits.usd_nusd == 5_000_000_000
    assert plan.limits.time_s == 1800
    assert plan.limits.slots == {"local": 1, "messages/claude-haiku-5-5": 4}
    files = plan.tasks[1]
    assert isinstance(files, Group)
    assert files.quorum == Quorum(tolerate_share=0.05)
    assert files.tasks[1].needs == ("scan",)
    assert plan.places["files.scan"] == "p.yaml:15:7"
    assert build(plan).problems == []
    assert plan_from_data(json.loads(json.dumps(to_data(plan)))) == plan


def test_every_key_is_read() -> None:
    task = part_of(
        'prompt: Go, model: {from: haiku, to: opus}, effort: low, on: "openai:http://h:1", agent: Plan,'
        " tools: [read, list], output: json, attempts: 2, timeout: 1h30m, idle: 90, turns: 3,"
        ' usd: "$0.25", reads: [src/*.py], writes: [out.md], env: [HOME], optional: true, reuse: never,'
        " expect: {usd: 0.10, time: 2m, tokens: 900, strongest: {usd: 1.5, time: 500ms}}"
    )
    assert (task.model, task.climb_to, task.effort, task.role) == ("haiku", "opus", "low", "Plan")
    assert (task.timeout_s, task.idle_s, task.usd_cap_nusd) == (5400.0, 90.0, 250_000_000)
    assert (task.reads, task.writes, task.env, task.tools) == (
        ("src/*.py",),
        ("out.md",),
        ("HOME",),
        ("read", "list"),
    )
    assert task.expect.nusd == 100_000_000
    assert (task.expect.strongest_nusd, task.expect.strongest_time_s) == (1_500_000_000, 0.5)
    task = part_of('call: "audit:sizes", args: {of: [1, "x"]}, pure: true')
    assert (task.args, task.pure) == ({"of": [1, "x"]}, True)


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ("check: [pytest, -q]", ("run", ("pytest", "-q"))),
        ('check: "audit:has_lines"', ("call", "audit:has_lines")),
        ("check: {prompt: Is it good?, model: opus}", ("prompt", "Is it good?")),
        ("check: {run: [make, test]}", ("run", ("make", "test"))),
    ],
)
def test_checks(fields: str, check: tuple[str, Any]) -> None:
    task = part_of(f"prompt: Go, {fields}")
    assert getattr(task.check, check[0]) == check[1]


@pytest.mark.parametrize(
    ("written", "kind", "schema"),
    [
        ("text", "text", None),
        ("string", "text", None),
        ("lines", "lines", None),
        ("json", "json", None),
        ("int", "json", {"type": "integer"}),
        ("[string]", "json", {"type": "array", "items": {"type": "string"}}),
        ("{type: string, minLength: 3}", "json", {"type": "string", "minLength": 3}),
    ],
)
def test_outputs(written: str, kind: str, schema: Any) -> None:
    output = part_of(f"prompt: Go, output: {written}").output
    assert (output.kind, output.schema) == (kind, schema)


def test_quorums() -> None:
    group = part_of("min_ok: {count: 2, then: cancel}, tolerate: 1, tasks: {x: {prompt: X}, y: {prompt: Y}}")
    assert group.quorum == Quorum(tolerate=1, min_ok=2, cancel_rest=True)
    assert part_of("each: [1, 2], min_ok: 2, prompt: X").quorum == Quorum(min_ok=2)


def test_serial_members_need_the_one_before() -> None:
    group = part_of(
        "order: serial, tasks: {x: {prompt: X}, y: {prompt: Y, after: [x]},"
        " z: {prompt: Z, needs: [y]}, w: {prompt: W}}"
    )
    assert [(t.needs, t.after) for t in group.tasks] == [((), ()), ((), ("x",)), (("y",), ()), (("z",), ())]


HARMLESS = [role.name for role in Roles().safe()]


def test_a_planner_becomes_a_group_of_itself_and_its_plan() -> None:
    plan = plan_of(
        "tasks: {first: {prompt: A}, p: {prompt: Plan it, grow: plan, needs: [first], model: opus}}\n"
    )
    group = plan.tasks[1]
    assert isinstance(group, Group)
    planner, grown = group.tasks
    assert isinstance(planner, Task)
    assert isinstance(grown, Group)
    assert (planner.id, planner.grow, planner.needs, planner.model) == ("plan", True, (), "opus")
    assert planner.output is not None
    assert planner.output.schema == schema_for(None, models_for(planner, BUILTIN), HARMLESS)
    assert (grown.id, grown.tasks, grown.after, grown.needs) == ("grown", (), ("plan",), ())
    assert group.needs == ("first",)
    graph = build(plan)
    assert graph.problems == []
    assert [sink.path for sink in graph.elements["p"].sinks] == ["p.grown"]


def test_one_reduction_per_item_is_a_group() -> None:
    task = '{each: [[1, 2], [3]], as: part, reduce: "${part}", prompt: Merge, needs: [b]}'
    group = plan_of(f"tasks: {{a: {task}, b: {{prompt: B}}}}\n").tasks[0]
    assert isinstance(group, Group)
    assert group.each is not None
    assert group.needs == ("b",)
    inner = group.tasks[0]
    assert isinstance(inner, Task)
    assert (inner.id, inner.reduce, inner.each) == ("reduce", "${part}", None)


BAD: list[tuple[str, str, str, str, str]] = [
    # fields of the task `a` (from line 3, column 7 on), slug, line:col, part of the message, part of the fix
    ("promt: Go", "unknown-key", "3:7", "no key `promt`", "did you mean 'prompt'"),
    ("promt: Go", "no-action", "3:6", "'a' does nothing", "prompt, run, call"),
    ("prompt: Go, order: serial", "unknown-key", "3:19", "`order` belongs to a group", "remove"),
    ("tasks: {b: {prompt: B}}, model: opus", "unknown-key", "3:32", "`model` belongs to a task", "remove"),
    ("prompt: Go, run: [ls]", "two-actions", "3:19", "prompt and run", "two tasks"),
    ("prompt: Go, tasks: {b: {prompt: B}}", "two-actions", "3:7", "is a group", "make it a task"),
    ('reduce: "${b}"', "no-action", "3:6", "how two values are merged", "prompt"),
    ("prompt: 5", "wrong-type", "3:15", "a text, not the number 5", "quotes"),
    ("prompt: ''", "wrong-value", "3:15", "empty", "leave the key out"),
    ("prompt: null", "wrong-type", "3:15", "not nothing", ""),
    ("run: ls -la 'my dir'", "wrong-type", "3:12", "a list of arguments", '["ls", "-la", "my dir"]'),
    ("run: ls | wc", "wrong-type", "3:12", "a list of arguments", '[sh, -c, "ls | wc"]'),
    ("run: [head, -n, 5]", "wrong-type", "3:23", "not the number 5", 'quotes around it: "5"'),
    ("run: []", "wrong-type", "3:12", "an empty list", "command"),
    ("call: sizes", "wrong-value", "3:13", "module:name", ""),
    ("call: 'audit.py:x y'", "wrong-value", "3:13", "module:name", ""),
    ("prompt: Go, model: hiku", "unknown-model", "3:26", "hiku", "haiku"),
    ("prompt: Go, model: {from: opus, to: haiku}", "wrong-value", "3:26", "not above opus", "haiku, sonnet"),
    ("prompt: Go, model: {from: opus}", "missing-key", "3:26", "to is missing", "{from: haiku, to: opus}"),
    ("prompt: Go, on: mesages", "no-such-agent", "3:23", "mesages", "'messages'"),
    ("prompt: Go, on: clause", "no-such-agent", "3:23", "no agent 'clause'", "claude"),
    ("prompt: Go, on: command", "wrong-value", "3:23", "cannot carry out `prompt`", "remove"),
    ("run: [ls], on: messages", "wrong-value", "3:22", "cannot carry out `run`", "remove"),
    ("prompt: Go, effort: hgh", "wrong-value", "3:27", "low, medium", "'high'"),
    ("prompt: Go, optional: yes", "wrong-type", "3:29", "true or false", "YAML 1.2"),
    ("prompt: Go, timeout: 5 fortnights", "wrong-value", "3:28", "30m", ""),
    ("prompt: Go, timeout: 0", "wrong-value", "3:28", "more than 0", ""),
    ("prompt: Go, timeout: [1]", "wrong-type", "3:28", "30m", ""),
    ("prompt: Go, usd: cheap", "wrong-value", "3:24", "US dollars", ""),
    ("prompt: Go, usd: -1", "wrong-value", "3:24", "US dollars", ""),
    ("prompt: Go, usd: .inf", "wrong-value", "3:24", "US dollars", ""),
    ("prompt: Go, attempts: 0", "wrong-value", "3:29", "at least 1", ""),
    ("prompt: Go, attempts: 2.5", "wrong-type", "3:29", "a whole number", ""),
    ("prompt: Go, attempts: true", "wrong-type", "3:29", "not true", ""),
    ("prompt: Go, needs: b", "wrong-type", "3:26", "a list of ids", "needs: [b]"),
    ('prompt: Go, needs: ["${b}"]', "wrong-value", "3:27", "is none", "write b"),
    ("prompt: Go, needs: [bb]", "unknown-need", "3:27", "'bb'", "'b'"),
    ("prompt: Go, needs: [a]", "cycle", "3:27", "needs itself", "remove"),
    ("prompt: Go, needs: [b.x]", "unknown-need", "3:27", "'x'", ""),
    ('prompt: "Look at ${bb}"', "unknown-reference", "3:24", "${bb} refers to", "b"),
    ('prompt: "Look at ${B}"', "bad-reference", "3:24", "${B} is not a reference", "$${"),
    ('prompt: "Look at ${b"', "bad-reference", "3:24", "is not a reference", "$${"),
    (
        'prompt: "Look at ${b.x}"',
        "bad-reference",
        "3:24",
        "'b' is a text and has no fields",
        "output: {x: string}",
    ),
    ('call: "m:f", args: {x: ["${bb}"]}', "unknown-reference", "3:32", "bb", ""),
    ('each: "${b}", prompt: Go', "not-a-list", "3:14", "${b} is none", "output: lines"),
    ('reduce: "${b}", prompt: Go', "not-a-list", "3:16", "${b} is none", "output: lines"),
    ('each: "src/*.py", prompt: Go', "not-a-list", "3:13", "one reference", '"${task}"'),
    ("each: {x: 1}, prompt: Go", "not-a-list", "3:13", "a mapping", "[a, b]"),
    ("each: [1, 2, 3], max: 2, prompt: Go", "too-many-items", "3:13", "3 entries", "max: 3"),
    ("each: [1, 2], min_ok: 3, prompt: Go", "wrong-value", "3:29", "3 of 2 members", ""),
    ("min_ok: 3, tasks: {b: {prompt: B}}", "wrong-value", "3:15", "3 of 1 members", ""),
    ("prompt: Go, max: 5", "no-effect", "3:19", "`max` has no effect", "each"),
    ("prompt: Go, args: {x: 1}", "no-effect", "3:19", "`args` has no effect", "call"),
    ("prompt: Go, tolerate: 5%", "no-effect", "3:19", "neither", "optional"),
    ("each: [1], tolerate: 0.05, prompt: Go", "wrong-value", "3:28", "a percentage", '"5%"'),
    ("each: [1], tolerate: 500%, prompt: Go", "wrong-value", "3:28", "100%", ""),
    ("prompt: Go, output: txt", "bad-output", "3:27", "'txt' is no type", "'text'"),
    ("prompt: Go, output: {a: strnig}", "bad-output", "3:27", "a: 'strnig' is no type", "short form"),
    ("prompt: Go, output: {type: object, propertees: {}}", "bad-output", "3:27", "propertees", ""),
    ("prompt: Go, check: pytest -q", "wrong-type", "3:26", "a list", '["pytest", "-q"]'),
    ("prompt: Go, check: {model: opus}", "no-action", "3:26", "exactly one", ""),
    ("prompt: Go, check: {prompt: X, modle: opus}", "unknown-key", "3:38", "modle", "'model'"),
    ("prompt: Go, check: {prompt: X, model: opsu}", "unknown-model", "3:45", "opsu", "opus"),
    ("prompt: Go, reads: [../x]", "outside-root", "3:27", "../x", "relative"),
    ("prompt: Go, reads: [a/../../x]", "outside-root", "3:27", "a/../../x", "relative"),
    ("prompt: Go, writes: [/etc/passwd]", "outside-root", "3:28", "/etc/passwd", "relative"),
    ('prompt: Go, writes: ["C:\\\\x"]', "outside-root", "3:28", "C:", "relative"),
    ("prompt: Go, env: [A B]", "wrong-value", "3:25", "A B", ""),
    ("call: m:f, isolation: worktree", "not-supported", "3:29", "runs in this process", "remove"),
    ("merge: {check: [make]}, tasks: {b: {prompt: B}}", "no-effect", "3:7", "no task of this group", "isol"),
    (
        "min_ok: 1, merge: {check: [make]}, tasks: {b: {prompt: B, isolation: worktree}}",
        *("not-supported", "3:18", "beside `tolerate` or `min_ok`", "optional"),
    ),
    ("prompt: Go, grow: plan, output: text", "two-actions", "3:31", "`output`", "remove"),
    ("prompt: Go, agent: Plan, role: Explore", "unknown-key", "3:32", "says the same", "role"),
    ("tasks: {}", "missing-key", "3:14", "empty", "scan"),
    ("tasks: [b]", "wrong-type", "3:14", "a list", "scan"),
    ("each: [1], as: b, tasks: {b: {prompt: B}}", "duplicate-id", "3:22", "of the item", "as"),
    ('prompt: "\\0"', "control-character", "3:15", "null character", "remove"),
]


@pytest.mark.parametrize(("fields", "slug", "place", "message", "fix"), BAD)
def test_mistakes(fields: str, slug: str, place: str, message: str, fix: str) -> None:
    plan, findings = compiled(f"stretto: 1\ntasks:\n  a: {{{fields}}}\n  b: {{prompt: B}}\n")
    assert plan is None
    found = [f for f in findings if f.slug == slug]
    assert found, findings
    assert found[0].at == f"p.yaml:{place}"
    assert message in found[0].message
    assert fix in found[0].fix
    assert found[0].tasks == ("a",)
    assert all(f.severity == "error" or f.slug == "not-supported" for f in findings)


PLAN_BAD = [
    ("tasks: {a: {prompt: A}}\n", "missing-key", "1:1", "`stretto`"),
    ("stretto: 2\ntasks: {a: {prompt: A}}\n", "wrong-version", "1:10", "number 2"),
    ("stretto: true\ntasks: {a: {prompt: A}}\n", "wrong-version", "1:10", "true"),
    ("stretto: 1\n", "missing-key", "1:1", "no tasks"),
    ("stretto: 1\ntask: {}\n", "unknown-key", "2:1", "`task`"),
    ("[stretto, 1]\n", "wrong-type", "1:1", "a list"),
    ("stretto: 1\nlimits: {usd: 5, tmie: 3m}\ntasks: {a: {prompt: A}}\n", "unknown-key", "2:18", "`tmie`"),
    ("stretto: 1\nlimits: {slots: {locl: 1}}\ntasks: {a: {prompt: A}}\n", "no-such-agent", "2:18", "'locl'"),
    ("stretto: 1\ntasks: {A b: {prompt: A}}\n", "bad-id", "2:9", "'A b'"),
    ("stretto: 1\ntasks: {a: hello}\n", "wrong-type", "2:12", "a mapping"),
    ("stretto: 1\ninputs: {a: {}}\ntasks: {a: {prompt: A}}\n", "duplicate-id", "2:10", "an input and a task"),
    (
        "stretto: 1\ninputs: {b: {type: int, default: x}}\ntasks: {a: {prompt: A}}\n",
        "wrong-type",
        "2:34",
        "int",
    ),
    (
        "stretto: 1\ninputs: {b: {type: path, default: ../x}}\ntasks: {a: {prompt: A}}\n",
        "outside-root",
        "2:35",
        "../x",
    ),
    (
        "stretto: 1\ninputs: {b: {type: strng}}\ntasks: {a: {prompt: A}}\n",
        "wrong-value",
        "2:20",
        "strng",
    ),
    (
        "stretto: 1\nbaselines: {opus: {usd: x}}\ntasks: {a: {prompt: A}}\n",
        "wrong-value",
        "2:25",
        "US dollars",
    ),
]


@pytest.mark.parametrize(("text", "slug", "place", "message"), PLAN_BAD)
def test_mistakes_of_the_plan(text: str, slug: str, place: str, message: str) -> None:
    plan, findings = compiled(text)
    assert plan is None
    assert [(f.slug, f.at) for f in findings if message in f.message] == [(slug, f"p.yaml:{place}")]


def test_a_thousand_mistakes_are_all_said_in_order() -> None:
    lines = [f"  t{i}: {{promt: X, needs: [nope{i}]}}" for i in range(500)]
    started = time.process_time()
    _, findings = compiled("stretto: 1\ntasks:\n" + "\n".join(lines) + "\n")
    assert len(findings) == 1500
    numbers = [int(f.at.split(":")[1]) for f in findings]
    assert numbers == sorted(numbers)
    assert time.process_time() - started < 5


def test_ten_thousand_tasks() -> None:
    lines = ["stretto: 1", "tasks:"]
    for i in range(10_000):
        lines.append(f"  t{i}:\n    prompt: 'Look at number {i} of the list and say why'\n    model: haiku")
        lines.append(f"    needs: [t{i - 1}]" if i % 50 else "    timeout: 30m")
    text = "\n".join(lines)
    started = time.process_time()
    plan, findings = compiled(text)
    took = time.process_time() - started
    assert findings == []
    assert plan is not None
    assert len(plan.tasks) == 10_000
    # 0.5 s on an idle core; the bound leaves room for slow machines, not for something quadratic.
    assert took < 5


def test_a_model_of_its_own_server_is_taken_as_given() -> None:
    plan_of("tasks: {a: {prompt: A, on: 'openai:http://localhost:1', model: llama3}}\n")
    plan_of("tasks: {a: {prompt: A, model: llama3}}\n", on="local")
    _, findings = compiled("stretto: 1\ntasks: {a: {prompt: A, model: x}, b: {prompt: B, model: x}}\n")
    assert [(f.slug, f.at) for f in findings] == [("unknown-model", f"p.yaml:2:{c}") for c in (31, 57)]


def test_a_users_own_models_and_tiers_are_known_where_their_catalogue_is() -> None:
    own = replace(
        BUILTIN,
        models=(*BUILTIN.models, ModelInfo("Qwen3:8b", "small")),
        aliases={"fast": "small"},
        order=("small", *BUILTIN.tiers),
    )
    text = (
        "stretto: 1\ntasks: {a: {prompt: A, model: fast}, b: {prompt: B, model: {from: small, to: haiku}}}\n"
    )
    assert compiled(text, catalogue=own)[1] == []
    assert [f.slug for f in compiled(text)[1]] == ["unknown-model", "unknown-model"]
    upside_down = text.replace("from: small, to: haiku", "from: haiku, to: small")
    assert [f.slug for f in compiled(upside_down, catalogue=own)[1]] == ["wrong-value"]


PIECES = [
    *("a", "b", "tasks", "prompt", "run", "call", "each", "reduce", "needs", "output", "check", "model"),
    *(
        "expect",
        "limits",
        "tolerate",
        "min_ok",
        "grow",
        "order",
        "${a}",
        "${a.b}",
        "${item}",
        "5%",
        "30m",
        "1",
    ),
    *(
        "true",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        '"',
        "&x ",
        "*x",
        "<<",
        "!!int ",
        "# ",
        ".",
    ),
]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_mutilated_plans_never_raise_anything_else(data: st.DataObject) -> None:
    text = AUDIT
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + " ".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=3))) + text[end:]
    try:
        plan, findings = compiled(text)
    except StrettoError as error:
        assert error.at.startswith("p.yaml")
    else:
        assert (plan is None) == any(f.severity == "error" for f in findings)
        assert all(f.at.startswith("p.yaml:") for f in findings)


# Tables and values


def test_every_type_of_the_tables_has_a_reader() -> None:
    table_types = {"table", "tables", "parts", "check", "model", "quorum", "reasons", "growth"}
    for table in TABLES.values():
        for field in table.values():
            assert field.type in READERS or field.type in table_types
            assert field.says.endswith(".")
            assert not field.of or field.of in TABLES


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30m", 1800), ("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), (90, 90), (0.5, 0.5)],
)
def test_times(written: Any, seconds: float) -> None:
    assert time_s(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "m", "30", "30x", "1m1h", "-5s", -1, True, None, float("nan"), "1.2.3s"]
)
def test_no_times(written: Any) -> None:
    assert time_s(written) is None


def test_money_is_exact() -> None:
    for written, nusd in (("0.1", 10**8), ('"$5"', 5 * 10**9), (".000000001", 1), ("none", None), ("0", 0)):
        plan = plan_of(f"limits: {{usd: {written}}}\ntasks: {{a: {{prompt: A}}}}\n")
        assert plan.limits.usd_nusd == nusd


def test_wrap_and_plain() -> None:
    data = {"a": [1, {"b": None}], "c": "x"}
    raw = wrap({"a": (1, {"b": None}), "c": Raw("x", "there")}, "here")
    assert plain(raw) == data
    assert raw.value["c"].at == "there"
    assert raw.keys == {"a": "here", "c": "here"}
