"""Words that say nothing by themselves: verbs without a result, nouns without an object, turns of phrase."""

from __future__ import annotations

import re
from typing import NamedTuple

from stretto.models.clauses import AUXILIARY, EMPTY, LEAD, STOP


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SOME = r"(?:some |more |a bit more |a little |any )?"
_LOOK = r"(?:have|take|give|cast) (?:a|an|another)"
_TAKE = r"(?:get|bring|keep|whip|knock|put|take)"
_FAR = (
    "under control|back on track|up to (?:par|scratch|speed|standard)|off the ground|sorted|going|moving"
    "|to (?:a (?:higher|new)|another|the next) level"
)
_BEFORE = "always|before|usual|(?:every|last) (?:month|time|week|year)"
_OPEN = r"needed|necessary|required|left|remains|remaining|comes (?:in|up)|needs (?:\w+ing|to be done)"
_TURNS = {
    # What stands for the verb on the right; `\1` is the object where it stands within.
    r"(?:a (?:little )?bit|a lot|lots|a couple|plenty|a few) of": "some",
    rf"{_LOOK} (?:very |really )?(?:close|closer|careful|hard) look (?:at|over)": "check",
    rf"{_LOOK} (?:\w+ )?(?:look|peek|glance|eye) (?:at|over)|look (?:at|after)": "look-at",
    rf"(?:{_LOOK} (?:\w+ )?look|look|dig|inquire) into|figure out": "look-into",
    r"(?:check|verify|confirm|see) (?:that|if|whether)": "ensure",
    r"(?:make sure|see to it|take care|ensure)(?: that)?(?! of)": "ensure",
    r"check (?:up )?on": "check",
    r"see (?:about|to)|take (?:good )?care of|deal with|attend to|get on with|go about": "tackle",
    r"(?:help|assist|pitch in|lend a hand|support)(?: out)? with": "tackle",
    r"(?:continue |keep |^some (?:more )?)?work(?:ing)? on": "tackle",
    rf"(?:do|put) {_SOME}(?:work|effort) (?:on|into)": "tackle",
    rf"(?:spend|put) {_SOME}time (?:on|into)|make {_SOME}progress (?:on|with)": "tackle",
    r"(?:have|take) (?:a|another) (?:go|stab|crack|shot|pass) (?:at|on)": "tackle",
    r"do your best (?:with|on|for)|work (?:your way )?through": "tackle",
    r"(?:play|mess|toy|tinker|fiddle)(?: around)? with|bring (?:some )?order (?:in)?to": "tackle",
    r"(?:do|work) (?:some |your |a little |a bit of )?magic (?:on|with)": "tackle",
    r"(?:sort|straighten) out": "tackle",
    r"(?:sort|straighten) (?!out)([\w' -]{2,40}?) out": r"tackle \1",
    rf"{_TAKE} ((?!back)[\w' -]{{2,40}}?) (?:in(?:to)? (?:\w+ )?(?:shape|order)|{_FAR})": r"tackle \1",
    r"(?:push|move|drive|take) ([\w' -]{2,40}?) (?:forward|along|ahead|further)": r"tackle \1",
    r"(?:continue|carry on|go on|proceed) with": "tackle",
    r"^consider(?! (?:whether|if|how|that))": "ponder",
    r"see (?:what|where|how) [\w' -]{0,20}?(?:can|could) be (?:better|improved)(?: (?:in|about))?": "improve",
    r"^(?:adapt|add|adjust|change|refactor|update) [\w' -]{0,30}?(?:as|if|where|wherever) "
    r"(?:appropriate|necessary|needed|required|it makes sense)$": "tackle something",
    r"(?:prepare|get ready) for": "ready-for",
    r"(?:talk|speak|reach out) to|(?:follow up|touch base|catch up|liaise) (?:on|with)": "talk-to",
    r"(?:communicate|coordinate|keep in touch) with": "talk-to",
    r"(?:think|reflect) (?:about|on)|have a think (?:about|on|over)|give (?:some )?thought to": "ponder",
    r"(?:touch|spruce|brush|smarten|polish|jazz|fix) up": "polish",
    r"(?:clean|tidy)[- ](?:up|out)|do (?:a|an|the) (?:clean-?up|cleaning) of": "neaten",
    r"finish(?:[- ]up| off)?|wrap up": "finish",
    r"speed(?:[- ]up)?": "optimise",
    r"do (?:a|an|the) (?:complete |full |quick )?(?:update|overhaul|refresh) of": "update",
    r"keep going|carry on|go on": "continue",
    r"keep an eye on|stay on top of": "monitor",
    r"(?:go|look) (?:through|over)": "review",
    r"do what(?:ever)? (?:you|we) can(?: about| for| with)?": "do something about",
    r"see what (?:can be done|(?:you|we) can do)(?: about| with| for)?": "do something about",
    r"see what you can find|(?:look|dig|poke) around": "find something",
    r"it would be (?:good|great|lovely|nice) if (?:also )?([\w' -]{2,40}?) (?:becomes?"
    r"|gets?|got|were|was|looks?|looked) (?:more |a (?:bit|little) (?:more )?)?(\w+)": r"make \1 \2",
    r"front end": "frontend",
    r"back end": "backend",
    r"^be (?:a bit |less |more )?(?:\w+) (?:about|in|on|towards?|with)": "tackle",
    # What stands for an object.
    rf"(?:as|like) (?:discussed|agreed|{_BEFORE})$": "whatnot",
    rf"(?:the )?same (?:\w+ )?as (?:{_BEFORE})": "whatnot",
    r"odds and ends|bits and (?:pieces|bobs)|loose ends|side of (?:things|it)|the usual": "whatnot",
    rf"more of (?:the same|that)|what(?:ever)?(?:'s| is| are| else)? (?:is )?(?:{_OPEN})": "whatnot",
    r"(?:as|what(?:ever)?) you (?:see fit|think (?:is |it )?(?:best|right|fit)|like|want)": "whatnot",
    r"do the (?:needful|necessary) (?:for|in|on|with)": "tackle",
    r"the (?:needful|necessary)(?! \w)|your (?:thing|magic)|(?:every|any|some)thing else": "whatnot",
    r"it all|all of (?:it|this|that)|and so on": "whatnot",
    r"^(?:and |then |also |now )*(?:the )?same (?:again |thing )?(?:for|with)": "whatnot for",
    r"^(?:and |also |then |plus )+(?:the |our )?(?:other|remaining) [\w -]{2,30}(?: too| as well)(?=,|$)": (
        "whatnot"
    ),
    r"^(?:and |then |also )*(?:maybe|perhaps)(?: also)?(?= (?:the|some|an?|other)\b)": "whatnot",
}  # fmt: skip
_COMMON = _set("a about an and as at for in into is of on or out over the to up w with")


class Turn(NamedTuple):
    """A turn of phrase, and the verb that stands for it."""

    keys: frozenset[str]
    """One of these words is in it, so that most prompts need no search."""
    pattern: re.Pattern[str]
    verb: str


TURNS = tuple(
    Turn(
        frozenset(re.findall(r"[a-z]{2,}", turn)) - _COMMON,
        re.compile(rf"(?<![\w-])(?:{turn})(?![\w-])", re.IGNORECASE),
        verb,
    )
    for turn, verb in _TURNS.items()
)

FILLERS = _set(
    """anything bits business etc everything leftovers matters mess misc miscellaneous others remainder
    rest side situation smth something somethings sth stuff tbd thing thingies things thingy todo
    whatever whatnot"""
)
"""Nouns that stand where an object should."""

OPENING = _set("anything everything smth something sth whatever whatnot")
"""Fillers that other words may follow: "something nice"."""

PARTLY = _set("angle area bit front part piece side topic")
""""The legal part": fillers behind one word, where the verb says nothing either."""

# Whole fields, systems and groups of people: they say where, and not what.
PERSONS = _set(
    """accountant accountants applicants attendees authors buyers candidates children citizens class client
    clients colleagues competitor competitors contractor contractors customer customers dealers developers
    distributors donors drivers employee employees everybody everyone families followers guests investors
    journalists landlord lawyers manager managers member members neighbours newcomers parents participants
    partner partners passengers patients people players pupils readers residents sellers shareholders
    speakers sponsors staff stakeholders student students subscribers supplier suppliers teachers team
    teams tenant tenants trainees user users vendor vendors visitors volunteers voters"""
)
SYSTEMS = _set(
    """api apis app application applications apps back-end backend browser browsers cloud codebase
    computers crm database databases db environment environments erp front-end frontend homepage
    infrastructure intranet machines mobile network networks pipeline platform platforms product products
    project projects server servers service services shop site sites software store system systems
    tooling ui web webpage webshop website websites"""
)
FIELDS = _set(
    """accounting admin auth billing branding business communication communications company compliance
    content department finance finances hr it legal logistics management marketing office onboarding
    operations ops organisation organization payments payroll pr privacy process processes procurement
    production recruiting recruitment sales seo support workflow workflows"""
)
PURSUITS = _set(
    """advertising booking catering deployment fundraising hiring hosting invoicing launch logging
    monitoring packaging planning pricing qa reporting scheduling shipping staffing training"""
)
QUALITIES = _set(
    """accessibility appearance code design efficiency engagement experience look maintainability
    performance productivity quality readability reliability security speed stability usability ux"""
)
METRICS = _set(
    """awareness business conversion conversions cost costs customer culture efficiency engagement expenses
    growth loyalty mood morale motivation performance productivity profit profits quality reach retention
    revenue sales satisfaction spending traffic trust visibility wellbeing well-being"""
)
ABSTRACT = ("ability", "fulness", "iness", "ivity")
"""Endings of nouns for how something is: of people and systems they say as little as `METRICS`."""
TROUBLES = _set("bug bugs concern concerns defect defects error errors issue issues problem problems")
CHANGES = _set(
    """adjustment adjustments change changes cleanup cleanups correction corrections enhancement
    enhancements fix fixes improvement improvements modification modifications optimisation
    optimisations optimization optimizations tweak tweaks update updates upgrades"""
)
RESEARCH = _set("analysis brainstorming cleanup digging investigation research testing thinking")
PRODUCTS = _set("charts code content documents features images material materials posts slides text texts")
"""What may be asked for as "some content", which says nothing of it."""

# How something is to be, without a measure.
PRAISE = _set(
    """amazing attractive awesome beautiful better clean compelling compliant cool engaging exciting fine fun
    good great happen happy interesting modern nice nicer ok okay perfect pop prettier pretty
    professional proper properly right robust shine smooth smoother stronger well work working works"""
)
DEGREE = _set("cleaner clearer cleverer easier fancier faster leaner modern quicker simpler smarter")

HEDGES = _set(
    """actual actually additional again already also annoying another anyway anyways appropriate asap bad
    basically best bit cool else entire etc eventually everything exciting few further general generally
    go going good incoming interesting just kind kindly left little lot lots many maybe minor more
    necessary needed nice nicely other overall perhaps please pls possible possibly probably proper
    properly quickly random really relevant remaining required respective rest several simply small
    somehow soon sort still too try useful usual various well whole"""
)
"""Words that add nothing to what is asked for."""

LOOSE = _set("additional few further general misc miscellaneous more other random several some various")

WONDERFUL = _set("amazing awesome better cool good great nice nicer perfect prettier pretty")
"""Praise that is no measure of anything."""

WORK = _set("action actions item items part parts point points step steps task tasks topic topics work")
"""What "the remaining" of it is, only its author knows."""

OPEN = _set("current open outstanding pending")
"""What stands before such work, and does not say which it is."""

REMAINING = _set("leftover other others remaining rest usual")
"""What is known only to who remembers what was done before."""

CRITERIA = _set(
    """according against based because below except if least like matching must per should than that's under
    unless until using whether which who without"""
)
"""Words that begin what has to hold in the end."""

GROUPS = {
    word: group
    for group, words in {
        "any": "ponder tackle",
        "ready": "ready-for",
        "look": "look-at",
        "do": "do",
        "talk": "talk-to",
        "field": "address assist handle help oversee support",
        "lead": "coordinate manage organise organize",
        "into": "explore investigate look-into",
        "check": "check examine inspect verify",
        "test": "monitor review test",
        "ensure": "ensure",
        "improve": """better enhance fine-tune improve modernise modernize optimise optimize polish refine
            revamp rework streamline tune upgrade""",
        "mend": "correct debug fix mend repair resolve solve",
        "raise": "boost decrease grow increase lower maximise maximize minimise minimize reduce",
        "update": "refresh update",
        "tidy": "neaten",
        "end": "complete continue finish proceed",
        "make": "get make",
        "give": "give",
        "create": "add apply build compose create design draft implement prepare produce write",
    }.items()
    for word in words.split()
}
"""Verbs that ask for no result, by what has to stand behind them to make one."""

ALONE = _set(
    "continue finish fix handle help improve investigate neaten optimise optimize polish proceed tackle"
)
"""Verbs that are nothing without an object."""

_WHERE = PERSONS | SYSTEMS | FIELDS
ALL_WIDE = _WHERE | PURSUITS | QUALITIES
"""What by itself is no task: "monitoring"."""
NEAR = {
    "any": _WHERE | PURSUITS | QUALITIES,
    "look": _WHERE | PURSUITS | QUALITIES,
    "do": SYSTEMS | FIELDS,
    "talk": PERSONS,
    "field": _WHERE,
    "lead": _set("agents everyone people process project projects staff team teams work"),
    "into": _WHERE | TROUBLES | QUALITIES,
    "check": _WHERE - _set("api apis compliance content pipeline privacy process"),
    "ensure": QUALITIES | _set("compliance success"),
    "improve": _WHERE | QUALITIES | METRICS,
    "mend": (SYSTEMS | FIELDS | QUALITIES | TROUBLES) - _set("pipeline process"),
    "raise": METRICS | QUALITIES,
    "update": (SYSTEMS | _set("code process"))
    - _set("apps browser browsers computers machines pipeline server servers"),
    "end": _set("job project task tasks work"),
}
"""Of each group of verbs the nouns that make no object yet."""

TRIGGERS = (
    frozenset(GROUPS)
    | FILLERS
    | CHANGES
    | _set(
        """adapt adjust agreed always attend become becomes before bring brush carry catch change
        clean communicate consider coordinate deal dig discussed drive fiddle figure finish follow
        frontend get go have inquire jazz keep knock lend liaise look maybe mess more move needful
        next perhaps pitch play poke prepare push put reach refactor reflect remaining research same
        see smarten sort speak speed spend spruce stay straighten take talk think tidy tinker touch
        toy update usual what what's whip work wrap you"""
    )
)
"""One of these stands in every prompt that the rules have to look at."""

KNOWN = (
    TRIGGERS
    | HEDGES
    | PRAISE
    | DEGREE
    | REMAINING
    | (AUXILIARY | EMPTY | LEAD | STOP)
    | frozenset(word for turn in TURNS for word in turn.keys)
)
"""Words that add nothing to what a prompt says of its object."""

MOST_SAID = 5
"""Other words than those: a prompt with more of them says something."""
