"""What the items of a template have in common comes first in their prompts, and is the same to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from stretto.agents import Work
from stretto.plan.graph import build
from stretto.plan.model import Task
from stretto.plan.templates import handed_needs, is_shared, shared_pieces, template_of
from stretto.workspace.handover import told
from tests.stage import Actor, Stage, plan_of

LONG = "What everybody has to know. " * 700
"""20 kB."""


def worked(tasks: str, answers: dict[str, Any] | None = None, inputs: Any = None) -> dict[str, Work]:
    """Every work of a run by its task; haiku answers `messages`, as everybody here."""

    def answer(work: Work) -> Any:
        return (answers or {}).get(work.task, f"did {work.task}")

    actor = Actor(answer)
    stage = Stage(actor, messages=actor)
    text = f"limits: {{usd: 1000, parallel: 1}}\n{tasks}"
    outcome = stage.run(text, on="messages", inputs=inputs or {})
    assert outcome.status == "succeeded"
    return {work.task: work for work in actor.seen}


def common(works: list[Work]) -> int:
    """How many characters all prompts begin with."""
    first, last = min(work.prompt for work in works), max(work.prompt for work in works)
    same = (k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(same, min(len(first), len(last)))


def shared_of(found: dict[str, Work], prefix: str) -> list[int | None]:
    """What siblings are said to share, which must be what they do share."""
    works = [work for id, work in found.items() if id.startswith(prefix)]
    for work in works:
        if work.shared is not None:
            assert work.shared <= common(works)
    return [work.shared for work in works]


def test_a_hand_over_from_outside_the_item_comes_before_the_prompt() -> None:
    found = worked(
        """
tasks:
  spec: {prompt: Specify, model: haiku}
  files: {each: [a, b, c], needs: [spec], prompt: "Check ${item} well", model: haiku}
""",
        {"spec": LONG},
    )
    one = found["files.0"].prompt
    assert one.startswith("Below are the outputs of earlier tasks") and one.endswith("\n\nCheck a well")
    assert one.index(LONG) < one.index("Check a well")
    (shared,) = set(shared_of(found, "files."))
    assert shared == common(list(found.values())[1:]) == one.index("a well", len(LONG))


def test_what_an_item_made_itself_comes_behind_the_prompt() -> None:
    found = worked(
        """
tasks:
  spec: {prompt: Specify, model: haiku}
  files:
    each: [a, b, c]
    needs: [spec]
    order: serial
    tasks:
      scan: {prompt: "Scan ${item}", model: haiku}
      judge: {prompt: "Judge by the rules", needs: [spec], model: haiku}
""",
        {"spec": LONG},
    )
    prompt = found["files.1.judge"].prompt
    places = [prompt.index(part) for part in (LONG, "Judge by the rules", "did files.1.scan")]
    assert places == sorted(places)
    assert prompt.count("Below are the outputs") == 2
    judges = {id: work for id, work in found.items() if id.endswith("judge")}
    assert set(shared_of(judges, "files.")) == {places[1] + len("Judge by the rules")}
    assert found["files.0.scan"].prompt.startswith("Below are"), (
        "the entry of a group gets what the group needs"
    )


def test_outside_of_templates_nothing_moves() -> None:
    found = worked("tasks:\n  a: {prompt: One, model: haiku}\n  b: {prompt: Two, needs: [a], model: haiku}\n")
    assert found["b"].prompt.startswith("Two\n\nBelow are")
    assert found["b"].shared is None


def test_how_many_items_there_are_is_no_part_of_a_prompt() -> None:
    tasks = """
tasks:
  spec: {prompt: Specify, model: haiku}
  files: {each: %s, needs: [spec], prompt: "Check ${item}", model: haiku}
"""
    one, two = (worked(tasks % items, {"spec": LONG})["files.0"] for items in ("[a]", "[a, b]"))
    assert one.prompt == two.prompt
    assert (one.shared, two.shared is None) == (None, False)


def test_what_an_item_hands_over_may_cut_what_all_have_and_then_nothing_is_shared() -> None:
    big = "x" * 23_000
    found = worked(
        """
tasks:
  s1: {prompt: S1, model: haiku}
  s2: {prompt: S2, model: haiku}
  s3: {prompt: S3, model: haiku}
  s4: {prompt: S4, model: haiku}
  files:
    each: [a, b, c]
    tasks:
      scan: {prompt: "Scan ${item}", model: haiku}
      judge: {prompt: Judge, needs: [s1, s2, s3, s4, scan], model: haiku}
""",
        {**{f"s{k}": big for k in range(1, 5)}, "files.1.scan": big},
    )
    judges = {id: work.shared for id, work in found.items() if id.endswith("judge")}
    assert judges["files.1.judge"] is None
    assert judges["files.0.judge"] == judges["files.2.judge"]
    assert (judges["files.0.judge"] or 0) > 4 * 23_000


def test_calls_of_a_reduction_share_their_prompt() -> None:
    found = worked(
        f"""
tasks:
  pages: {{prompt: List, model: haiku, output: [string]}}
  all: {{reduce: "${{pages}}", fan_in: 2, prompt: "{LONG} Merge", model: haiku}}
""",
        {"pages": '["a", "b", "c", "d", "e", "f", "g", "h"]'},
    )
    assert set(shared_of(found, "all.")) == {len(LONG) + len(" Merge")}


def test_a_prompt_may_name_what_is_outside_before_it_names_the_item() -> None:
    found = worked(
        """
inputs: {rules: {type: string}}
tasks:
  spec: {prompt: Specify, model: haiku}
  files: {each: [a, b, c], prompt: "$${x} ${rules} and ${spec}: ${item} by ${rules}", model: haiku}
""",
        {"spec": LONG},
        {"rules": "RULES"},
    )
    # What another task has made is fenced where it stands; what the user gave is not.
    assert set(shared_of(found, "files.")) == {len("${x} RULES and : ") + len(told("spec", LONG))}


NESTED = """
tasks:
  spec: {prompt: Specify}
  lone: {prompt: "Look", needs: [spec]}
  outer:
    each: [a, b]
    as: page
    tasks:
      one: {prompt: "By ${spec} look at ${page}"}
      two: {prompt: "What is it?", needs: [one, spec]}
      three: {prompt: "${one} is what?"}
      inner:
        needs: [one]
        each: [1, 2]
        as: line
        tasks: {deep: {prompt: "Of ${page} the ${line}"}}
  sum: {reduce: "${outer}", prompt: Merge}
"""


@pytest.mark.parametrize(
    ("path", "template", "pieces", "handed"),
    [
        ("lone", None, 0, {"spec": False}),
        ("outer.one", "outer", 3, {}),
        ("outer.two", "outer", 1, {"one": False, "spec": True}),
        ("outer.three", "outer", 0, {}),
        ("outer.inner.deep", "outer.inner", 3, {"one": True}),
        ("sum", "sum", 1, {}),
    ],
)
def test_what_differs_by_item(path: str, template: str | None, pieces: int, handed: dict[str, bool]) -> None:
    element = build(plan_of(NESTED)).elements[path]
    found = template_of(element)
    assert (found.path if found is not None else None) == template
    if found is not None:
        assert isinstance(element.part, Task)
        assert shared_pieces(element.part.prompt, element, found) == pieces
    assert {need.tail: is_shared(need, found) for need in handed_needs(element)} == handed
