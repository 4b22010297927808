"""What a role does in a plan: compiled, priced, sent, kept, resumed, and left out where it has no place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import Result, Work
from stretto.lint import criticise
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.facts import facts_of
from stretto.models.history import History
from stretto.models.windows import BYTES_PER_TOKEN
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task, plan_from_data, plan_text
from stretto.plan.role import NOTHING, Role
from stretto.run import NO_CAP
from stretto.spec.builtin_roles import BUILT_IN
from stretto.spec.compile import compile_plan
from stretto.spec.load import load_all
from stretto.spec.roles import FOLDER, Roles, read_roles
from stretto.spec.yaml import read_yaml
from tests.driving import Project
from tests.fakeapi import FakeApi
from tests.stage import Actor, Stage

OWN = Role(name="own", instructions="You are our own.", tools=("Read", "Edit", "Bash"), model="opus")
BOSS = Role(name="boss", instructions="You lead.", tools=("Task", "Read"), agents=("*",))
PAIR = Role(name="pair", instructions="You pair.", tools=("Agent(own, Nobody)",), agents=("own", "Nobody"))
ROLES = Roles((), {**BUILT_IN, **{role.name: role for role in (OWN, BOSS, PAIR)}})


def compiled(tasks: str, **more: Any) -> tuple[Plan, list[Finding]]:
    text = f"stretto: 1\nname: test\ntasks:\n  {tasks}\n"
    plan, findings = compile_plan(read_yaml(text, "p.yaml"), source="p.yaml", **{"roles": ROLES, **more})
    assert plan is not None, findings
    return plan, findings


def the_task(tasks: str, **more: Any) -> Task:
    plan, _ = compiled(tasks, **more)
    task = plan.tasks[0]
    assert isinstance(task, Task)
    return task


def slugs(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.slug, finding.severity) for finding in findings]


# Compiled


@pytest.mark.parametrize(
    ("keys", "model", "tools"),
    [
        ("role: Explore", "haiku", ("read", "search", "list")),
        ("agent: Plan", "opus", ("read", "search", "list")),
        ("subagent_type: explore, model: opus", "opus", ("read", "search", "list")),
        ("role: Explore, model: auto", "auto", ("read", "search", "list")),
        ("role: Audit, tools: [search]", "sonnet", ("search",)),
        ("role: general-purpose", "auto", ()),
        ("role: general-purpose, tools: [list]", "auto", ("list",)),
        ("role: own", "opus", ("read",)),
        ("role: own, on: claude", "opus", ("Read", "Edit", "Bash")),
        ("role: own, on: claude, tools: [read]", "opus", ("Read",)),
        ("role: own, on: claude, tools: [list]", "opus", NOTHING),
        ("role: own, on: 'openai:http://127.0.0.1:9/v1'", "auto", ("read",)),
        ("role: own, on: local", "auto", ("read",)),
        ("role: nobody", "auto", ()),
    ],
)
def test_a_task_takes_what_its_role_brings(keys: str, model: str, tools: tuple[str, ...]) -> None:
    task = the_task(f"a: {{prompt: Go, {keys}}}")
    assert (task.model, task.tools) == (model, tools)


def test_who_nobody_knows_is_a_warning_with_what_was_meant() -> None:
    plan, findings = compiled("a: {prompt: Go, subagent_type: Explorer}")
    (finding,) = findings
    assert (finding.slug, finding.severity, finding.tasks) == ("unknown-role", "warning", ("a",))
    assert finding.at == "p.yaml:4:34" and finding.fix == "did you mean 'Explore'?"
    assert plan.roles == {}


def test_bare_tasks_name_whoever_they_like(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text('Task("Go", subagent_type="synthesizer")\n')
    (loaded,) = load_all(tmp_path / "tasks.py")
    assert [(f.slug, f.severity) for f in loaded.findings] == [("unknown-role", "info")]


def test_a_model_that_nobody_knows_is_auto() -> None:
    odd = Roles((), {"odd": Role(name="odd", model="Claude Sonnet 4.5", tools=())})
    plan, findings = compiled("a: {prompt: Go, role: odd}", roles=odd)
    assert slugs(findings) == [("role-model", "info")]
    assert isinstance(plan.tasks[0], Task) and plan.tasks[0].model == "auto"


def test_tools_that_an_api_does_not_have_are_said_once() -> None:
    tasks = [f"{id}: {{prompt: Go, role: {name}}}" for id, name in (("a", "own"), ("b", "Fix"), ("c", "own"))]
    _, findings = compiled("\n  ".join(tasks))
    (finding,) = findings
    assert (finding.slug, finding.severity, finding.tasks) == ("role-tools", "info", ("a", "b", "c"))
    assert "'Fix' (Edit, Write, Bash), 'own' (Edit, Bash)" in finding.message
    for on in ("claude", "simulated"):
        assert compiled("a: {prompt: Go, role: own}", on=on)[1] == []


def test_nothing_left_of_the_tools_is_a_warning() -> None:
    _, findings = compiled("a: {prompt: Go, role: own, tools: [list]}", on="claude")
    assert slugs(findings) == [("role-tools", "warning")]


def test_the_documents_words_are_built_in() -> None:
    for name in ("Plan", "Explore", "general-purpose"):
        assert compiled(f"a: {{prompt: Go, model: haiku, subagent_type: {name}}}")[1] == []


def test_a_plan_keeps_the_roles_that_it_needs() -> None:
    tasks = [f"{name}: {{prompt: Go, role: {name}}}" for name in ("own", "boss", "pair")]
    plan, _ = compiled("\n  ".join(tasks))
    assert list(plan.roles) == ["Explore", "Plan", "boss", "general-purpose", "own", "pair"]
    assert plan.roles["boss"].agents == ("general-purpose", "Explore", "Plan")
    assert plan.roles["pair"].agents == ("own",)
    assert plan_from_data(json.loads(plan_text(plan))) == plan
    assert compiled("a: {prompt: Go}")[0].roles == {}


def test_commands_have_no_role() -> None:
    task = the_task("a: {run: [ls], role: own}")
    assert (task.model, task.tools) == ("auto", ())


# Priced and judged


def test_instructions_count_in_the_estimate() -> None:
    plan, _ = compiled("a: {prompt: Go, role: own, model: haiku}\n  b: {prompt: Go, model: haiku}")
    graph = build(plan)

    def tokens(path: str) -> int:
        return facts_of(graph.elements[path], "test", "messages", BUILTIN, roles=plan.roles).input_tokens

    assert tokens("a") - tokens("b") == -(-len(OWN.instructions) // BYTES_PER_TOKEN)


def test_a_role_larger_than_its_model_is_found() -> None:
    large = Roles((), {"large": Role(name="large", instructions="word " * 300_000)})
    _, findings = compiled("a: {prompt: Go, role: large, model: claude-haiku-4-5}", roles=large)
    assert [finding.slug for finding in findings] == ["cannot-fit"]
    assert "its role" in findings[0].message


def critic(tasks: str) -> list[Finding]:
    plan, _ = compiled(tasks, on="claude")
    found = criticise(plan, Chooser(BUILTIN, History()), on="claude")
    return [finding for finding in found if finding.slug in ("trusts-agent", "unused-rights")]


def test_who_is_trusted_with_the_users_rights_is_said() -> None:
    found = critic(
        "a: {prompt: Go, role: own, writes: [x]}\n  b: {prompt: Go, role: own, writes: [y]}\n"
        "  c: {prompt: Go, role: Audit}\n  d: {prompt: Go, role: own, on: messages}"
    )
    assert [(f.slug, f.severity, f.tasks) for f in found] == [("trusts-agent", "info", ("a", "b"))]
    assert "lists Bash" in found[0].message and "your rights" in found[0].message


def test_who_may_start_somebody_trusted_is_said_too() -> None:
    (found,) = critic("a: {prompt: Go, role: pair}")
    assert found.slug == "trusts-agent" and "may start 'own'" in found.message
    assert critic("a: {prompt: Go, role: boss}") == []


def test_who_may_trust_somebody_later_is_said() -> None:
    found = critic("a: {prompt: Go, grow: {roles: [own]}}\n  b: {prompt: Go, grow: plan}")
    assert [f.tasks for f in found if f.slug == "trusts-agent"] == [("a.plan",)]


def test_rights_without_writes_are_said() -> None:
    found = critic("a: {prompt: Go, role: own}\n  b: {prompt: Go, role: own, writes: [x]}")
    assert [(f.slug, f.tasks) for f in found] == [("trusts-agent", ("a", "b")), ("unused-rights", ("a",))]


# Planners


def test_a_planners_plan_names_the_roles_that_the_plan_has() -> None:
    plan, _ = compiled("a: {prompt: Go, role: own}\n  p: {prompt: Plan it, grow: plan}")
    assert plan.roles.keys() == {"own", *BUILT_IN} - {"Fix"}, "nothing with Bash that no author named"
    named, _ = compiled("p: {prompt: Plan it, grow: {roles: [Fix]}}")
    assert named.roles.keys() == BUILT_IN.keys()
    given, _ = compiled("p: {prompt: Plan it, grow: {role: own}}")
    assert "own" in given.roles


def test_only_so_many_roles_wait_for_a_planner() -> None:
    many = Roles((), {f"r{n}": Role(name=f"r{n}", instructions="x" * 20_000) for n in range(200)})
    plan, _ = compiled("p: {prompt: Plan it, grow: plan}", roles=many)
    assert list(plan.roles) == sorted(f"r{n}" for n in range(50)), "a million characters"
    small = Roles((), {f"r{n}": Role(name=f"r{n}") for n in range(200)})
    assert len(compiled("p: {prompt: Plan it, grow: plan}", roles=small)[0].roles) == 100


def test_a_planner_may_name_no_other() -> None:
    raw = read_yaml("{stretto: 1, tasks: [{id: t, prompt: Go, role: Fix}]}", "answer")
    plan, findings = compile_plan(raw, source="answer", safe=True, roles=ROLES.only([BUILT_IN["Audit"]]))
    assert plan is None
    (finding,) = findings
    assert (finding.slug, finding.severity) == ("unknown-role", "error") and "Audit" in finding.fix


# Sent and kept


def seen_of(stage: Stage) -> dict[str, Work]:
    return {work.task: work for work in stage.actor.seen if work.role == "work"}


def test_the_agent_is_told_and_no_judge_is() -> None:
    plan, _ = compiled(
        "a: {prompt: Go, role: own, check: {prompt: Is it right?}, attempts: 1}\n"
        "  b: {prompt: Go, role: boss}\n  c: {prompt: Go, role: nobody}"
    )
    stage = Stage(Actor(lambda work: {"pass": True, "findings": []} if work.role == "check" else "fine"))
    stage.run(plan)
    work = seen_of(stage)
    assert work["a"].system == "You are our own." and work["a"].tools == ("read",)
    assert [role.name for role in work["b"].agents] == ["general-purpose", "Explore", "Plan"]
    assert work["c"].system == "" and work["c"].agents == ()
    (judge,) = (work for work in stage.actor.seen if work.role == "check")
    assert "own" not in judge.system and judge.tools == () and judge.agents == ()


def test_whoever_judges_again_only_looks() -> None:
    keys = "role: own, on: claude, writes: [pyproject.toml], model: haiku, check: 'm:good', attempts: 1"
    plan, _ = compiled(f"a: {{prompt: Go, {keys}}}")
    said = {"work": "fine", "check": True, "shadow": {"pass": True, "findings": []}}
    actor = Actor(lambda work: said[work.role], cost_nusd=1, bound_nusd=1)
    Stage(actor, claude=actor).run(plan, on="claude", shadow=1.0, cap_nusd=NO_CAP)
    done, _, judged = actor.seen
    assert (done.role, done.tools, done.writes) == ("work", ("Read", "Edit", "Bash"), True)
    assert (judged.role, judged.tools, judged.writes) == ("shadow", ("Read",), False)
    assert "our own" in done.system and "our own" not in judged.system


def test_the_key_knows_what_a_role_says_and_not_its_name() -> None:
    def keys(role: Role) -> str:
        stage = Stage(Actor(lambda work: "fine"))
        plan, _ = compiled(f"a: {{prompt: Go, role: {role.name}, model: haiku}}", roles=ROLES.only([role]))
        outcome = stage.run(plan)
        return outcome.state.vertices["a"].key  # type: ignore[union-attr]

    one = Role(name="one", instructions="Be kind.")
    assert keys(one) == keys(Role(name="two", instructions="Be kind.", description="other words"))
    assert keys(one) != keys(Role(name="one", instructions="Be strict."))
    assert keys(one) != keys(Role(name="one", instructions="Be kind.", tools=("Read",)))


def test_a_resumed_run_has_the_role_of_its_start(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "kind.md"
    path.parent.mkdir(parents=True)
    path.write_text("---\nname: kind\n---\nBe kind.\n")
    plan, _ = compiled("a: {prompt: Go, role: kind}", roles=read_roles(tmp_path, tmp_path))
    answers = iter([Result("error", error="no more", cls="run", why="quota"), "fine"])
    stage = Stage(Actor(lambda work: next(answers)))
    assert stage.run(plan).status == "paused"
    path.unlink()
    assert stage.resume().status == "succeeded"
    assert [work.system for work in stage.actor.seen] == ["Be kind.", "Be kind."]


# On the command line

PLAN = """\
stretto: 1
name: p
limits: {usd: 1}
tasks:
  a: {prompt: List the files, role: kind, attempts: 2}
"""


def project(tmp_path: Path) -> Project:
    (tmp_path / "home").mkdir()
    for base, who in (("work", "project"), ("home", "user")):
        folder = tmp_path / base / FOLDER
        folder.mkdir(parents=True)
        (folder / f"{who}.md").write_text(
            f"---\nname: of-{who}\ntools: Read, Bash\n---\nYou are of the {who}.\n"
        )
    (tmp_path / "work" / FOLDER / "kind.md").write_text(
        "---\nname: kind\ndescription: Be kind: always.\nmodel: haiku\npriority: 1\n---\nBe kind.\n"
    )
    return Project(tmp_path / "work", PLAN)


def test_roles_are_listed(tmp_path: Path) -> None:
    stretto, env = project(tmp_path), {"HOME": str(tmp_path / "home")}
    rows = stretto("roles", env=env)
    assert rows.code == 0
    assert (
        "kind  (haiku; tools: as the task says; .claude/agents/kind.md)\n    Be kind: always.\n" in rows.out
    )
    assert f"of-user  (any model; tools: Read, Bash; {tmp_path}/home/.claude/agents/user.md)" in rows.out
    assert rows.out.startswith("Audit  (sonnet; tools: Read, Grep, Glob; built in)\n")
    assert rows.err.count("[role-file]") == 1 and "read line by line" in rows.err
    told = stretto("roles", "--json", env=env).json
    assert told["schema"] == "stretto/roles/1"
    by_name = {entry["name"]: entry for entry in told["roles"]}
    assert by_name.keys() == {*BUILT_IN, "kind", "of-user", "of-project"}
    assert by_name["Explore"]["source"] is None and by_name["kind"]["tools"] is None
    assert [finding["slug"] for finding in told["findings"]] == ["role-file"]


def test_every_command_reads_the_projects_roles(tmp_path: Path) -> None:
    stretto, env = project(tmp_path), {"HOME": str(tmp_path / "home")}
    checked = stretto("check", "plan.yaml", "--json", env=env)
    assert checked.code == 0, checked.out
    assert stretto("run", "plan.yaml", "--on", "simulated:latency=0", env=env).code == 0
    assert stretto("estimate", "plan.yaml", "--lock", "--on", "simulated", env=env).code == 0
    (tmp_path / "work" / FOLDER / "kind.md").unlink()
    unknown = stretto("check", "plan.yaml", "--json", env=env).json["findings"]
    assert "unknown-role" in [finding["slug"] for finding in unknown]
    lock = json.loads((tmp_path / "work" / "plan.lock.json").read_text())
    assert lock["plan"]["roles"]["kind"]["instructions"] == "Be kind."
    assert stretto("run", "plan.lock.json", env=env).code == 0


def test_the_provider_is_sent_the_role_and_may_use_its_tools(tmp_path: Path) -> None:
    stretto = project(tmp_path)
    stretto.plan.write_text(PLAN + "  b: {prompt: Look at the plan, role: Explore}\n")
    reads = {
        "match": "Look",
        "tools": [{"name": "read", "input": {"path": "plan.yaml"}}],
        "reply": "${tool_result}",
    }
    with FakeApi(rules=[reads, {"reply": "${model} ${system}"}]) as api:
        env = {"HOME": str(tmp_path / "home"), "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "test"}
        answer = stretto("run", "plan.yaml", "--unchecked", env=env)
        assert answer.code == 0, answer.err
    assert stretto("show", "last", "--task", "a", "--output").out == "claude-haiku-5-5 Be kind."
    assert "role: Explore" in stretto("show", "last", "--task", "b", "--output").out


def test_a_field_that_is_not_read_is_said_of_a_role_in_use(tmp_path: Path) -> None:
    stretto, env = project(tmp_path), {"HOME": str(tmp_path / "home")}
    (tmp_path / "work" / FOLDER / "kind.md").write_text("---\nname: kind\npriority: 1\n---\nBe kind.\n")
    (tmp_path / "work" / FOLDER / "idle.md").write_text("---\nname: idle\nsomething: 1\n---\nYou idle.\n")
    found = stretto("check", "plan.yaml", "--json", env=env).json["findings"]
    (said,) = [finding for finding in found if finding["slug"] == "role-file"]
    assert (
        said["severity"] == "info" and "`priority`" in said["message"] and "something" not in said["message"]
    )
