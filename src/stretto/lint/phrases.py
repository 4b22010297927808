"""The things that a clause speaks of: its phrases of nouns, what leads them in, and how known they are."""

from __future__ import annotations

from typing import Literal, NamedTuple

from stretto.lint.acts import act_of, participle, root
from stretto.lint.paths import TOKEN
from stretto.models.clauses import AUXILIARY, EMPTY, NAMED, STOP
from stretto.models.words import Word, look_up

Article = Literal["the", "this", "each", "all", "our", "a", ""]
""" "The", "both", "each" and "this" take a thing as known; "a" and "some" do not; "all" and "our" may."""


class Mention(NamedTuple):
    """Something that a clause speaks of: a phrase of nouns with what stands before and behind it."""

    said: str
    head: str
    """The stem of its last noun; empty where there is none ("as *agreed*")."""
    marks: frozenset[str]
    """The stems of the other words that tell it from others of its name."""
    lead: str
    """The word that leads it in; empty for what the verb is done to."""
    article: Article = ""
    done: str = ""
    """What was done to it before ("the *cleaned* data", "the pages *found*"), as the stem of that verb."""
    number: int = 0
    """How many of them there are said to be; 0 where no number is said."""
    many: bool = False
    listed: bool = False
    """It stands in a list behind another one: "the scan *and the interviews*"."""
    filled: bool = False
    """A name, a reference or quoted text stands beside it, so that it is said what is meant."""
    place: str = ""
    """The path behind it ("the hours in data/hours.csv")."""


class Spot(NamedTuple):
    """Where a path stands in a clause."""

    path: int
    lead: str
    """What leads it in."""
    before: str
    """What leads in the phrase before it, if that is a thing already known."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


BEGINS: dict[str, Article] = {
    **dict.fromkeys(("the", "both", "said", "their", "its", "his", "her"), "the"),
    **dict.fromkeys(("this", "these", "those"), "this"),
    **dict.fromkeys(("each", "every"), "each"),
    **dict.fromkeys(("a", "an", "another", "some", "any"), "a"),
    **dict.fromkeys(("our", "my", "your"), "our"),
    "all": "all",
}
"""What a phrase begins with, and what that says of the thing."""
KNOWN: frozenset[Article] = frozenset({"the", "this", "each"})
"""Articles of what is taken as known."""
_LEADS = _set(
    """above according along alongside amid among around behind below besides beyond concerning following
    once plus reflecting regarding throughout versus vs whether within"""
)
_NUMBERS = {
    word: number for number, word in enumerate("two three four five six seven eight nine ten".split(), 2)
}
_PLAIN = EMPTY | _set("actual complete entire fewer final finished full least less many please whole")
_GIVES = _set("against based by following for from in of on using with")
_RELATIVE = _set("as because how if so that what when where whether which while who whose")
_GROUNDS = _set("accordance basis grounds help keeping light line means response strength view")
"""On the basis of, in line with."""
_COMPOUND = _set("according based following given which")
_PARTITIVE = _set("batch batches bunch couple lot lots pile piles set sets stack stacks")
_HEADLESS = _set("as") | {"what is"}
"""What leads in something done with no noun to it: "as *agreed*", "what was *loaded*"."""
_SAYING = _set("cost imply mean need prove reveal say show suggest tell")
_RESULTS = frozenset(map(root, ("deliverable", "destination", "file", "output", "result", "target")))


class Phrases:
    """Goes through the words of a clause once and gathers its mentions, and the spots of its paths."""

    def __init__(self, words: list[Word], points: bool = False) -> None:
        """`points`: a "that" right at the beginning points to a thing, and begins no sentence."""
        self.mentions: list[Mention] = []
        self.spots: list[Spot] = []
        self._nouns: list[str] = []
        self._article: Article = ""
        self._lead = ""
        self._listed = False
        self._worked = False
        """The phrase just closed ends with what was done to the thing: "the names *listed*"."""
        self._apart = self._cut = False
        """A comma stands before what leads in this phrase."""
        self._row = self._held = False
        """The last word was a path, or goes on with a list of paths; nouns stood right before that path."""
        self._clear()
        if points and words and words[0].text == "that":
            self._article = "this"
            words = words[1:]
        for word in words:
            self._take(word.text)
        self._close()

    def _clear(self) -> None:
        self._nouns = []
        self._article = ""
        self._filled = False
        self._count = 0

    def _take(self, text: str) -> None:
        if self._row and text not in (",", "and", "or") and not text.startswith(TOKEN):
            self._behind_a_path(text)
        if text in STOP or text in _LEADS:
            self._led(text)
        elif text in BEGINS:
            if self._nouns:
                self._begin()
            self._article = BEGINS[text]
            self._count = 2 if text == "both" else 0
        elif text in _NUMBERS:
            self._count = _NUMBERS[text]
        elif text.startswith(TOKEN) and text[2:].isdecimal():
            self._spot(text)
        elif text == NAMED:
            self._filled = True
        elif text[0].isdigit():
            if self._nouns or (text.isdecimal() and len(text) == 4):
                self._nouns.append(text)
            elif text.isdecimal():
                self._count = int(text[:6])
                self._lead = "," if self._lead == "about" else self._lead  # "about 900 words"
        elif text not in _PLAIN:
            self._nouns.append(text)

    def _behind_a_path(self, text: str) -> None:
        """ "The way spec.md *lays* it down", "what plan.md *wanted*": the path is gone by."""
        self._row = False
        told = self.spots[-1].lead in _RELATIVE or (self._held and text.endswith("s"))
        if told and text not in STOP and look_up(text).action:
            self.spots[-1] = self.spots[-1]._replace(lead="given", before="")

    def _led(self, text: str) -> None:
        """A word that leads in the next phrase, or goes on with a list."""
        if not self._nouns:
            if text == "that" and self._lead in _GIVES:
                self._article = "this"
                return
            if text in ("in", "per") and self._lead == "as":
                self._lead = "like"
                return
            if text in AUXILIARY and self._lead == "what":
                self._lead = "what is"  # "what was loaded"
                return
            if text == "of" and (self._article or self._lead == "out"):
                # "Each of these", "out of the scan".
                self._lead = "from" if self._lead == "out" else self._lead
                return
        if text == "of" and len(self._nouns) == 1 and self._nouns[0] in _PARTITIVE:
            self._nouns.clear()  # "all three sets of notes"
            return
        self._apart, self._cut = self._cut and not self._nouns, text == ","
        bare = not self._nouns or (len(self._nouns) == 1 and self._nouns[0] in _GROUNDS)
        self._close()
        compound = bare and self._lead in _COMPOUND and text in ("on", "upon", "to", "of", "with")
        self._listed = text in (",", "and", "or") and bool(self.mentions)
        if text == ",":
            # A list has the lead of its first; behind a comma there may be something else again.
            self._lead = self._lead and ","
        elif text not in ("and", "or") and not compound:
            self._lead = text

    def _begin(self) -> None:
        """An article amid nouns begins a phrase: "give the client *the* report", "record*ing the* choice"."""
        last = self._nouns[-1]
        if last == "half":
            self._nouns.pop()  # "half a page"
        elif last.endswith("ing") and act_of(root(last)):
            self._nouns.pop()
            self._close()
            self._lead = last
        else:
            self._close()
            if self._lead not in _RELATIVE:
                self._lead = ""

    def _spot(self, token: str) -> None:
        held = self._held = bool(self._nouns)
        self._close()
        row = self._row and not held and self._lead in (",", "and", "or")
        # "On the basis of a.md, b.md and c.md."
        lead, before = self.spots[-1][1:] if row else (self._lead, self._before())
        self.spots.append(Spot(int(token[len(TOKEN) :]), lead, before))
        self._row = True
        if self.mentions and (held or self._lead in ("in", "at", "under", "from", "inside")):
            self.mentions[-1] = self.mentions[-1]._replace(place=token)
        self._lead = self._lead and ","

    def _before(self) -> str:
        """What leads in the phrase before a path; for "result in" and "named in" words of their own."""
        if not self.mentions:
            return ""
        before = self.mentions[-1]
        if before.head in _RESULTS:
            return "result"
        if self._worked:
            return "named"
        if self._apart:
            return ""
        known = before.article in KNOWN
        return (
            before.lead
            if known or before.lead in ("as", "from", "into", "per", "that", "to", "using", "which")
            else ""
        )

    def _close(self) -> None:
        nouns, self._nouns = self._nouns, []
        if not nouns:
            if self._filled and self.mentions:
                self.mentions[-1] = self.mentions[-1]._replace(filled=True)
            self._filled = False
            return
        if len(nouns) == 1 and nouns[0] in _GROUNDS:
            self._clear()
            self._lead = "based"
            return
        count = len(nouns)
        nouns, done = self._without_verb(nouns)
        self._worked = bool(done) and len(nouns) < count
        if nouns or self._lead in _HEADLESS:
            self._add(nouns, done)
        elif self.mentions:
            # "The overcharges that were marked."
            before = self.mentions[-1]
            marks = before.marks | {before.done} if before.done else before.marks
            self.mentions[-1] = before._replace(done=done, marks=marks)
        self._clear()

    def _without_verb(self, nouns: list[str]) -> tuple[list[str], str]:
        """The nouns without the verb that may end them, and what was done to the thing."""
        last = participle(nouns[-1])
        if last and (len(nouns) > 1 or self._lead in AUXILIARY or self._lead in _HEADLESS):
            return nouns[:-1], last
        if len(nouns) > 1 and self._lead in _RELATIVE and nouns[-1].endswith("s") and self._article in KNOWN:
            # "What the scan turns up."
            nouns = nouns if look_up(nouns[-1]).noun else nouns[:-1]
        elif len(nouns) > 1 and self._lead == "what" and nouns[-1] in _SAYING:
            nouns = nouns[:-1]  # "What the scenarios mean."
        return nouns, next(filter(None, map(participle, nouns[:-1])), "")

    def _add(self, nouns: list[str], done: str) -> None:
        stems = [root(noun) for noun in nouns]
        head = next((s for s in reversed(stems) if not s[0].isdigit()), stems[-1] if stems else "")
        compounds = [noun for noun in nouns if "-" in noun and root(noun) != head]
        stems += [root(part) for noun in compounds for part in noun.split("-") if part.isalpha()]
        self.mentions.append(
            Mention(
                " ".join(nouns),
                head,
                frozenset(word for word in stems if word not in (head, done) and not _is_superlative(word)),
                self._lead,
                self._article,
                done,
                self._count,
                any(_is_plural(noun) and root(noun) == head for noun in nouns),
                self._listed,
                self._filled,
            )
        )
        self._listed = False


def _is_superlative(word: str) -> bool:
    return len(word) > 6 and word.endswith("est") and not act_of(word) and not look_up(word).noun


def _is_plural(noun: str) -> bool:
    return noun.endswith("s") and not noun.endswith(("ss", "is", "us"))
