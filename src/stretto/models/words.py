"""The words that tell kinds of work apart: classes of verbs and of nouns, and the level where the two meet.

A level is a place on one scale: below 0.5 lies mechanical work, from 1.5 on strategy, development between.
Words stand here in one form; `stem` finds the others, British or American. Of two classes, the first wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Rows: what is done, by class of verb; `noun` is a noun that is asked for by itself ("Refactoring roadmap").
# Columns: what it is done to, by class of noun. A dot is as the class that NEXT names, and at last as `any`.
# `reach` is how far wide scope (whole systems, years, risks) lifts it.
_TABLE = """
verb     any trifle named unit part suite text logic fault theme way plan tech wide choice offer grand reach
fetch    0.0      .     .    .    .     .    .     .     .     .   .    .    .    .      .     .     .     .
seek     0.0      .     .    .    .     .    .     .   1.0   0.9 1.2    .    .    .    1.1     .   0.4   0.6
edit     0.0      .     .    .    .     .    .     .   0.9     .   .    .    .    .      .     .     .     .
set      0.0      .     .    .    .     .    .     .     .     .   .    .    .    .    1.6     .   1.7     .
run      0.0      .     .    .    .   0.8    .     .     .     .   .  0.9    .    .      .     .   1.0     .
alter    0.1    0.0     .    .    .   0.8    .   1.0   0.6   0.9   .    .  0.9  1.2      .     .   1.0     .
shape    0.7    0.0   0.2  0.8    .     .  0.9   1.0     .   0.9   .    .    .  1.3      .     .   1.5     .
join     0.2    0.0   0.1    .  0.8     .  0.9   0.9     .   0.9   .    .    .  1.2      .     .   1.5     .
add      0.9    0.1   0.2    .    .     .    .     .     .     .   .    .    .    .      .     .     .     .
check    0.4    0.1   0.3  0.6    .     .  0.7   0.9   1.0   1.0 1.2    .    .  0.9      .     .   1.2     .
give     0.3    0.0     .  0.4    .     .  0.7     .   1.0   0.9 1.3  1.2    .    .    1.7     .   1.9   0.6
select   0.6    0.0     .    .    .     .    .     .     .     . 1.6    .  1.6  1.7    1.6     .   1.8   0.8
learn    0.8    0.2     .    .    .     .    .     .   1.0     . 1.5  1.2    .  1.1    1.5     .   1.8   0.8
build    1.0    0.7     .    .    .     .    .     .     .     .   .    .    .  1.1      .     .   1.2   0.2
make     1.0    0.2     .    .    .     .    .     .     .     . 1.2  1.2    .  1.2    1.7     .   1.9   0.4
mend     1.0    0.2     .    .    .     .    .     .     .     .   .    .    .  1.2      .     .   1.5   0.4
relate   1.0    0.6     .    .    .     .    .     .     .     .   .    .    .    .      .     .     .   0.3
do       1.0    0.6     .    .    .     .    .     .     .     .   .    .    .    .      .     .     .     .
compare  1.0    0.6     .    .    .     .    .     .     .     .   .    .  1.5  1.4    1.5   1.0   1.8   1.0
judge    1.0    0.7     .    .    .     .    .     .     .     . 1.3    .    .  1.4    1.5   1.0   1.8   1.0
sketch   1.0    0.6     .    .    .     .    .     .     .     . 1.4  1.3  1.4  1.5    1.7     .   1.9   1.0
appraise 1.2    0.6     .  1.0    .     .    .     .     .     . 1.5    .  1.6  1.6    1.8     .   1.9   1.2
plan     1.5    0.4     .  1.0    .     .    .   1.2   1.0   1.2 1.7  1.5    .  1.8    1.8     .   2.1   1.0
decide   1.6    0.6     .  1.0    .     .    .   1.2   1.0   1.2 1.7  1.6    .  1.8    1.9     .   2.1   1.0
rethink  1.8    0.5     .  1.1  1.6     .    .   1.4   1.2     .   .  1.7    .    .      .     .     .   1.0
noun     0.7    0.0     .  0.8    .     .    .   1.0   1.0     . 1.2  1.2    .  1.1    1.6     .   1.9   0.6
"""
NEXT = {
    "offer": "choice",
    "algorithm": "wide",
    "suite": "unit",
    "text": "unit",
    "plan": "unit",
    "part": "unit",
}


def _rows() -> Iterator[tuple[str, dict[str, float]]]:
    head, *lines = _TABLE.strip().splitlines()
    columns = ["", *head.split()[2:]]
    for line in lines:
        verb, *cells = line.split()
        yield verb, {name: float(cell) for name, cell in zip(columns, cells, strict=True) if cell != "."}


LEVELS = dict(_rows())
REACH = {verb: row.pop("reach") for verb, row in LEVELS.items() if "reach" in row}

VERBS = {
    "fetch": """acquire average browse calculate capture cat cite compile compute consult copy count crawl
        diff display download dump echo enumerate export fetch follow gather get glance go grab grep head
        import inventory load log lookup measure memorise monitor name observe obtain open output
        parse peruse ping point print pull query quote read receive recite record recount request reread
        retrieve return scan scrape screenshot see show skim skip subtotal sum tabulate tail take tally
        total track transcribe trawl view wait walk watch""",
    "seek": """catalog catalogue collect detect find flag hunt itemise list locate look note pinpoint search
        seek spot""",
    "edit": """acknowledge align allocate alphabetise announce anonymise append archive arrange
        assign attach back ban bin blank block bold book bookmark bump cancel capitalise categorise cc
        chase classify clear click close collapse collate colour comment compress concatenate contact crop
        cross decode decrypt deduct dedupe deduplicate delete digitise disable distribute docket drop
        duplicate email empty encode encrypt enter erase escalate escape exclude file fill filter flatten
        flip format forward hash hide highlight hyphenate indent inform insert invite italicise join jot
        keep label leave link lint lock lowercase mark mask match minify multiply mute normalise notify
        nudge nuke null number order organise pad pair park paste pay pin pivot place populate post prefix
        prepend prune purchase put rearrange reassign recolour redact redo reformat refresh relabel remind
        remove rename renumber reopen reorder reschedule reserve reset resize reverse rotate round sample
        save schedule scrub send share shelve shuffle sign silence snooze sort spell spellcheck squash
        stage stamp stash stick store strike strip subscribe substitute subtract suffix swap tag tar throw
        tidy toggle transfer transpose trim truncate type unblock uncomment underline undo unhide unlink
        unlock unmark unmute unpin unsubscribe unwrap unzip upload uppercase use wipe withdraw yank zero
        zip""",
    "set": "set",
    "run": """activate allowlist apply boot bring call checkout cherrypick clone commit cordon deactivate
        deploy detach drain evict execute expire flush grant host initialise install invoke kill launch
        mirror mount pause promote provision publish purge push reboot redeliver redeploy regenerate
        register release reload renew rerun restart restore resume revert revoke roll rollback run scale
        seed ship shut shutdown snapshot spin start stop suspend sync taint tear terminate trigger
        uninstall unmount warm whitelist""",
    "alter": """adjust alter amend change convert extract inline modify move relocate replace separate split
        switch update""",
    "shape": "turn transform",
    "join": "combine group merge",
    "add": "add include generate enable",
    "do": "do perform conduct undertake",
    "check": "check verify confirm validate crosscheck doublecheck",
    "give": "deliver give hand present provide report say state submit supply tell",
    "select": "select pick shortlist",
    "learn": "ascertain clarify determine discover ensure explore figure identify map understand",
    "build": """accept allow automate backfill bootstrap code configure connect containerise cover dockerise
        enforce expose fit handle honour hook implement incorporate instrument integrate let manage mock
        package permit persist preprocess preserve render respect script serialise stub support wire wrap""",
    "make": """achieve adapt animate answer apologise assemble build carry chart come complete compose
        construct convince cook craft create customise demonstrate develop draft draw embed extend
        finalise finish forecast formulate guide hack hold ideate illustrate interview introduce knock
        localise make model negotiate offer paint persuade pitch plot predict produce program prototype
        remember reply respond scaffold shoot simulate storyboard teach train visualise whip word work
        write""",
    "mend": """abstract accelerate address adopt annotate augment avoid balance calibrate calm clean cleanse
        condense consolidate correct cut debug decouple decrease edit eliminate encapsulate enhance enrich
        expand finetune fix generalise halve harden hotfix improve impute increase isolate lengthen lower
        maintain mend migrate minimise mitigate modernise modularise optimise parallelise parametrise
        paraphrase patch plug polish port prevent proofread raise rebuild reconcile reconstruct recover
        rectify reduce refactor refine relax remediate remedy repair rephrase rescue resolve restyle
        retrofit revise reword rework rewrite salvage secure sharpen shorten shrink simplify soften solve
        speed stabilise standardise stem streamline strengthen tighten translate troubleshoot tune unify
        untangle upgrade vectorise""",
    "relate": """boil describe digest discuss distil document elaborate explain interpret narrate recap
        summarise synthesise""",
    "compare": "compare contrast",
    "judge": """analyse approve argue attribute audit benchmark challenge cluster conclude correlate critique
        curate
        debate derive diagnose disprove dissect estimate examine experiment eyeball fuzz gauge grade infer
        inspect investigate judge justify prioritise probe profile prove qa quantify question rank rate
        reason reflect refute reproduce research reverseengineer review score scrutinise segment size
        study survey test think trace triage unpick vet""",
    "sketch": """brainstorm coordinate define establish frame outline prepare scope sketch spec specify
        suggest""",
    "appraise": "evaluate assess appraise weigh",
    "plan": "conceive design devise engineer game invent lay orchestrate phase plan roadmap wargame",
    "decide": "advise choose decide position propose recommend settle",
    "rethink": """architect envision overhaul rearchitect reconceive redesign reimagine reinvent reorganise
        replatform restructure rethink strategise""",
}

# A verb and a particle close behind it.
PARTICLES = {
    "find out": "learn",
    "work out": "sketch",
    "figure out": "learn",
    "make sure": "learn",
    "walk through": "relate",
    "get down": "mend",
    "map out": "sketch",
    "come up": "sketch",
    "draw up": "sketch",
    "think through": "plan",
    "set out": "plan",
    "set up": "make",
    "carry out": "do",
    "track down": "judge",
    "put together": "make",
    "write up": "make",
    "mark up": "mend",
    "clean up": "mend",
    "sort out": "mend",
    "get rid": "mend",
    "bring down": "mend",
    "look into": "judge",
    "look hard": "judge",
    "spell out": "sketch",
    "look closely": "judge",
    "dig into": "judge",
    "break down": "judge",
    "comment on": "relate",
    "make case": "decide",
    "make call": "decide",
    "look up": "fetch",
    "note down": "fetch",
    "write down": "give",
    "let know": "give",
    "check out": "run",
    "answer with": "fetch",
    "answer in": "fetch",
    "answer only": "fetch",
    "answer yes": "fetch",
    "respond with": "fetch",
    "reply with": "fetch",
    "write to": "edit",
    "write out": "edit",
    "write back": "edit",
}
PARTED = frozenset(pair.partition(" ")[0] for pair in PARTICLES)

# Nouns of doing: a security audit of X is to audit X. The stems of verbs count as well.
ACTIONS = {
    "run": "deployment rollback restart",
    "relate": "summary synthesis explanation interpretation recap",
    "compare": "comparison",
    "judge": """analysis audit critique diagnosis examination feedback inspection investigation opinion
        research review verdict""",
    "appraise": "assessment evaluation appraisal",
    "mend": "refactoring optimisation rewrite cleanup upgrade",
    "rethink": "redesign reorganisation overhaul rethought",
    "plan": "planning design",
    "decide": "chosen",
}

NOUNS = {
    # What can be handled without being understood.
    "trifle": """address alias appointment archive attachment average backup bookmark bracket bucket button
        calendar capitalisation caption certificate changelog character checkbox colour column comma
        comment constant container contents copy count csv currency date deadline directory empty entry
        extension field file filename flag folder font footnote header heading hostname icon id image
        inbox indentation inventory invoice ip item json key label licence limit list location log logo
        margin maximum mean member minimum minutes name newline node number numbering output padding
        percentage permission phone pod port postcode punctuation quote receipt record reference reminder
        result roster row screenshot setting sheet signature size space spelling spreadsheet status street
        string subscription sum symlink tab table tag tarball  timestamp title todo total typo unit url
        value variable version whitespace zip""",
    # Handled by what it is called; so are names, paths and quoted words.
    "named": "line placeholder",
    # What one head holds.
    "unit": """alert array banner branch card caterer cell chart class command commit  dashboard
        deck diagram dialog diff dinner endpoint event example exercise feature fix fixture flight
        flowchart flyer form formula function game gift helper hotel hotfix index interview invitation
        issue job layout  loop lunch macro makefile meeting menu merge method mockup modal navbar
        notebook object offer outline page parser party patch persona photo picnic poll poster pr proof puzzle
        query questionnaire quiz quotation recipe regex request restaurant retreat room rule screen script
        seat seating session sidebar slide slot snippet sprint story survey task template thumbnail ticket
        toolbar tooltip train trigger trip venue video view widget wireframe workshop""",
    "suite": "test suite testing coverage",
    "part": "module area subsystem component package section",
    "text": """abstract advert agenda agreement answer apology article bio blog book brief chapter clause
        complaint contract curriculum cv description doc docs document documentation draft email essay faq
        guide headline introduction lease letter mail manual manuscript memo message nda newsletter notes
        notice novel paper paragraph poem post postmortem prd presentation press readme reply report
        resume runbook slogan song speech statement style summary testimonial text tone transcript
        tutorial tweet wording""",
    # What code does.
    "logic": """abstraction async authentication authorisation behaviour caching calculation callback caller
        closure computation concurrency conditional constructor controller decorator handler handling hook
        implementation inheritance interface logic mechanism middleware pagination parsing reducer retry
        serialisation subclass superclass validation""",
    # What is wrong, or why.
    "fault": """ambiguity anomaly antipattern bias blocker bottleneck bug cause compliance contradiction
        correctness culprit deadlock deficiency discrepancy fallacy flaw fraud gap hole hotspot inaccuracy
        inconsistency leak loophole mistake outlier pitfall problem race reason regression risk shortcoming
        smell vulnerability weakness""",
    "theme": """argument conclusion consequence correlation difference driver evidence factor finding
        hypothesis implication insight lesson lever meaning opportunity pattern rating relation
        relationship sentiment severity similarity takeaway theme trend""",
    "way": "approach path remedy replacement solution substitute successor way",
    # As far-reaching as what it is about.
    "plan": "case initiative model plan playbook process rfc",
    # What carries others; dear to choose, to change and to leave.
    "tech": """airflow angular aws azure backend bigquery broker cloud database databricks datastore django
        elasticsearch framework gcp golang graphql grpc java kafka kotlin kubernetes lakehouse language
        library mongodb mysql oracle orm postgres postgresql provider rabbitmq rails react redis rest
        runtime rust salesforce sap snowflake stack svelte technology terraform tool vendor vue warehouse""",
    "wide": """acquisition base boundary business capacity centre codebase company consolidation consortium
        continuity cutover datacenter datacentre disaster division ecosystem enterprise estate exit
        expansion failover feasibility fleet industry infrastructure integration investment landscape
        mainframe market merger mesh microservice migration modernisation monetisation monolith network
        organisation outsourcing partnership platform portfolio pricing programme ransomware recovery
        resilience restructuring rollout scalability sharding subsidiary succession sustainability system
        tenancy transformation transition venture viability workforce""",
    "grand": """architecture blueprint concept decomposition direction doctrine gotomarket governance
        guardrail mission moat moonshot northstar paradigm philosophy positioning posture principle
        priority roadmap stance strategy topology tradeoff vision""",
    "choice": "option alternative",
    "offer": "recommendation decision proposal position",
    # Hard by itself, where it is new or has to be proved.
    "algorithm": "algorithm consensus datatype estimator heuristic protocol scheme solver",
    # Neither small nor great, so that the word before it does not speak for it.
    "thing": """api app application budget build campaign client code customer data dataset department
        employee flow person pipeline policy product project question schema server service site supplier
        team user website""",
}

# Signs of wide scope; each group counts once.
SCOPE = {
    "hard": """amortised approximation bound complexity concurrent converge convergence exactlyonce fairness
        linearizable lockfree nearoptimal novel nphard optimal optimality optimally provable provably prove
        sublinear transitive unbiased worstcase""",
    "the whole": """across codebase company companywide comprehensive country department enterprise entire
        everywhere global ground holistic infrastructure monolith organisation organisationwide overall
        platform products region services subsidiary team whole workloads""",
    "years": "decade fiveyear future longterm multiyear threeyear year",
    "stakes": "cost downtime leverage lockin loss outage profit revenue risk rollback skill staffing",
    "stages": "milestone phase rollout sequence stage timeline wave",
    "growth": "billion grow growth load million scalability scale tenfold throughput times traffic",
    "leaders": "board ceo cfo committee cto exec executive leadership management stakeholder",
    "alternatives": "alternative candidate cons criteria criterion option pros tradeoff versus vs",
}

# Verbs that are nouns as often: behind "and" or a comma they need an object of their own.
EITHER = frozenset(
    """address answer architect audit bin build change chart code comment cover cut design document draft
        edit engineer estimate game guide host interview map model name offer package park patch phase
        pitch plan plot port position profile program question rank rate reply report research review
        roadmap scope score script segment size state study support survey test track word work
        e-mail email export import log mail release rollback schedule sync""".split()
)


# Words that say something by themselves.
DECIDED = _set(
    """abandon adopt buy close cut discontinue drop enter expand grow hire invest keep launch leave migrate
    move open prioritise prioritize replace sell start stop"""
)
"""What "do we" asks a decision of: "which products do we drop"."""
ASKING = _set("i our they we")
"""Who asks whether something is allowed: "can we keep the recordings"."""
WANT = _set("need needs want wants like")
WISH = _set("should want wants wish would")
WHOLE = _set("company firm group organisation organization")
"""How a whole of people should do something is no question of one thing."""
OURS = WHOLE | _set("we our us ours")
SHOULD = _set("should shall would must")
MODAL = _set("do should can could would will must to")
OF_A_WHOLE = _set("business delivery engagement funding governance operating revenue service sourcing target")
"""What makes a model of how a whole organisation works: "the operating model"."""
BEST = _set("best right better worth fits")
FACT = _set(
    """appear balance contain exist have include latency list mention name p95 p99 price rate say there uptime
    usage use"""
)
COUNTED = _set("many much often long old big large far")
SMALL = _set("small quick simple minor little tiny tweak trivial")
PRIORITY = _set("critical risky risk priority crucial dangerous important")
PARTICLE = _set("up out down off away back together with on about through for over at")
WHERE = _set("where which what whether how whom whose between on about")
JUDGING = _set(
    """agree annoys appropriate bad best better broke cause caused causes causing clear compliant complies
        comply correct correctly could differs disagree drive drives enough fair flaky good happened
        happens invalid lacking likely mean means meant meets might plausible real really reasonable
        relevant right safe serious stands stronger suspicious unclear unfair valid weaker worst wrong"""
)
SYMPTOM = _set(
    """blank breaks broke broken bug can't cannot confusing corrupt corrupted corrupting corrupts crash
        crashed crashes crashing denied doesn't drops duplicated duplicates error errors exception
        exceptions fail failed failing fails flickers freezes frozen furious garbled hang hanging hangs
        ignores inconsistent incorrect instead isn't lags leak leaks longer lose loses lost misses missing
        overflows panics rejected rejects resets segfault slow stale stopped stuck swallows throws timeout
        timeouts truncates twice unable unexpected unexpectedly unreadable wasn't won't wrong"""
)


AIMS = _set(
    "agenda budget ceiling ceilings criteria goal goals objective objectives quota quotas target targets tone"
)
"""What is settled where it is set, unless its value is given."""


class Complement(NamedTuple):
    """What words behind a verb ask for: the level is at least `floor`, and raised by `lift`."""

    verbs: frozenset[str]
    words: frozenset[str]
    floor: float
    lift: float = 0.0
    also: frozenset[str] = frozenset()
    """Where it is not empty, one of these must stand there too; `#` is a class of noun, `@` one of scope."""
    unless: str = ""
    """What makes a question of fact of it: "what the port is"."""


_ASKED = frozenset(LEVELS) - {"edit", "run", "alter", "shape", "join", "set", "build", "mend"}
_COMPLEMENTS = (
    Complement(_ASKED, _set("why"), 1.1),
    Complement(_ASKED, _set("how"), 1.0),
    Complement(
        _set("give learn judge sketch plan decide appraise"),
        _set("how"),
        1.0,
        0.4,
        _set("company should us we"),
    ),
    Complement(_set("plan sketch"), _set("from"), 0.0, 0.3, _set("to")),
    Complement(_set("fetch seek"), _set("should"), 1.0),
    Complement(_set("alter edit fetch seek"), _set("proposed recommended suggested"), 1.0, also=_set("with")),
    Complement(_set("set"), AIMS, 1.0, unless="to"),
    Complement(_set("give learn sketch judge appraise"), SHOULD, 1.0, 0.5, OURS),
    Complement(_set("give learn"), _set("what"), 1.6, also=_set("do")),
    Complement(_set("give"), _set("what"), 1.0, unless="#trifle"),
    Complement(_set("give learn"), _set("whether"), 0.9, unless="#trifle"),
    Complement(_set("check seek learn give"), _set("if whether"), 1.0, also=_set("can could may might")),
    Complement(_set("check seek learn give"), JUDGING, 1.0),
    Complement(_set("edit alter shape run"), _set("breaking losing"), 1.0),
    Complement(_set("seek"), _set("best right"), 0.0, 0.4),
    Complement(_set("decide appraise"), _set("against between vs versus"), 1.6),
    Complement(
        _set("build make sketch plan judge learn seek mend noun"),
        _set("@hard"),
        1.8,
        also=_set("#algorithm #way"),
    ),
    Complement(_set("appraise judge learn"), _set("best right"), 1.6, also=OURS),
    Complement(_set("learn select"), _set("best right"), 1.5, also=_set("#plan #way #tech #wide #choice")),
    Complement(_set("learn judge"), PRIORITY, 1.6, also=_set("#part #wide")),
)
COMPLEMENTS = {verb: [one for one in _COMPLEMENTS if verb in one.verbs] for verb in LEVELS}


class Word(NamedTuple):
    """A word of a text with what the tables know of it; empty where nothing."""

    text: str
    verb: str
    """Its class as a verb in its base form."""
    action: str
    """The class of the verb that it is a form or a noun of."""
    noun: str
    scope: str
    signs: tuple[str, ...]
    """What a complement may ask for: the text, `#` and its class of noun, `@` and its class of scope."""


def stem(word: str) -> str:
    """The word without endings, and without what British and American spelling differ in."""
    word = _spelt(word).removesuffix("'s")
    if len(word) > 4 and word.endswith(("ies", "ied")):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    elif len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
    elif len(word) > 4 and word.endswith("ed"):
        word = word[:-2]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def base(participle: str) -> str:
    """The verb of a regular participle, as far as particles need it: worked, sorted."""
    return participle.removesuffix("ed")


def _spelt(word: str) -> str:
    return word.replace("iz", "is").replace("yz", "ys").replace("our", "or").replace("centre", "center")


def _noun(word: str) -> str:
    """Pricing is not prices, logging is no log: what ends in -ing stands for itself."""
    return _spelt(word) if word.endswith("ing") else stem(word)


def _by_stem(table: dict[str, str]) -> dict[str, str]:
    return {stem(word): name for name, words in reversed(table.items()) for word in words.split()}


_BASE = {_spelt(word): name for name, words in reversed(VERBS.items()) for word in words.split()}
_ACTION = _by_stem(VERBS) | _by_stem(ACTIONS)
_NOUN = {_noun(word): name for name, words in reversed(NOUNS.items()) for word in words.split()} | {
    "paths": "trifle",
    "codes": "trifle",
}
_SCOPE = {w if w.endswith("s") else stem(w): name for name, words in SCOPE.items() for w in words.split()}


@lru_cache(maxsize=32_768)
def look_up(token: str) -> Word:
    """What a word of a text means; of an unknown compound, what its last part means."""
    text = token.lower().replace("’", "'")
    verb, action, noun, scope = _find(text.replace("-", ""))
    if text.count("/") == 1 and text.replace("/", "").isalpha():
        verb, action, noun, scope = _find(text.rpartition("/")[2])
    elif _is_name(token) and not noun:
        noun = "named"
    elif "-" in text and not (verb or action or noun or scope):
        verb, _, noun, scope = _find(text.rpartition("-")[2])
    signs = (text, *(["#" + noun] if noun else []), *(["@" + scope] if scope else []))
    return Word(text, verb, action, noun, scope, signs)


def _is_name(token: str) -> bool:
    """A path, an address, an identifier: it has a sign within, or capitals behind its first letter."""
    if not token[0].isalpha() or any(sign in token for sign in "-'’"):
        return False
    return not token.isalnum() or not (token[1:].islower() or token.isupper())


def _find(word: str) -> tuple[str, str, str, str]:
    """Class as a verb, as a form of a verb, as a noun, as a sign of scope."""
    if not word.removesuffix("'s").isalpha():
        return "", "", "", ""  # a path, a number: the tables know words of letters only
    root, spelt = stem(word), _spelt(word)
    noun = _NOUN.get(word) or _NOUN.get(spelt if word.endswith("ing") else root, "")
    return _BASE.get(spelt, ""), _ACTION.get(root, ""), noun, _SCOPE.get(word) or _SCOPE.get(root, "")
