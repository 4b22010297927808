"""The words that tell patterns apart: closed classes, and nouns that `models.words` need not know."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COUNTED = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty"""
NUMBERS = {word: number for number, word in enumerate(_COUNTED.split(), 2)}
NUMBERS |= {"both": 2, "couple": 2, "pair": 2, "dozen": 12, "twenty-five": 25, "thirty": 30, "forty": 40}
NUMBERS |= {"fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
NUMBERS |= {"hundred": 100, "hundreds": 100, "thousand": 1000, "thousands": 1000}
UNKNOWN_MANY = _set(
    """many several various multiple numerous dozens hundreds thousands loads tons lots countless"""
)
"""More than a few, and nobody says how many."""

NO_THINGS = _set(
    """day days week weeks month months year years time times hour hours minute minutes second monday
    tuesday wednesday thursday friday saturday sunday night morning step steps stage stages other others
    quarter quarters way ways reason reasons lot lots bit bits detail details cases possible possibly kind
    kinds sort sorts side sides rest need"""
)
"""What may stand behind "every" and "all" without being worked on."""
AUDIENCE = _set(
    """staff employee customer user subscriber team everyone everybody colleague reader member resident
    tenant parent audience board client visitor guest person newcomer beginner child kid stakeholder
    investor"""
)
"""For them something is made; they are not what it is made of."""
SMALL_ONES = _set(
    """name idea title headline slogan example tip option suggestion question fact joke quote keyword
    hashtag sentence bullet variant alternative reason synonym"""
)
ERRANDS = _set("thing task job item bit errand chore todo point")
"""Nouns that announce a row of different orders."""
GONE_THROUGH = _set("read go watch collect gather review skim work look check scan listen")
ABOUT = _set("on from against under at by about of with than per through for")
"""What a result that is only read stands behind."""
UNITS = _set(
    """bullet bullets bytes cents character characters days decades degrees dollars euros gb hours inches
    k kb km lines m mb meters metres miles minutes months ms pages paragraphs percent points pounds
    quarters seats seconds sentences stars steps tb times tokens users weeks words years"""
)
"""A number of these measures something and counts no parts."""

EACH = _set("each every per individual respective")
ALL = _set("all both entire every everything whole")
THEM = _set("it that them those these")
AGAINST = _set("or vs versus against")
OWN = _set(
    """a an any each every her his its my no our some such that the their these this those which your"""
)
"""What begins a phrase of nouns."""

# Nouns by what they are in a goal.
VIEW = _set(
    """angle aspect case eye criterion criteria dimension lens opinion perspective persona pov side stance
    standpoint take view viewpoint"""
)
ROLE = _set(
    """accountant adviser advisor agent analyst architect auditor banker beginner biologist buyer ceo cfo
    chemist child clinician coach colleague competitor consultant consumer copywriter cpo critic cto
    customer dba dentist designer dev developer devops doctor economist editor employee engineer ethicist
    expert farmer father founder guru hacker historian investor journalist judge jurist juror landlord
    lawyer layman librarian linguist manager marketer mathematician mother musician novice nurse operator
    opponent optimist parent patient pedant pessimist pharmacist philosopher photographer physician
    physicist planner poet politician professor programmer psychologist purchaser reader realist recruiter
    referee researcher reviewer salesperson scientist sceptic skeptic sociologist sre statistician
    stakeholder student supplier teacher teenager tenant tester theologian trainer translator user vet"""
)
ROLE_ENDINGS = ("ologist", "ician", "person", "analyst", "engineer", "expert", "specialist", "advocate")
ASPECT = _set(
    """accessibility accuracy aesthetics affordability argument availability clarity coherence commercial
    complexity compliance correctness cost costs coverage cultural culture customer data design
    documentation durability ecological economic economics efficacy efficiency engineering environmental
    ergonomics ethical ethics feasibility finance financial fit flow functionality grammar growth hr
    impact integration integrations investment it latency law legal logic logistics maintainability
    maintenance market marketing medical methodology moral novelty operational operations organisational
    originality performance plot political portability price pricing privacy product profitability quality
    readability regulation regulatory reliability reputation resilience revenue risk risks safety sales
    scalability security seo simplicity social sources speed stability strategic structure style support
    sustainability tax team tech technical technology testability testing tests tone usability ux value"""
)
"""Sides from which one thing can be looked at."""
ANSWER = _set(
    """advice answer assessment call choice conclusion critique decision judgement judgment opinion
    recommendation ruling synthesis verdict vote winner"""
)
"""One of these is wanted where several views were asked for."""
PLANNED = _set(
    """architecture blueprint concept plan programme program roadmap strategy split breakdown curriculum
    syllabus priority priorities agenda"""
)
RESULT = _set(
    """aggregate analysis average breakdown bibliography bill catalogue chart chronology compendium count
    dashboard dataset deck digest directory distribution document faq figure file glossary graph heatmap
    histogram index inventory leaderboard list log map matrix mean median newsletter overview paper
    percentage picture ranking register report review roundup scoreboard sheet shortlist spreadsheet
    statistic statistics sum summary synthesis table tally timeline total trend"""
)
"""What many things can be brought down to."""
ONE = _set(
    """a an combined common complete consolidated final full general global integrated joint master merged
    one overall shared single the top total unified"""
)

# Verbs, beside the classes of `models.words`.
JOINING = _set(
    """aggregate amalgamate average boil collate combine compile condense consolidate distil distill
    reconcile integrate join merge pool rank roll sum summarise summarize synthesise synthesize tabulate
    tally total unify chart plot graph visualise visualize"""
)
SEEKING = _set(
    """detect find hunt identify locate pick pinpoint prioritise prioritize select choose shortlist
    spot"""
)
GATHERING = _set("add count compile join merge collate summarise summarize pool")
"""Of these words only the ones that also gather the things themselves."""
FOUND = _set(
    """weakness gap risk issue bug cause problem finding hotspot bottleneck hole driver vulnerability flaw
    defect violation leak offender area spot part reason"""
)
FINDING = _set(
    """analyse analyze ascertain assess audit check detect determine diagnose discover establish evaluate
    examine dig figure find hunt identify inspect inventory investigate learn locate look pinpoint
    prioritise prioritize research review scan search see select study survey track"""
)
WHOLE = _set(
    """app application architecture backend business codebase company department erp estate frontend
    infrastructure landscape monolith organisation organization platform portal product repo repository
    shop site stack suite system systems warehouse website centre center cloud vendor"""
)
"""Too large for one pair of hands where it is changed as a whole."""
OVERTURN = _set(
    """convert decompose merge migrate modernise modernize modularise move overhaul port re-architect
    re-platform rearchitect rebrand rebuild redesign redo refactor reimplement reorganise reorganize
    replace replatform restructure rewrite rework rewriting split switch transform transition untangle
    upgrade rethink reinvent"""
)

# Words of order.
NEXT = _set(
    """after afterwards based before finally following last lastly later next once only second
    subsequently then third until when"""
)
STAGES = (
    _set(
        """acquire collect crawl download dump export fetch field gather import ingest interview measure
        observe provision pull record request research sample scan scrape shoot survey take reproduce
        transcribe brainstorm"""
    ),
    _set(
        """anonymise clean code convert dedupe deduplicate extract filter geocode join label map merge
        normalise normalize ocr parse prepare preprocess sort tag transform"""
    ),
    _set("architect brief concept define design draft outline plan prototype scope sketch specify"),
    _set(
        """analyse analyze apply assemble author build calculate code compile compute create develop fit
        fix generate implement make model package run seed train write"""
    ),
    _set("approve check debug edit evaluate proofread qa review revise sign test validate verify"),
    _set(
        """announce deploy file finalise flash launch load merge present print promote publish push
        refresh release report send ship submit switch tag translate upload visualise visualize"""
    ),
    _set("archive celebrate close decommission document maintain measure monitor retire"),
)
"""Stages of work in the order in which they come."""

# Small words, by which a language shows itself.
ENGLISH = _set(
    """a all an and as at by each for from how i is it my of on or our please the this to we what which
    with"""
)
FOREIGN = _set(
    """alle als auf aus bitte con da dans das de del dem den der des det di du e ein eine einen el els en
    et fur für het il ist je jede jeden la las le les los mit na naar nicht nie och og os por pour sur
    todo todos tous toutes tutti una und une van voor w y z zu zum zur"""
)


def singular(word: str) -> str:
    """The word without the ending of the plural."""
    word = word.removesuffix("'s").removesuffix("’s")
    if word in _IRREGULAR or word in _SINGULAR:
        return _IRREGULAR.get(word, word)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word[-1] == "s" and word[-2:] not in ("ss", "is") else word


_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "criteria": "criterion",
    "analyses": "analysis",
    "theses": "thesis",
    "hypotheses": "hypothesis",
    "indices": "index",
    "appendices": "appendix",
    "matrices": "matrix",
    "media": "medium",
    "lives": "life",
    "halves": "half",
}
_SINGULAR = _set(
    """across always apparatus as aws besides bias bonus bus business campus canvas census chorus circus
    consensus corpus dns does famous focus gas genus has ios its kubernetes lens lets minus news nexus
    obvious opus perhaps pls plus previous prospectus radius sales series serious species status stimulus
    surplus syllabus thanks this thx tls us various versus virus vs was whats yes"""
)
"""Words on -s that are no plurals."""


def is_plural(word: str) -> bool:
    return word.isascii() and singular(word) != word and "'" not in word


def is_role(word: str) -> bool:
    """Whether it names who somebody is, and so how that one looks at things."""
    return singular(word) in ROLE or word.endswith(ROLE_ENDINGS)
