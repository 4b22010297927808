"""Prompts that leave open what to work on, what to return and when it is done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from stretto.lint import hollow as h
from stretto.lint.price import Figures
from stretto.lint.scene import Scene, task_of
from stretto.models.clauses import AUXILIARY, EMPTY, LEAD, NAMED, STOP, WH, sentences
from stretto.models.words import Word, look_up, stem
from stretto.plan.finding import Finding
from stretto.plan.graph import Element

LONGEST = 300
"""Characters; who writes more than this says something."""

SPECIFIC = 8
"""Words of the other prompts of a plan (half of them have more) beside which a bare one stands out."""

Sort = Literal["filler", "bare", "pronoun", "nothing", "hint"]


class Lack(NamedTuple):
    """Why a prompt is vague, the surest first.

    A filler stands for the object; a verb that asks for no result has a whole field for its object; only a
    pronoun; nothing at all. A *hint* is vague only beside better prompts.
    """

    sort: Sort
    verb: str
    about: str
    """The words that say at least what it is near to; may be empty."""


_WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LABEL = re.compile(r"\W*((?:[^\W\d_]+[ -]){0,1}[^\W\d_]+)(?: [-–—]|:)\s+(?=\w)")
_ASIDE = re.compile(r"^(?:the|our|my|your) |(?:,? please)?[.!]*$")
_PRONOUNS = frozenset("it this that them these those".split())
_SUBJECTS = frozenset("he i nobody noone she they we you".split())
_POLITE = frozenset(", go maybe perhaps try".split())
_ADDRESSED = frozenset("me us to".split())
_DETERMINERS = frozenset("a all his my our that their these this those we you your".split())
_HINTING = frozenset(
    """better check enhance examine finish fix handle improve inspect mend neaten optimise optimize polish
    refine repair rework""".split()
)
_PARTED = frozenset("any do end field into look".split())
"""Groups of verbs with which "the legal part" is nothing yet."""
_OWN = frozenset("my our the their your".split())
_MAKING = frozenset(
    "analyse analyze arrange organise organize plan prepare refactor review set setup test".split()
)


@lru_cache(maxsize=16384)
def lack_of(prompt: str) -> Lack | None:
    """What is missing in a prompt, read by itself; None where it is clear enough to be worked on."""
    text = prompt.strip()
    if len(text) > LONGEST or "${" in text:
        return None
    said = _WORDS.findall(text.lower())
    if not said:
        return None if any(letter.isalnum() for letter in text) else Lack("nothing", "", "")
    words = frozenset(said)
    # One word, an article and "please": there are no more in what stands for itself.
    if len(said) <= 3 and (field := _ASIDE.sub("", text.lower())) in h.ALL_WIDE:
        return Lack("bare", "", field)  # "Monitoring", "the website, please".
    if _is_a_name(text):
        return Lack("bare", "", text)
    if h.TRIGGERS.isdisjoint(words) or len(words - h.KNOWN) > h.MOST_SAID:
        return None
    if text.endswith("?") and said[0] in WH:
        return None
    return _lack_in(_turned(text.rstrip(". !"), words))


def _is_a_name(text: str) -> bool:
    """ "GDPR": a field by its letters, and nothing of what to do in it."""
    return len(text) > 1 and text.isalpha() and text.isupper() and not look_up(text.lower()).verb


def _turned(text: str, words: frozenset[str]) -> str:
    """The text with turns of phrase by the verbs that they stand for."""
    for turn in h.TURNS:
        if not turn.keys.isdisjoint(words):
            text = turn.pattern.sub(turn.verb, text)
    return text


def _lack_in(text: str) -> Lack | None:
    found: list[Lack] = []
    label = _LABEL.match(text)
    for sentence in sentences(text[label.end() :] if label else text):
        for clause in sentence.clauses:
            if asked := _asked(clause):
                lack = _judged(asked)
                if lack is None:
                    return None
                found.append(lack)
    if not found or not label:
        return found[0] if found else None
    # "Login: improve things" is near to something, and "The title of page 3: fix it" says what it is.
    about = label[1].lower()
    told = found[0].about or (found[0].sort == "pronoun" and about not in h.PERSONS | h.SYSTEMS | h.FIELDS)
    return None if told else found[0]._replace(about=about)


def _asked(clause: Sequence[Word]) -> list[Word]:
    """The clause from its verb on: without "could you maybe"."""
    at = 0
    while at < len(clause) and (clause[at].text in LEAD or clause[at].text in _POLITE):
        following = clause[at + 1].text if at + 1 < len(clause) else ""
        if clause[at].text in _PRONOUNS and not following:
            break
        if clause[at].text == "help" and following not in _ADDRESSED:
            break
        at += 1
    return list(clause[at:])


def _judged(words: list[Word]) -> Lack | None:
    """What one clause lacks."""
    if any(_says_it(word) for word in words):
        return None
    first, rest = words[0].text, words[1:]
    group = h.GROUPS.get(first, "")
    if not group and (not words[0].verb or first in h.FILLERS):
        return _fragment(words)
    pointing = any(word.text in _PRONOUNS or word.text in h.FILLERS for word in rest)
    if first in h.ALONE and not pointing and not _near(rest):
        return Lack("nothing", first, "")
    direct, tail = _cut(rest)
    lack = _by_filler(words[0], group, direct, tail)
    named = any(word.noun == "named" and len(word.text) > 1 for word in words)
    if lack is None and group and rest and not named:
        lack = _by_object(first, group, direct, tail)
    return lack


def _says_it(word: Word) -> bool:
    """A reference, a number, a path; or what begins the words of a test."""
    text = word.text
    return text == NAMED or text[0].isdigit() or "." in text or "/" in text or text in h.CRITERIA


def _fragment(words: list[Word]) -> Lack | None:
    """No verb: "other stuff", "something about prices", "various improvements"."""
    direct, tail = _cut(words)
    if not direct:
        return None
    near = _near(words)
    head, first = direct[-1].text, direct[0].text
    owned = len(direct) > 1 and direct[1].text in _DETERMINERS
    opened = first in h.OPENING or (first in h.FILLERS and owned)
    if head in h.FILLERS or opened:
        return Lack("filler", "", _joined(near)) if len(near) <= 2 else None
    left = head in h.WORK and not h.REMAINING.isdisjoint(word.text for word in direct)
    if not tail and (left or (len(near) == 1 and head in h.ALL_WIDE and first in _DETERMINERS)):
        return Lack("bare", "", head)
    loose = not h.LOOSE.isdisjoint(word.text for word in direct)
    wide = all(word.text in h.ALL_WIDE | h.PRODUCTS for word in _near(tail))
    if head in h.CHANGES and loose and not _near(direct[:-1]) and wide:
        return Lack("bare", "", head)
    return None


def _by_filler(verb: Word, group: str, direct: list[Word], tail: list[Word]) -> Lack | None:
    """A filler where the object should be: "fix the payment thing", "set things up"."""
    if not direct and len(tail) > 1 and tail[0].text not in ("that", "than"):
        direct, tail = _cut(tail[1:])
    if not direct:
        return None
    texts = [word.text for word in direct]
    near = _near([*direct, *tail])
    held = next((text for text in texts if text in h.FILLERS), "")
    partly = texts[-1] in h.PARTLY and len(near) == 2 and group in _PARTED
    there = texts[-1] in h.FILLERS or texts[0] in h.OPENING or partly or (held and not near)
    if not there or not _may_be_hollow(verb, group, held, near):
        return None
    if tail and tail[0].text in ("that", "who") and len(_near(tail)) > 1:
        return None
    most = 3 if group and group != "create" else 2
    return Lack("filler", verb.text, _joined(near)) if len(near) <= most else None


def _may_be_hollow(verb: Word, group: str, filler: str, near: Sequence[Word]) -> bool:
    """Whether this verb with a filler says nothing: "merge everything" and "list things that..." do."""
    if filler in ("thing", "thingy"):
        return True
    everything = filler in ("everything", "rest", "remainder", "others")
    if group == "create":
        return filler in ("anything", "something", "stuff", "things", "whatnot") or (
            filler == "everything" and verb.text in _MAKING and not near
        )
    if group in ("give", "make") and everything:
        return False
    if group:
        return True
    if verb.verb in ("seek", "fetch"):
        return (
            filler in ("anything", "something", "stuff", "things")
            and not near
            and verb.text in ("find", "search", "see")
        )
    if verb.text in _MAKING:
        return not near or not everything
    return not everything and verb.verb not in ("edit", "join", "relate", "run", "give") and not near


def _by_object(verb: str, group: str, direct: list[Word], tail: list[Word]) -> Lack | None:
    """A verb that asks for no result, with an object that is a whole field, or only a pronoun."""
    near, more = _near(direct), _near(tail)
    if group == "make":
        return _praised(verb, direct, tail)
    if group == "ensure":
        return _ensured(verb, direct, tail)
    if group == "create":
        some = len(near) == 1 and near[0].text in h.PRODUCTS and any(word.text == "some" for word in direct)
        hollow = not more and (
            _only_changes(direct) or some or (not near and any(w.text in _PRONOUNS for w in tail))
        )
        return Lack("bare", verb, _joined(near)) if hollow else None
    if group == "give":
        loved = bool(direct) and direct[-1].text in ("love", "attention", "polish", "shine")
        return Lack("bare", verb, _joined(near[:-1])) if loved and len(near) <= 3 else None
    if more:
        return None
    if not near:
        pronoun = any(word.text in _PRONOUNS or word.text in EMPTY for word in direct)
        return Lack("pronoun", verb, "") if pronoun and group != "tidy" else None
    return _bare(verb, group, direct, near)


def _bare(verb: str, group: str, direct: list[Word], near: list[Word]) -> Lack | None:
    texts = [word.text for word in near]
    about = _joined(near)
    single = len(near) == 1
    if single and (group == "ready" or (group in ("any", "look") and near[0].noun not in ("fault", "logic"))):
        return Lack("bare", verb, about)
    if group == "do" and single and (texts[0] in h.RESEARCH or texts[0].endswith("ing")):
        some = len(direct) == 1 or any(word.text in ("some", "more", "bit") for word in direct)
        sort: Sort = "bare" if texts[0] in h.RESEARCH else "filler"
        return Lack(sort, verb, about) if some else None
    if group in ("do", "mend") and _only_changes(direct):
        return Lack("bare", verb, about)
    people = group == "raise" and texts[0] in h.PERSONS
    if len(near) <= 2 and all(_is_wide(text, group) for text in texts[people:] or texts):
        return Lack("bare", verb, about)
    if single and group in ("do", "field", "end") and any(word.text in h.REMAINING for word in direct):
        return Lack("bare", verb, about)
    if group in _PARTED and texts[-1] in h.WORK and h.OPEN.issuperset(texts[:-1]):
        return Lack("bare", verb, about)
    owned = direct[0].text in _OWN
    if group == "mend" and owned and len(near) <= 2 and texts[-1] in h.TROUBLES:
        return Lack("hint", verb, about)
    if group == "improve" and owned and len(near) == 2 and texts[-1] in h.NEAR["improve"]:
        return Lack("hint", verb, about)
    if single and owned and verb in _HINTING and not _checkable(near[0], verb):
        return Lack("hint", verb, about)
    return None


def _is_wide(text: str, group: str) -> bool:
    """Whether a noun is no object yet, for verbs of this group."""
    return text in h.NEAR.get(group, ()) or (group in ("improve", "raise") and text.endswith(h.ABSTRACT))


def _praised(verb: str, direct: list[Word], tail: list[Word]) -> Lack | None:
    """ "Make it better", "make the frontend nicer", "get it done", "make changes"."""
    more = _near(tail)
    filled = verb == "make" and direct and direct[0].text in _PRONOUNS | h.FILLERS
    if not direct or (more and not (filled and len(more) == 1 and tail[0].text in ("for", "in", "on"))):
        return None
    last, near = direct[-1].text, _near(direct)
    pointed = direct[0].text in _PRONOUNS and any(word.text in ("more", "less") for word in direct)
    if verb == "make" and pointed and len(near) <= 1:
        return Lack("pronoun", verb, "")  # "Make it more convincing."
    about = [word for word in near if word.text not in h.PRAISE | h.DEGREE and word.text != "look"]
    if verb == "get" and last in ("done", "finished", "ready", "running", "working") and len(about) <= 2:
        return Lack("pronoun", verb, _joined([word for word in about if word.text != last]))
    if verb == "make" and last in h.PRAISE | h.DEGREE and len(direct) > 1:
        fair = 2 if last in h.WONDERFUL else 1
        wide = len(about) <= 2 and all(word.text in h.NEAR["improve"] for word in about)
        if wide or (last in h.PRAISE and len(about) <= fair and last not in ("work", "working", "well")):
            return Lack("bare", verb, _joined(about))
    return Lack("bare", verb, _joined(near)) if verb == "make" and _only_changes(direct) else None


def _ensured(verb: str, direct: list[Word], tail: list[Word]) -> Lack | None:
    """ "Make sure that everything works", "ensure that customers are happy", "ensure quality"."""
    words = [*direct, *tail]
    about = [word for word in _near(words) if word.text not in h.PRAISE]
    # "Check that the shop still works" is a test of what was changed.
    tested = bool(about) and any(word.text == "still" for word in words)
    praised = not tested and any(word.text in h.PRAISE for word in words)
    bare = bool(about) and not tail and all(word.text in h.NEAR["ensure"] for word in about)
    if (praised and len(about) <= 1 and not _checkable_all(about)) or (bare and len(about) <= 2):
        return Lack("bare", verb, _joined(about))
    return None


def _only_changes(direct: list[Word]) -> bool:
    """ "some improvements", "the necessary changes": no word says which."""
    return bool(direct) and direct[-1].text in h.CHANGES and not _near(direct[:-1])


def _checkable(word: Word, verb: str) -> bool:
    """A noun that says by itself what is looked for or done: spelling, links, the build."""
    if word.text in h.PERSONS | h.SYSTEMS | h.FIELDS | h.PURSUITS:
        return False
    if word.text.endswith(("ing", "ion", "ment", "ity", "ness")) or word.text == "build":
        return True
    if word.noun in ("suite", "logic", "fault", "theme"):
        return True
    if verb in ("better", "finish", "handle", "improve", "neaten"):
        return word.noun == "trifle" and verb == "handle"
    return word.noun not in ("part", "tech", "text", "thing", "unit", "wide") and (
        verb == "check" or not word.action
    )


def _checkable_all(words: Sequence[Word]) -> bool:
    return any(word.noun in ("suite", "trifle", "fault") for word in words)


def _cut(words: Sequence[Word]) -> tuple[list[Word], list[Word]]:
    """The direct object with its determiners, and what follows it."""
    for at, word in enumerate(words):
        if not at and word.text in _PRONOUNS:
            continue
        if word.text in STOP or word.text in AUXILIARY or (at and word.text in _SUBJECTS):
            return list(words[:at]), list(words[at:])
    return list(words), []


def _near(words: Sequence[Word]) -> list[Word]:
    """The words that say what it is about."""
    return [word for word in words if word.text in h.PERSONS or not _says_nothing(word.text)]


def _says_nothing(text: str) -> bool:
    closed = text in STOP or text in EMPTY or text in AUXILIARY or text in LEAD
    return closed or text in h.HEDGES or text in h.FILLERS


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def vague_prompts(scene: Scene) -> Iterator[Finding]:
    """The rule `vague-prompt`."""
    lacking: list[tuple[Element, Lack]] = []
    verbs: Counter[str] = Counter()
    lengths: list[int] = []
    for element in scene.tasks:
        task = task_of(element)
        if task.action != "prompt":
            continue
        lengths.append(task.prompt.count(" ") + 1)
        if len(task.prompt) < 40:
            verbs[_first(task.prompt)] += 1
        lack = lack_of(task.prompt)
        if lack is not None and not _told_elsewhere(scene, element, lack):
            lacking.append((element, lack))
    among = len(lengths) > 2 and sorted(lengths)[len(lengths) // 2] >= SPECIFIC
    said = _stems(scene) if any(lack.sort == "hint" for _, lack in lacking) else Counter[str]()
    alike = Counter(_first(task_of(element).prompt) for element, _ in lacking)
    for element, lack in lacking:
        first = _first(task_of(element).prompt)
        # "Check the servers" in a list of checks, most of which are clear, is one more point of that list.
        listed = lack.verb in ("check", "verify") and verbs[first] - alike[first] > 1
        if lack.sort == "hint" and (not among or said[stem(lack.about.split()[-1])] > 1):
            continue
        if lack.sort == "filler" or not listed:
            yield _finding(scene, element, lack)


def _stems(scene: Scene) -> Counter[str]:
    """How many prompts speak of a word: what another task speaks of too is known from there."""
    prompts = (task_of(element).prompt.lower() for element in scene.tasks)
    return Counter(one for prompt in prompts for one in {stem(word) for word in _WORDS.findall(prompt)})


def _told_elsewhere(scene: Scene, element: Element, lack: Lack) -> bool:
    """Whether keys of the task, or what is handed to it, say what the prompt does not."""
    task = task_of(element)
    if task.check is not None or (task.output is not None and task.output.schema is not None):
        return True
    if lack.sort == "filler":
        return False
    handed = any(need.used for need in element.needs)
    return bool(task.reads or task.writes) or (
        handed and (lack.sort in ("pronoun", "nothing") or not scene.bare)
    )


def _first(prompt: str) -> str:
    word = _WORDS.search(prompt)
    return word.group().lower() if word else ""


_MISSING = {
    "filler": "what exactly to work on, what to return, or how to tell that it is done",
    "bare": "what is wanted of {about}, or how to tell that it is done",
    "hint": "what is wanted of {about}, or how to tell that it is done",
    "pronoun": "what it means, or how to tell that it is done",
    "nothing": "what to work on, what to return, or how to tell that it is done",
}


def _finding(scene: Scene, element: Element, lack: Lack) -> Finding:
    prompt = " ".join(task_of(element).prompt.split())
    quoted = prompt if len(prompt) <= 60 else f"{prompt[:57]}..."
    missing = _MISSING[lack.sort].format(about=f"the {lack.about}" if lack.about else "it")
    once = Figures(None, None) if scene.broken else scene.prices.of(element)
    return scene.finding(
        "vague-prompt",
        "warning",
        [element],
        f'`{element.path}` does not say {missing}: "{quoted}"; its agent has to guess, '
        "and then it is done again",
        f'say what to work on, what to return and when it is done, such as: "{_example(lack)}"',
        nusd=once.nusd,
        seconds=once.seconds,
    )


def _example(lack: Lack) -> str:
    """A prompt in the task's own words, with gaps for what only its author knows."""
    about = f"the {lack.about}" if lack.about else "<which file, page or record>"
    match h.GROUPS.get(lack.verb, ""):
        case "mend":
            return f"Fix <what goes wrong> in {about}: <what should happen>; done when <test> passes"
        case "check" | "look" | "into" | "test":
            return f"Check {about} for <what can be wrong>; return place and reason of each case, or none"
        case "improve" | "raise" | "make" | "tidy" | "ensure":
            return f"Change <what> in {about} until <measure> is <number>; return what was changed"
        case "create" | "give":
            return f"Write <what, how long, for whom> about {about}; it must say <points>"
        case _:
            return f"<Verb> <which part> of {about}; return <list, text or change>; done when <test>"
