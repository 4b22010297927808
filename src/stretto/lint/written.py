"""Whether words order a file to be written, or only to be worked from: by the verb and what leads it in."""

from __future__ import annotations

import re
from typing import NamedTuple

from stretto.lint.acts import base_of, root
from stretto.lint.reading import PathUse, Reading
from stretto.models.words import look_up


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CHANGING = _set(
    """adjust align amend annotate anonymise anonymize bump catch change colour color complete
    condense correct cut dedupe deduplicate delete drop edit expand extend fill fix format harden
    insert introduce lower mark migrate modernise modernize modify optimise optimize patch polish
    port raise redact refactor register reformat remove rename reorder rephrase replace reword
    rewrite revise round set shorten simplify sort speed strike strip tag tick tidy tighten touch
    trim update upgrade append add"""
)
"""What they are done to is another afterwards."""
_REMOVING = _set("cut delete drop erase prune purge remove strike strip take wipe")
_PUTTING = _set(
    """add append build collect compile compose create define document draft dump emit enter export gather
    generate implement include insert introduce keep log make note outline output paste place prepare produce
    put record render save set sketch specify store tabulate track typeset write"""
)
"""They put something into the file, or make it."""
_LEAVING = _set(
    """analyse analyze answer apply ask categorise categorize chart check classify cluster compare convert
    count design draw estimate evaluate explain extract find fit follow forecast graph group judge
    label list model plan plot predict proofread propose rank rate read review score simulate
    suggest summarise summarize test train translate turn use verify visualise visualize"""
)
"""They leave the file that they are done to as it is, or may do so."""
_LOOSE = _set(
    """code collect compile document export gather generate include log make note outline place prepare
    record set sketch specify tabulate track define keep store"""
)
"""With them "in FILE" may as well say where it is to be found."""
_UP = ("add up ", "mark up ", "make up ", "make sure ")
_TURNING = _set("convert extract translate turn")
_TEXTS = (".adoc", ".docx", ".html", ".md", ".org", ".rst", ".tex", ".txt")
_CODE = _set(
    """c cfg cpp cs css go h html ini java js jsx kt php py rb rs scss sh sql swift tf toml ts tsx vue
    yaml yml"""
)
"""Nobody asks for a changed program or setting as an answer."""
_NO_NOUN = _set("a all an each every in its my new our short the their your")
_HALF = _set("complete convert cut drop expand format mark remove round set sort tag turn")
"""Their result may be asked for as an answer: "sort the issues in issues.csv and name the top ten"."""
_MADE = _set(
    """build compose create draft dump emit export generate make output prepare produce record render save
    sketch store typeset write"""
)
"""They make their object: "write out/summary.md"."""

_PLACE = (
    r"(?:(?:at|to) )?(?:the )?(?:very )?(?:top|bottom|end|head|start|beginning|foot) of"
    r"|(?:section|chapter|paragraph|part|block|table|page|entry|heading|introduction|abstract|appendix|annex"
    r"|clauses?|conclusion|discussion|foreword|footer|header|methods|preamble|preface|recitals|schedule)\b"
    r"[^.,;:]{0,40} of"
)
_LEAD = re.compile(
    rf"(?P<place>{_PLACE})\s*[`'\"]?$|\b(?P<word>in|into|onto|on|to|of|from|as|at|under|inside|with|using|per|see|by"
    r"|than|like|against|and|or|for|about|via|over|across|between|through|upon|without|before|after|match|fit|follow|suit|meet|reflect|read|use)\s*[`'\"]?$"
    r"|(?P<aside>\()[^()]{0,40}$",
    re.IGNORECASE,
)
_CONSULTED = re.compile(
    r"\b(?:as|like|than|found|listed|described|given|named|kept|stored|defined|shown|recorded|set out|used"
    r"|specified|reported|mentioned|collected|noted|marked|documented|made|taken|reached|agreed"
    r"|raised|contained)(?: \w+){0,2}? (?:in|on|at|under)\s*[`'\"]?$"
    r"|\b(?:spec|specs|specification|design|rules?|template|style|guidelines?|requirements|instructions?"
    r"|brief|plan) (?:in|at|under|of)\s*[`'\"]?$"
    r"|\bfrom (?:the |each |every |all )?(?:\S+ ){1,5}(?:in|at|under)\s*[`'\"]?$"
    r"|\b(?:according|similar|compared|relative|up|due|next|close) to\s*[`'\"]?$"
    r"|\b(?:that|which|who|whether|if|because|until|sure)(?: \w+){0,2}\s*$"
    r"|\b(?:answer|introduction|link|objection|pointer|points?|preface|rebuttal|refers?|reference|reply"
    r"|response) to\s*[`'\"]?$"
    r"|\b(?:what|whatever|where|how|why)\s*[`'\"]?$",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\b(?:for|to|about|of|with) [^,.;:]* in\s*[`'\"]?$", re.IGNORECASE)
_ROWS = re.compile(
    r"\b(?:for|to|about|of|with) [^,.;:]*(?:columns|entries|items|lines|records|rows)$", re.IGNORECASE
)
"""What is written is about what stands in the file: "write a letter to every customer in customers.csv"."""
_ANSWERED = re.compile(
    r"[^.;:]*(?:\band (?:list|name|give|return|print|report|show|tell|say|paste|plot|count|rank|pick)\b"
    r"|\bas an? |\bin (?:the|your) answer\b|\binto \w"
    r"|,\s*(?:then )?(?:fit|give|list|name|plot|rank|return)\b)",
    re.IGNORECASE,
)
_DEMANDS = re.compile(r"[`'\"]? (?:(?!(?:as|has|is|this|was)\b)[a-z]{2,}s|has it|is written)\b(?! of\b)")
"""Behind "as FILE": it says so, and is not made: "as contract.json demands"."""
_LISTED = re.compile(
    r"(?:[`'\"]?[\w.{}$*-]*[/_][\w./{}$*-]*[`'\"]?(?:\s*,\s*(?:and |or )?|\s+(?:and|or)\s+))+(?=[`'\"]?$)"
)
"""Other files of a list right before one: what leads in the first of them leads in all."""
_FRONT = re.compile(
    r"(?:^|[.;:!?\n]\s*(?:[-*\d.)]+ )?|\b(?:and|then|please) )(?P<word>in|into|on|to|at|from)"
    r"(?: the (?:file|page|sheet))?\s+[`'\"]?$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\b(?:deliverable|destination|output|results?|target)(?: file)?\s*"
    r"(?::|->|=|is|goes (?:in)?to)\s*[`'\"]?$",
    re.IGNORECASE,
)
_HEAD = re.compile(r"(?:^|\n)\s*(?:[-*\d.)]+ )?[`'\"]?$")
_HEADED = re.compile(r"[`'\"]?\s*(?::|\s[-–—])\s+(?:please )?(?P<verb>[A-Za-z][a-z-]*)\b")
""" "src/users.ts: add rate limiting"."""
_WISHED = re.compile(r"[`'\"]?\s+(?:should|must|shall|has to|needs? to)\s+(?P<be>be\s+)?(?P<verb>[a-z-]+)\b")
""" "src/http.py should send the token"."""
_OTHER = re.compile(r"\b(?:tests?|docs?|documentation|see|like|cf|than)\b", re.IGNORECASE)
_MENDED = re.compile(
    r"[^.;:/]*\band (?:then )?(?:apply|correct|edit|fix|mend|repair|rewrite)\b(?![^.;]*/)"
    r"|[^.;:]*\bdirectly in the file\b",
    re.IGNORECASE,
)
"""Behind what is only looked at: "proofread letter.md and fix what is wrong"."""
_ORDERED = re.compile(
    r"[`'\"]?\s*(?:\([^()]{0,60}\)\s*)?,?\s*(?:please |kindly |then )?(?P<verb>[a-z][a-z-]*)\b"
)
_DOT = re.compile(r"\.(?=\w)")
"""Within a name, where it ends no sentence."""
_IN_PLACE = re.compile(r"[^.;:]{0,60}\bin[ -]place\b")
_OPENING = re.compile(
    r"(?:^|[.;:!?\n]\s*(?:[-*\d.)]+ )?|,\s*(?:and |then |and then )?|\b(?:and|then|please) )"
    r"(\w[\w-]*)((?: \w+)?)(?=[^.;:!?\n]*$)"
)

_KNOWN = _CHANGING | _REMOVING | _PUTTING | _LEAVING


class Order(NamedTuple):
    """The order that a path stands in."""

    verb: str
    object: str
    """What stands between the verb and the path."""
    lead: str
    """The word before the path; `place` for "at the end of"; empty where it is the object itself."""


def is_written(prompt: str, use: PathUse, reading: Reading) -> bool:
    """Whether the words are sure to have this file written."""
    if "*" in use.path.text:
        return False
    at = prompt.find(use.path.text)
    end = at + len(use.path.text)
    before = _before(prompt, at)
    if _LABEL.search(before):
        return True
    if _FRONT.search(before):
        return _ordered_behind(_ORDERED.match(prompt, end), use, reading)
    if _HEAD.search(before) and (headed := _HEADED.match(prompt, end)):
        return _ordered_behind(headed, use, reading)
    if _HEAD.search(before) and (wished := _WISHED.match(prompt, end)):
        return base_of(wished["verb"]) in _CHANGING if wished["be"] else _is_code(use)
    order = _order(before)
    if order.object.startswith(("me ", "us ", "of ")) or f"{order.verb} {order.object}".startswith(_UP):
        return False
    in_place = _IN_PLACE.match(prompt, end) is not None
    if order.verb in _HALF and _ANSWERED.match(prompt, end):
        return in_place
    if order.lead == "(":
        return _beside(order, use)
    if in_place:
        return True
    if _CONSULTED.search(_last(before, 8)) or (order.lead == "as" and _DEMANDS.match(prompt, end)):
        return False
    if order.verb in _LEAVING and not order.lead and _MENDED.match(prompt, end):
        return True
    return _by_order(order, before, use, reading)


def _before(prompt: str, at: int) -> str:
    """What stands before a file, without the other files of a list that it ends."""
    before = _DOT.sub("_", prompt[max(0, at - 240) : at])
    listed = before.rstrip("`'\" \t\n").endswith((",", "and", "or"))
    return _LISTED.sub("", before) if listed else before


def _last(text: str, words: int) -> str:
    """Its last words: what has to reach the end of a text is not looked for in all of it."""
    parts = text.rsplit(None, words)
    return text[len(parts[0]) :] if len(parts) > words else text


def _beside(order: Order, use: PathUse) -> bool:
    """A file in brackets: what is made and called like it, or the program that is changed."""
    if order.verb in _MADE:
        return _named_like(order, use)[0]
    changed = order.verb in _CHANGING - _HALF or order.verb == "implement" or _alters(order.verb)
    return changed and _is_code(use) and not _OTHER.search(order.object)


def _by_order(order: Order, before: str, use: PathUse, reading: Reading) -> bool:
    """By the verb, and the word before the file."""
    if order.verb in _LEAVING:
        return use.role == "new" and (
            order.lead in ("into", "as", "onto") or (order.lead == "to" and order.verb in _TURNING)
        )
    if order.verb in _REMOVING and order.lead in ("from", "out of", "of", "in", ""):
        return not _makes_another(use, reading)
    if order.verb in _PUTTING and _puts(order, before, use):
        return True
    if order.verb in _CHANGING and order.lead in ("", "in", "of", "place"):
        return not _makes_another(use, reading)
    return _as_read(order, use, reading)


def _is_code(use: PathUse) -> bool:
    return use.path.norm.rpartition(".")[2] in _CODE


def _ordered_behind(found: re.Match[str] | None, use: PathUse, reading: Reading) -> bool:
    """ "In notes.md replace the second paragraph": the order stands behind the file that it is done in."""
    verb = found["verb"].lower() if found else ""
    if _is_code(use) and _alters(verb):
        return True
    loose = verb in _LEAVING | _LOOSE or (verb in _HALF and not _is_code(use))
    return (verb in _CHANGING | _REMOVING | _PUTTING) and not loose and not _makes_another(use, reading)


def _order(before: str) -> Order:
    found = list(_OPENING.finditer(before))
    verbs = [match for match in found if _is_verb(match[1])]
    lead = _LEAD.search(_last(before, 12))
    word = "" if lead is None else "place" if lead["place"] else (lead["word"] or "(").lower()
    if not verbs:
        return Order("", before, word)
    last = verbs[-1]
    # "Read a.md and" before a path goes on with the order before.
    return Order(last[1].lower(), before[last.end(1) :].strip(), word)


def _is_verb(word: str) -> bool:
    text = word.lower()
    return (
        text in _CHANGING
        or text in _PUTTING
        or text in _LEAVING
        or text in _REMOVING
        or bool(look_up(word).verb)
    )


def _puts(order: Order, before: str, use: PathUse) -> bool:
    if order.lead in ("into", "onto", "to", "as", "place"):
        return True
    if order.lead == "":
        return order.verb in _MADE
    if order.lead == "on":
        return order.verb in ("put", "place", "paste", "add", "enter", "note")
    if order.lead not in ("in", "under", "at", "inside") or use.path.norm.endswith(".pdf"):
        return False
    first, last = _named_like(order, use)
    if order.verb == "make" or _ROWS.search(order.object.removesuffix(" in")):
        return False
    if first or order.verb in ("add", "insert", "enter", "put"):
        return True
    if last or _ABOUT.search(before):
        return False  # "a talk on the results in results.md"
    if order.verb not in _LOOSE or " from " in order.object:
        return True
    return use.path.norm.endswith(_TEXTS) or order.verb in ("define", "document")


def _named_like(order: Order, use: PathUse) -> tuple[bool, bool]:
    """Whether the file is called like what is written (tests in tests/test_login.py), or like the last noun
    before it, which then is what stands there."""
    nouns = [word for word in re.findall(r"[a-z]+", order.object.lower()) if word not in _NO_NOUN]
    names = {root(word) for word in re.findall(r"[a-z]+", use.path.norm.rpartition(".")[0].lower())}
    return bool(nouns) and root(nouns[0]) in names, len(nouns) > 1 and root(nouns[-1]) in names


def _as_read(order: Order, use: PathUse, reading: Reading) -> bool:
    """Verbs that are not listed here: as the sentence was read."""
    if _is_code(use) and order.lead in ("", "in") and _alters(order.verb):
        return True
    if use.role == "new":
        return order.lead in ("into", "as", "onto") or (order.lead == "to" and order.verb not in _LEAVING)
    if use.role not in ("edit", "add"):
        return False
    return order.lead in ("", "in", "place", "into", "to") and not _makes_another(use, reading)


def _alters(verb: str) -> bool:
    """Verbs that are in no list here, and whose kind of work changes what it is done to: "open", "block"."""
    listed = _CHANGING | _LEAVING | _PUTTING | _REMOVING
    changing = ("add", "alter", "build", "edit", "mend", "set")
    return bool(verb) and verb not in listed and look_up(verb).verb in changing


def _makes_another(use: PathUse, reading: Reading) -> bool:
    """ "Convert a.csv to b.csv" leaves the first as it is."""
    return any(
        other.role == "new" and not other.path.folder and other.path.norm != use.path.norm
        for other in reading.paths
    )
