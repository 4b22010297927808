"""Changes of a plan's words that leave what is wrong with it as it was: other names, order, and verbs.

Each takes a plan and gives the changed one, its labels under the new ids, or None where it finds nothing
to change. What might touch the meaning is left alone, so a plan may be changed in fewer places than it could.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import yaml

from bench.labelled import CORPUS, Findings, Labelled, calls_in, parts_of

_Entry = TypeVar("_Entry")

SEED = 20261121

_WORDS = json.loads((CORPUS / "paraphrases.json").read_text(encoding="utf-8"))
NAMES: list[list[str]] = _WORDS["names"]
"""Groups of names that can stand for each other."""
VERBS: dict[str, list[str]] = _WORDS["verbs"]
"""Verbs with others that mean the same."""


def mutants(plan: Labelled) -> Iterator[tuple[str, Labelled]]:
    """The name of each mutation that changes the plan, and the plan it makes."""
    for name, change in MUTATIONS.items():
        changed = change(plan, random.Random(f"{SEED} {name} {plan.id}"))
        if changed is not None:
            yield name, changed


# --- other names ---


def names_swapped(plan: Labelled, chance: random.Random) -> Labelled | None:
    """Each name becomes another one of its group, everywhere in the plan, in ids and paths too."""
    new: dict[str, str] = {}
    for group in NAMES:
        present = [name for name in group if _is_name(name, plan.text)]
        absent = [n for n in group if n.lower() not in plan.text.lower() and "'" not in n]
        chance.shuffle(absent)
        others = absent if len(absent) >= len(present) else [*present[1:], *present[:1]]
        for name, other in zip(present, others, strict=False):
            # In ids and paths a name stands in small letters: `new_relic`, `new-relic`.
            new |= {_joined(name, by): _joined(other, by) for by in ("-", "", "_")} | {name: other}
    if not new:
        return None
    some = "|".join(map(re.escape, sorted(new, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{some})(?![A-Za-z0-9])")

    def swap(found: re.Match[str]) -> str:
        other = new[found[0]]
        before, behind = found.string[: found.start()][-1:], found.string[found.end() :][:2]
        in_path = before in tuple("/_-") or re.match(r"[/_-]|\.\w", behind)
        return other.replace(" ", "") if in_path else other

    ids = {part.id: pattern.sub(swap, part.id) for part in parts_of(plan.form, plan.text)}
    return _changed(plan, pattern.sub(swap, plan.text), ids)


def _is_name(name: str, text: str) -> bool:
    """Whether a name stands in a text as a name: `search` may be an ordinary word, `src/search` is not."""
    if not (name.isalpha() and name.islower()):
        return re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text) is not None
    in_path = rf"(?<![A-Za-z0-9-])[\w.-]*[/_]{name}(?![A-Za-z0-9])|\b(?<!-){name}[/_-]\w"
    text = re.sub(r"\b(?:run|check):\s*\[[^\]]*\]", "", text)  # the words of a command are no names
    in_list = rf"""[\[,]\s*["']?{name}["']?\s*[\],]"""
    sentence = rf"\b{name.capitalize()}\b"
    return re.search(f"{in_path}|{in_list}", text) is not None and not re.search(sentence, text)


def _joined(name: str, by: str) -> str:
    return re.sub(r"[^a-z0-9]+", by, name.lower())


# --- another order ---


def order_shuffled(plan: Labelled, chance: random.Random) -> Labelled | None:
    """Tasks change places where their order in the text means nothing."""
    return _shuffled_bare(plan, chance) if plan.form == "bare" else _shuffled_yaml(plan, chance)


def _shuffled_yaml(plan: Labelled, chance: random.Random) -> Labelled | None:
    """The parts below `tasks:` in another order: needs and references order them, lines do not."""
    found = re.search(r"^tasks:[ \t]*\n((?:[ \t].*\n?|[ \t]*\n|#.*\n?)+)", plan.text, re.M)
    if found is None or re.search(r"^order:", plan.text, re.M):
        return None
    indent = re.match(r"(?:\s*\n|[ \t]*#.*\n)*([ \t]+)", found[1])
    if indent is None:
        return None
    blocks = re.split(rf"^(?={indent[1]}[^\s#])", found[1], flags=re.M)
    blocks = [block.rstrip("\n") + "\n" for block in blocks]
    body = blocks[0].lstrip("\n") + "".join(_another_order(blocks[1:], chance))
    text = plan.text[: found.start(1)] + body + plan.text[found.end(1) :]
    same = yaml.safe_load(text) == yaml.safe_load(plan.text)
    return _changed(plan, text, {}) if same else None


_STAGE = re.compile(
    r"\b(?:step|level|layer|stage|phase|wave|round|wait|then|after|afterwards|once|when|next|depend\w*|needs?"
    r"|gather|synthesi\w*|finally|last|before|until|done|now|first|second|third)\b",
    re.I,
)
"""A comment with one of these may begin a stage. Rather too many: what stands between them stays there."""

_IN_TURN = re.compile(r"->|\u2192|=>|\b(?:one after|one by one|in turn|sequen\w*|serial\w*|in order)\b", re.I)
"""A comment with one of these may put every task that follows in a stage of its own."""


class _Block(NamedTuple):
    """Lines that stay together, and the numbers of the tasks in them; a comment has none."""

    text: str
    tasks: Sequence[int] = ()


_Section = list[_Block]
"""A comment, and the tasks below it."""


def _shuffled_bare(plan: Labelled, chance: random.Random) -> Labelled | None:
    """The sections of a stage in another order, and the tasks of a section."""
    stages = _stages(plan.text)
    blocks = [block for stage in stages for block in _shuffled_stage(stage, chance)]
    old = [task for block in blocks for task in block.tasks]
    if old == sorted(old):
        return None
    ids = {f"task-{was}": f"task-{now}" for now, was in enumerate(old, 1)}
    return _changed(plan, "".join(block.text for block in blocks), ids)


def _stages(text: str) -> list[list[_Section]]:
    """What may change places; empty where that cannot be said. What has to stay is a stage of its own."""
    lines = (text.rstrip("\n") + "\n").splitlines(keepends=True)
    stages: list[list[_Section]] = [[[]]]
    at, number = 0, 1
    for statement in ast.parse(text).body:
        first, end = statement.lineno - 1, statement.end_lineno or at
        lead, own = "".join(lines[at:first]), "".join(lines[first:end])
        comment = re.search(r"\)\s*#(.*)$", own)
        behind = comment[1] if comment else ""
        if first < at or _IN_TURN.search(lead) or _IN_TURN.search(behind):
            return []
        tasks = range(number, number + len(list(calls_in(statement))))
        fixed = not tasks or _STAGE.search(behind)
        if fixed or _STAGE.search(lead):
            stages += [[[_Block(lead)]], [[]]]
        elif "#" in lead:
            stages[-1].append([_Block(lead)])
        else:
            own = lead + own
        stages[-1][-1].append(_Block(own, tasks))
        if fixed:
            stages.append([[]])
        at, number = end, number + len(tasks)
    return [*stages, [[_Block("".join(lines[at:]))]]]


def _shuffled_stage(stage: list[_Section], chance: random.Random) -> Iterator[_Block]:
    for section in _another_order(stage, chance):
        head = [block for block in section if not block.tasks]
        yield from head
        yield from _another_order(section[len(head) :], chance)


def _another_order(entries: list[_Entry], chance: random.Random) -> list[_Entry]:
    """The entries in an order that is not theirs, if there are two."""
    shuffled = chance.sample(entries, len(entries))
    return shuffled if shuffled != entries else [*entries[1:], *entries[:1]]


# --- other verbs ---

_PROMPT = (
    r"(?:\bTask\(\s*(?:(?:prompt|description)\s*=\s*)?[rf]?|\bprompt:\s*(?:[|>][-+]?\s*\n\s*)?)"
    r"""["']{0,3}\\?\s*"""
)
_NOT_AN_OBJECT = """about after against also and around as at away back be before by carefully down for from
how if in into it of off on once only or out over through to together under until up what when where whether
which who why with""".split()
_DETERMINERS = "a all an any both each every her his its my our that the their these this those your".split()
_ALSO_NOUNS = """answer audit build check count debug design document draft edit export fix import interview
list merge plan rank rate release research review run schedule score test transcribe update upgrade""".split()


def verbs_paraphrased(plan: Labelled, chance: random.Random) -> Labelled | None:
    """The verb that begins a prompt becomes another one, where an object follows it."""

    def paraphrase(found: re.Match[str]) -> str:
        head, verb, follows = found["head"], found["verb"], found["follows"]
        if not _is_object(follows, verb.lower() in _ALSO_NOUNS):
            return found[0]
        other = chance.choice(VERBS[verb.lower()])
        return head + (other[0].upper() + other[1:] if verb[0].isupper() else other) + found["gap"] + follows

    verbs = "|".join(sorted(VERBS, key=len, reverse=True))
    pattern = rf"(?P<head>{_PROMPT}(?:(?:please|pls)\s+)?)(?P<verb>{verbs})(?P<gap>\s+)(?P<follows>\S+)"
    return _changed(plan, re.sub(pattern, paraphrase, plan.text, flags=re.I), {})


def _is_object(word: str, strict: bool) -> bool:
    """Whether a word begins an object. "Test coverage" is no order to test, so some verbs are strict."""
    if word.lower().strip(",.:;") in _NOT_AN_OBJECT or not re.match(r"[\w$#{'\"`/(]", word):
        return False
    name = re.match(r"[A-Z\d$#{'\"`/]|.*[/._]\w", word)
    return not strict or word.lower() in _DETERMINERS or name is not None


def _changed(plan: Labelled, text: str, ids: dict[str, str]) -> Labelled | None:
    """The plan with another text, its labels under the new ids; None where the text is the old one."""
    if text == plan.text:
        return None
    labels: Findings = {
        slug: [tuple(ids.get(task, task) for task in tasks) for tasks in found]
        for slug, found in plan.labels.items()
    }
    return plan._replace(text=text, labels=labels)


MUTATIONS: dict[str, Callable[[Labelled, random.Random], Labelled | None]] = {
    "names": names_swapped,
    "order": order_shuffled,
    "verbs": verbs_paraphrased,
}
