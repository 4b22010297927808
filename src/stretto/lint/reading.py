"""What one task's words say: clause by clause what is done to what, and which files are read and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from stretto.lint.acts import DOES, NEWLY, SAID, Act, act_of, base_of, parted, participle, root, verb_of
from stretto.lint.commands import files_of
from stretto.lint.paths import TOKEN, Path, declared_path, find
from stretto.lint.phrases import BEGINS, Mention, Phrases, Spot
from stretto.models.clauses import (
    AUXILIARY,
    EMPTY,
    NAMED,
    PRONOUN,
    STOP,
    WH,
    negated,
    order,
    sentences,
)
from stretto.models.words import PARTICLE, Word
from stretto.plan.model import Task

Role = Literal["new", "add", "edit", "read", "aside", "named"]
"""How a file is used: written as a whole, added to, changed, read, named beside something ("the manual
(docs/manual.md)"), or only spoken of."""


class PathUse(NamedTuple):
    path: Path
    role: Role
    declared: bool
    """Written under `reads` or `writes`, and not only said in words."""

    @property
    def written(self) -> bool:
        return self.role in ("new", "add", "edit")


class Clause(NamedTuple):
    act: Act
    verb: str
    """The stem of the verb; empty where nothing is ordered."""
    mentions: tuple[Mention, ...]
    pronoun: bool = False
    """It is done to "it" or "them"."""

    @property
    def objects(self) -> Iterator[Mention]:
        return (mention for mention in self.mentions if not mention.lead)


class Reading(NamedTuple):
    clauses: tuple[Clause, ...]
    paths: tuple[PathUse, ...]


_NOTHING = Reading((), ())


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LOOSE = _set("about after around at for into on over through to up")
"""Words between a verb and its object: "search for", "look into", "reply to"."""
_WITH_VERBS = _set("for into on over through upon with")
"""What may stand behind a verb that few texts begin with, in an order: "agree on"."""
_OF = _set("against between for in of on with")
_LIGHT = _set("carry conduct do draw execute give hold make perform prepare produce run write")
_RUNS = frozenset(map(root, ("run", "execute", "hold")))
_PRODUCTS = _set("grand offer plan suite text unit")
"""Classes of nouns that can be asked for by themselves: "one-page memo for the board"."""
_BEHIND = _set("about at by for from in of on per to with")
_LABEL = 4
"""Words before a colon that only name what follows are fewer."""
_CAUSING = _set("ask have let")
_SUBJECTS = PRONOUN - _set("one that these this those")
_RESULT = _set("deliverable destination file go goes output result results target")
_SOURCE = _set("data input inputs source sources")
_READS = _set(
    """about across against based by following for from given like of on over per see than through using
    via with"""
)
_SOURCED = _set("based following from given of using with")
"""What leads in what something is made from, where no verb says so."""
_KNOWN = _set("against by from named per that to using which with")
"""What leads in a thing that a file is the place of, and not the place of what is made."""
_TOPICS = _set("about for of on")
_TAKES = frozenset(
    map(
        root,
        """compare convert extract migrate parse port render summarise transcribe transform translate
        turn""".split(),
    )
)
"""Verbs that leave what they work on as it is, and put the result elsewhere."""
_PUTS = frozenset(map(root, "collect compile dump export gather log record save store track".split()))
_DROPS = frozenset(map(root, "drop enter keep leave place put".split()))
"""To put *them* into a file is to write it; to put a line into it is to add to it."""
_DATA = _set("csv db json jsonl log ndjson ods parquet sqlite tsv xls xlsm xlsx")
"""Endings of files that are worked from where one writes about what is in them."""
_CODE = _set("c cc cpp cs ex go h java js jsx kt lua php pl proto py r rb rs scala sh sql swift ts tsx vue")
_PARENTHESES = re.compile(r"\([^()\n]{0,200}\)")
_ASIDE = re.compile(rf"\((?:\w+ ){{0,2}} ?{TOKEN}(\d+) ?\)")
"""A file in parentheses by itself: "the manual (see docs/manual.md)"."""


def reading_of(task: Task) -> Reading:
    """A task's words, with the files that it declares."""
    declared = declared_of(task)
    if not task.prompt:
        return declared
    said = read(task.prompt)
    return said._replace(paths=(*declared.paths, *said.paths)) if declared.paths else said


def paths_of(task: Task) -> list[Path]:
    """The files that `reading_of` would tell the use of: found at a small part of its cost."""
    return [*(use.path for use in declared_of(task).paths), *_paths_in(task.prompt)[1]]


def _paths_in(prompt: str) -> tuple[str, list[Path]]:
    return find(prompt.replace(" side by side", ""))


def declared_of(task: Task) -> Reading:
    """Only the files that it declares, and those in the words of a command."""
    if not (task.reads or task.writes or task.run):
        return _NOTHING
    declared = (*_declared(task.reads, "read"), *_declared(task.writes, "new"))
    named = (PathUse(path, "new" if written else "read", False) for path, written in files_of(task.run))
    return Reading((), (*declared, *named))


def _declared(texts: Iterable[str], role: Role) -> Iterator[PathUse]:
    for text in texts:
        yield PathUse(declared_path(text), role, True)


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    plain, paths = _paths_in(text)
    beside = {int(number) for number in _ASIDE.findall(plain)}
    plain = _PARENTHESES.sub(" ", plain)
    roles: dict[int, Role] = {}
    found: list[Clause] = []
    label: set[str] | None = set()
    below = False
    for sentence in sentences(plain):
        short = sentence.end == ":" and len(sentence.words) < _LABEL
        named = short and label is not None and sentence.words[-1].noun in _PRODUCTS
        for words in sentence.clauses:
            # "Interview notes: type up the sheets" says first what is to come of it.
            told = named or (below and _is_entry(words))
            clause, there = _told(words, label) if told else _clause(words, label, paths)
            if negated(words):
                roles.update((at, "named") for at in there)
            else:
                found.append(clause)
                roles.update(there)
        # "Result: out/report.md".
        label = {word.text for word in sentence.words} if short else None
        below = below or sentence.end == ":"
    for at in beside:
        roles.setdefault(at, "aside")
    uses = (PathUse(path, roles.get(number, "named"), False) for number, path in enumerate(paths))
    return Reading(tuple(found), tuple(uses))


def _is_entry(words: list[Word]) -> bool:
    """Whether words below a colon are an entry of a list, though they begin like an order: "head count"."""
    following = words[1].text if len(words) > 1 else ""
    return bool(words[0].noun) and following not in BEGINS and not following.startswith((TOKEN, NAMED))


def _clause(words: list[Word], label: set[str] | None, paths: list[Path]) -> tuple[Clause, dict[int, Role]]:
    """`label`: the words before a colon that stand right before; empty at the very beginning of a text."""
    start = _verb_at(words)
    if start is None:
        found = _passive(words, label is not None, paths)
        return found if found is not None else _told(words, label)
    said = words[start].text
    verb = root(said)
    act, rest = parted(said, act_of(verb), words[start + 1 :])
    while rest and rest[0].text in PARTICLE and rest[0].text not in _LOOSE and not _leads_a_path(rest):
        rest = rest[1:]
    phrases = Phrases(rest, act not in ("judge", "tell", "get"))
    mentions = phrases.mentions
    if mentions and mentions[0].lead in _LOOSE and rest[0].text == mentions[0].lead:
        mentions[0] = mentions[0]._replace(lead="")
    act, verb, mentions = _meant(said, act, verb, mentions)
    roles = {spot.path: _role(act, verb, spot, paths[spot.path]) for spot in phrases.spots}
    if not mentions and verb in _DROPS:
        roles = {spot.path: "new" for spot in phrases.spots}
    elif verb in _DROPS and not any(m.article for m in mentions if not m.lead):
        # Revenue and margin are put *into* a new file, a line or the prices into one that is there.
        roles |= {s.path: "new" for s in phrases.spots if s.lead == "into" and roles[s.path] == "add"}
    if start > 1 and words[0].text in STOP:
        # "For each question in notes/open.md write an answer."
        before = Phrases(words[:start])
        mentions = mentions + before.mentions
        roles |= {spot.path: "read" for spot in before.spots}
    pronoun = bool(rest) and rest[0].text in ("it", "them")
    return Clause(act, verb, tuple(mentions), pronoun), roles


def _leads_a_path(words: list[Word]) -> bool:
    """ "Make *with data.csv* a chart"."""
    return words[0].text == "with" and len(words) > 1 and words[1].text.startswith(TOKEN)


def _passive(words: list[Word], first: bool, paths: list[Path]) -> tuple[Clause, dict[int, Role]] | None:
    """ "The answers are coded by theme", "the client is to be generated from the schema"."""
    start = next((at for at, word in enumerate(words) if word.text in AUXILIARY), 0)
    if not start or words[0].text in WH or words[0].text in PRONOUN:
        return None
    for at in range(start, min(len(words) - 1, start + 4)):
        text, done = words[at].text, words[at + 1].text
        told = first and at == start and text in ("is", "are")
        if not (participle(done) and (told or text == "be")):
            continue
        verb = participle(done)
        act, rest = parted(base_of(done), act_of(verb), words[at + 2 :])
        subject, behind = Phrases(words[:start]), Phrases(rest)
        mentions = [m._replace(lead="") if not m.lead else m for m in subject.mentions]
        mentions += [m if m.lead else m._replace(lead=",") for m in behind.mentions]
        spots = (*subject.spots, *behind.spots)
        return Clause(act, verb, tuple(mentions)), {s.path: _role(act, verb, s, paths[s.path]) for s in spots}
    return None


def _verb_at(words: list[Word]) -> int | None:
    """Where the verb of an order stands; a first word that no table knows is one if an article follows it."""
    text = words[0].text
    if text in ("do", "have") and len(words) > 1 and words[1].text not in PRONOUN:
        return _caused(words, 0) if text == "have" else 0
    polite = text in AUXILIARY and len(words) > 2 and words[1].text in ("you", "someone", "somebody")
    if text in STOP and not polite:
        return None if text in AUXILIARY or text in WH else _behind_a_place(words)
    start = order(words)
    if start is not None and len(words) > start + 1 and words[start + 1].text == "of":
        return None  # "Survey of the tenants."
    if start is not None:
        return _caused(words, start) if words[start].text in _CAUSING else start
    if len(words) < 2 or text in EMPTY or text in PRONOUN or text.endswith("ing"):
        return None
    following = words[1].text
    named = following.startswith(TOKEN) or following in BEGINS or following == "that"
    said = root(text) in SAID and (following not in STOP or following in _WITH_VERBS)
    return 0 if named or said else None


def _behind_a_place(words: list[Word]) -> int | None:
    """ "In the header *replace* the logo", "from these figures *derive* a budget"."""
    for at in range(2, len(words) - 1):
        following, before = words[at + 1].text, words[at - 1].text
        begins = following in BEGINS or (following in EMPTY and before.startswith((TOKEN, NAMED)))
        if words[at].verb and begins and before not in BEGINS:
            return at
    return None


def _caused(words: list[Word], start: int) -> int:
    """ "Let a second lawyer *review* the draft", "ask legal to *check* the letter"."""
    for at in range(start + 1, min(len(words) - 1, start + 7)):
        if words[at].verb and words[at - 1].text not in BEGINS and words[at + 1].text in BEGINS:
            return at
    return start


def _meant(said: str, act: Act, verb: str, mentions: list[Mention]) -> tuple[Act, str, list[Mention]]:
    """What is really to be done, where the verb leaves it to a noun or to somebody else."""
    if not mentions or mentions[0].lead:
        return act, verb, mentions
    first = mentions[0]
    if verb in NEWLY and (first.article == "a" or (said == "take" and not first.article)):
        return "make", verb, mentions
    if said in ("get", "have") and first.done:
        # "Get the letter checked by legal" is to check the letter.
        rest = [mention for mention in mentions[1:] if mention.lead != "by"]
        return act_of(first.done), first.done, [first._replace(done=""), *rest]
    return _by_noun(act, verb, mentions) if said in _LIGHT else (act, verb, mentions)


def _by_noun(act: Act, verb: str, mentions: list[Mention]) -> tuple[Act, str, list[Mention]]:
    """ "Do an audit of the ledger", "write a summary of the calls": what the noun does, and to what."""
    done = verb_of(mentions[0].head, "all" if verb in DOES else "told")
    if not done:
        return act, verb, mentions
    if len(mentions) > 1 and mentions[1].lead in (_OF if verb in DOES else ("of", "on", "about", "between")):
        mentions = [mentions[0], mentions[1]._replace(lead=""), *mentions[2:]]
    elif verb not in DOES - _RUNS:
        return act, verb, mentions
    return act_of(done), done, mentions


def _told(words: list[Word], label: set[str] | None) -> tuple[Clause, dict[int, Role]]:
    """What stands without an order: "Security audit of the ledger", "Result: out/report.md"."""
    phrases = Phrases(words)
    mentions = phrases.mentions
    texts = {word.text for word in words}
    act: Act = ""
    verb = ""
    if words[0].text in WH:
        act = verb = "judge"
    elif label is not None and mentions and not mentions[0].lead and texts.isdisjoint(AUXILIARY | _SUBJECTS):
        _, verb, mentions = _by_noun("make", "make", mentions)
        verb = verb_of(mentions[0].head, "alone") or verb
        if verb != "make":
            act = act_of(verb)
        elif _stands_alone(words, mentions, phrases.spots):
            act = "make"
    return Clause(act, verb, tuple(mentions)), {
        spot.path: _told_role(texts | (label or set()), act, spot) for spot in phrases.spots
    }


def _stands_alone(words: list[Word], mentions: list[Mention], spots: list[Spot]) -> bool:
    """Whether nouns without a verb name what is wanted: "timeline of the outage", "shopping list"."""
    head = mentions[0].head
    if any(word.noun in _PRODUCTS and root(word.text) == head for word in words):
        return True
    if spots and spots[0].lead in _BEHIND:
        return True
    if len(mentions) > 1:
        return mentions[1].lead in _BEHIND and (mentions[1].lead != "with" or bool(mentions[0].marks))
    return (bool(mentions[0].marks) or len(words) == 1) and not spots


def _told_role(texts: set[str], act: Act, spot: Spot) -> Role:
    if not _RESULT.isdisjoint(texts):
        there = spot.lead == "in" and not texts.isdisjoint(("are", "is"))  # "the results are in out.json"
        return "read" if there or spot.lead in ("from", "of", "with") else "new"
    if spot.lead in ("in", "into", "under") and not (_DROPS | _PUTS).isdisjoint(texts):
        return "new"  # "the hits you put in data/hits.csv"
    if not _SOURCE.isdisjoint(texts) or spot.lead in _SOURCED:
        return "read"
    return "read" if act and spot.lead == "in" else "named"


def _role(act: Act, verb: str, spot: Spot, path: Path) -> Role:
    """How a file is used, by what the verb does and where the file stands."""
    lead = spot.lead
    if not act and not lead:
        return "aside"
    if spot.before == "result" and lead not in ("from", "of", "with"):
        return "new"
    changes = act == "alter" and verb not in _TAKES
    if lead in ("", ",", "and", "or"):
        if verb in DOES:
            return "read"  # "Carry out plan.md"
        if act in ("make", "add"):
            return "new" if act == "make" else "add"
        return "edit" if changes else "read" if act else "named"
    if lead in ("into", "as", "onto", "to"):
        return _towards(act, changes, lead)
    if lead in ("in", "at", "under", "inside"):
        if verb in _TAKES and spot.before in ("to", "into", "as"):
            return "new"
        ending = path.norm.rpartition(".")[2]
        worked_from = (
            act == "make"
            and spot.before in _TOPICS
            and verb not in _PUTS
            and (ending in _DATA or ending in _CODE)
        )
        return "read" if worked_from or spot.before in _KNOWN else _inside(act, verb, changes)
    if lead == "of" and changes:
        return "edit"  # "Raise the timeout of ci.yml"
    return "read" if lead in _READS else "named"


def _towards(act: Act, changes: bool, lead: str) -> Role:
    if lead == "to" and act in ("judge", "read", "send", ""):
        return "named"
    if act == "add":
        return "add"
    return "edit" if changes and lead == "into" else "new"


def _inside(act: Act, verb: str, changes: bool) -> Role:
    if act == "make" or verb in _PUTS or verb == "assembl":
        return "new"
    if act == "add":
        return "add"
    return "edit" if changes else "read" if act else "named"
