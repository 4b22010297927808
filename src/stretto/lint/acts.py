"""What verbs do to their objects: bring them in, make them, change them, judge them, give them away."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from stretto.models.words import PARTED, PARTICLES, VERBS, Word, stem

Act = Literal["", "get", "read", "make", "add", "alter", "join", "judge", "tell", "decide", "run", "send"]
"""*get* brings in what was not at hand, *read* leaves all as it is, *make* and *add* bring something new,
*alter* changes it, *join* makes one of several, *judge* and *tell* find or say something about it, *decide*
chooses, *run* sets it going, *send* gives it to others. Empty: nothing is known of the verb."""


def stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


OF_CLASS: dict[str, Act] = {
    "fetch": "get",
    "seek": "get",
    "select": "decide",
    "decide": "decide",
    "build": "make",
    "make": "make",
    "sketch": "make",
    "plan": "make",
    "add": "add",
    "edit": "alter",
    "set": "alter",
    "alter": "alter",
    "shape": "alter",
    "mend": "alter",
    "rethink": "alter",
    "join": "join",
    "check": "judge",
    "compare": "judge",
    "judge": "judge",
    "appraise": "judge",
    "learn": "judge",
    "relate": "tell",
    "give": "tell",
    "run": "run",
}
"""By the classes of `models.words`, which say how hard a verb is and not what it leaves behind."""
_OF_VERB: dict[Act, str] = {
    "get": """ask buy collect compile derive download extract find identify interview mine order purchase
        request research scrape survey""",
    "read": """access browse cite consult follow go look open peruse quote read reread see skim take use view
        wait walk watch""",
    "make": "architect conduct enable generate perform propose provision rearchitect record write",
    "add": "append attach enter fill include insert paste place prepend put",
    "alter": """adapt animate anonymise automate cache complete configure connect cover dedupe
        deduplicate embed expose extend finalise finish handle hook incorporate instrument integrate localise
        package point preprocess redline render support throttle wire wrap""",
    "join": "aggregate assemble combine consolidate integrate reconcile synthesise unify",
    "judge": "analyse audit code forecast predict project regress scan screen simulate value",
    "tell": "answer chart document graph illustrate plot reply respond tabulate visualise",
    "decide": "agree choose pick recommend select shortlist",
    "run": "book import ingest load play try",
    "send": """announce approve circulate deliver distribute email file forward mail notify pitch post present
        print promote publish release send share ship sign submit tweet upload""",
}
SAID = frozenset(stem(word) for said in _OF_VERB.values() for word in said.split())
_PARTED: dict[str, Act] = {
    "bring back": "alter",
    "bring up": "alter",
    "bring together": "join",
    "check over": "judge",
    "go over": "judge",
    "go through": "judge",
    "hand out": "send",
    "hand over": "send",
    "lay out": "alter",
    "look over": "judge",
    "look through": "judge",
    "note down": "get",
    "pull together": "join",
    "put together": "join",
    "read through": "read",
    "roll out": "run",
    "send out": "send",
    "sum up": "tell",
    "take out": "alter",
    "type up": "tell",
    "write off": "alter",
    "write up": "tell",
}
"""Verbs with a particle behind them or behind their object; others are in `models.words`."""
_PARTING = PARTED | {pair.partition(" ")[0] for pair in _PARTED}
_FAR = frozenset("back down off out over together up".split())
"""Particles that may stand behind the object."""
NEWLY = stems("cut issue open place raise start take")
"""To take a backup is to make one; to take the backup is not."""
DOES = stems("carry conduct do execute hold perform run")
"""Verbs that leave the work to their noun: "run a scan of"."""
_OF_NOUN = {
    stem(noun): stem(verb)
    for noun, verb in (
        pair.split(":")
        for pair in """analysis:analyse assessment:assess audit:audit benchmark:benchmark check:check
            classification:classify cleanup:clean collection:collect comparison:compare count:count
            critique:critique description:describe diagnosis:diagnose draft:draft estimate:estimate
            examination:examine explanation:explain extraction:extract fix:fix forecast:forecast
            inspection:inspect interview:interview inventory:inventory list:list merge:merge
            ranking:rank recap:recap research:research review:review rewrite:rewrite rollback:rollback
            scan:scan search:search study:study summary:summarise survey:survey synthesis:synthesise
            test:test transcript:transcribe upgrade:upgrade""".split()
    )
}
_TELLING = stems(
    """analysis assessment audit check comparison count critique description diagnosis estimate
    evaluation examination explanation forecast inspection interpretation interview inventory
    investigation list ranking recap research review scan study summary survey synthesis transcript
    translation validation verification"""
)
"""Nouns of doing that one writes or gives: to write a summary of X is to summarise X."""
_ALONE = _TELLING | stems("benchmark cleaning collection extraction run screening search test")
"""Nouns of doing that an order may consist of: "data cleaning"."""
_SUFFIXES = ("ation", "ion", "ment", "al")
_IRREGULAR = {
    participle: verb
    for verb, participles in (
        pair.split(":")
        for pair in """agree:agreed bring:brought build:built buy:bought choose:chosen cut:cut do:done
            draw:drawn find:found get:gotten give:given hide:hidden hold:held keep:kept lay:laid
            make:made meet:met pay:paid prove:proven put:put read:read rebuild:rebuilt redo:redone
            rewrite:rewritten run:run say:said sell:sold send:sent set:set show:shown split:split take:taken
            use:used write:written""".split()
    )
    for participle in participles.split(",")
}
"""Past participles without -ed."""
_IE = frozenset("calorie cookie movie selfie zombie".split())
_SHORT = {"ads": "ad", "ids": "id", "pcs": "pc"}


def _acts() -> dict[str, Act]:
    found: dict[str, Act] = {}
    for name, words in reversed(VERBS.items()):
        if name in OF_CLASS:
            found.update((stem(word), OF_CLASS[name]) for word in words.split())
    for act, said in _OF_VERB.items():
        found.update((stem(word), act) for word in said.split())
    return found


_ACTS = _acts() | {"fill": "add"}
_FILL = frozenset(("fill", "filled", "fills"))
"""Not to be taken for a file."""


def act_of(verb: str) -> Act:
    """What the verb with this stem does; empty where it is not known."""
    return _ACTS.get(verb) or _ACTS.get(verb.rpartition("-")[2], "")


@lru_cache(maxsize=16384)
def root(text: str) -> str:
    """The stem of a word; of an irregular participle, that of its verb."""
    if text in _FILL:
        return "fill"
    text = _SHORT.get(text, text)
    if (text.endswith("ies") and text[:-1] in _IE) or text.endswith("ings"):
        text = text[:-1]
    elif text.endswith(("heses", "lyses", "noses", "crises", "opses")):
        text = text[:-2] + "is"
    return stem(_IRREGULAR.get(text, text))


@lru_cache(maxsize=4096)
def verb_of(noun: str, among: Literal["all", "told", "alone"] = "all") -> str:
    """The stem of the verb that a noun of doing stands for: the audit, the implementation; empty if for none.

    *told* are only the nouns that one writes or gives, *alone* those that make an order by themselves.
    """
    if "-" in noun:
        noun = noun.rpartition("-")[2]  # a dry-run
    if (among == "told" and noun not in _TELLING) or (among == "alone" and noun not in _ALONE):
        return ""
    found = _OF_NOUN.get(noun, "") or (noun if among == "alone" and noun in _ACTS else "")
    for suffix in () if found else _SUFFIXES:
        verb = root(noun.removesuffix(suffix)) if noun.endswith(suffix) else ""
        found = found or (verb if verb in _ACTS else "")
    return found


@lru_cache(maxsize=16384)
def participle(text: str) -> str:
    """The stem of the verb whose past participle a word is; empty where no known verb has it."""
    if text in _IRREGULAR or (text.endswith("ed") and len(text) > 4 and not text.endswith("eed")):
        found = root(text)
        return found if act_of(found) and text != "embed" else ""
    return ""


def base_of(text: str) -> str:
    """The verb whose past participle a word is, as far as its particles need it."""
    return _IRREGULAR.get(text) or text.removesuffix("ed")


def parted(verb: str, act: Act, rest: list[Word]) -> tuple[Act, list[Word]]:
    """The act of a verb with its particle, and the words behind it without: "*lay* the manual *out*"."""
    if verb not in _PARTING:
        return act, rest
    for at, word in enumerate(rest[:7]):
        if at and (word.text not in _FAR or (at + 1 < len(rest) and rest[at + 1].text == "of")):
            continue
        pair = f"{verb} {word.text}"
        if pair == "put together" and not at:
            return "make", rest[1:]
        meant = _PARTED.get(pair) or OF_CLASS.get(PARTICLES.get(pair, ""))
        if meant:
            return meant, rest[:at] + rest[at + 1 :]
    return act, rest
