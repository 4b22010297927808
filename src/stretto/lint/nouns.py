"""Classes of nouns and verbs for what tasks hand on: which mean the same, which say little, which plan."""

from __future__ import annotations

from stretto.lint.acts import root, stems

_ALIKE = """
finding result insight outcome conclusion observation learning takeaway
figure statistic metric kpi
report write-up writeup paper
document doc documentation
answer response reply
bug defect
letter mail email e-mail
suite test
deck presentation slide
spec specification
article post
app application
clip video recording footage
criterion criteria
review assessment evaluation appraisal
"""
_SENSE = {root(word): root(row.split()[0]) for row in _ALIKE.strip().splitlines() for word in row.split()}


def sense(word: str) -> str:
    """The stem that stands for all words of one meaning."""
    return _SENSE.get(word, word)


def heads(words: str) -> frozenset[str]:
    return frozenset(sense(root(word)) for word in words.split())


_NOMINAL = """
analyse analysis finding
answer answer
ask answer
assess assessment finding
audit finding
back backup
benchmark finding figure
brainstorm idea
build artifact binary
calculate finding figure
check finding
choose choice decision
classify classification category class label
compare comparison difference finding
compute finding figure
correct correction fix
count count figure
decide decision choice
deploy deployment
diagnose diagnosis cause
estimate figure
evaluate evaluation finding assessment
explore finding
field answer
fit model
fix fix
interview transcript answer
inventory inventory
investigate finding cause
list list
map mapping
measure measurement figure finding
mend fix
migrate migration
pick selection choice
prioritise priority prioritisation
profile finding
propose proposal
rate rating
recommend recommendation
reconcile reconciliation difference
record recording
refactor refactoring
regression finding
repair fix
research finding source
review finding comment remark feedback
run finding
scan finding
search finding hit
screen screening
select selection choice
send answer
simulate simulation finding
specify spec
study finding
summarise summary
survey answer finding
synthesise synthesis
test finding
train model
transcribe transcript transcription
translate translation
validate validation finding
value valuation
verify verification finding
"""
NOUNS_OF = {
    root(row.split()[0]): tuple(dict.fromkeys(sense(root(word)) for word in row.split()[1:]))
    for row in _NOMINAL.strip().splitlines()
}
"""What is there when something was done, beside the noun that is the verb itself: the sketch, the draft."""
NO_NOUN = stems("add ask collect do find gather get go make pull put read run set take use work write")
PLAIN = stems(
    """accurate basic best better big brief clear common complete comprehensive concise correct critical
    current daily deep detailed different draft early environment exact final first following frequent
    full general good great high important initial interesting key large last late left long main
    major minor monthly most new next one-page open other overall own possible preliminary production
    promising proper quarterly quick relevant remaining risky rough sandbox second several severe
    short simple single small specific staging strong strongest suitable three-page top two-page
    updated urgent useful various weekly"""
)
"""Words that tell nothing apart."""
OLD = stems("earlier existing former legacy old older original outdated previous prior")
OUTSIDE = OLD | stems(
    """annual competing competitor external incoming public published rival third-party yesterday"""
)
"""What bears such a word was there before the plan."""
VIEWS = stems(
    """analysis chart comparison diagram digest graph list overview plot ranking report summary table
    translation visualisation"""
)
"""What shows something else: a chart *of the results* needs them, a chapter *of the book* is a part of it."""
PLANS = stems(
    """agenda brief concept criteria criterion guideline list objective outline plan requirement schema
    scheme spec specification strategy template"""
)
"""What is followed: a slide for each section *of the outline* needs it."""
PEOPLE = stems(
    """audience board ceo cfo client colleague committee council counterparty cto customer department
    director executive finance founder head investor journalist leadership management manager
    marketing member ministry owner partner press public purchasing reader sales shareholder staff
    stakeholder student subscriber support team tenant user"""
)
WEAK = stems(
    """account april area august branch case code column copy customer data date day december document
    employee entry example february field file folder function group image item january july june line
    list march may member model module month name note november number october package page pair
    paragraph part path people person place point problem process product project question record
    reference row section sentence september service set sheet side site step system table team term
    text thing ticket time topic type unit user value version way week word work year"""
) | heads("test")
"""Heads that say too little: their other words have to agree too."""
TIMES = stems(
    """afternoon day decade evening fortnight hour minute moment month morning night quarter season second
    time today tomorrow week weekend year"""
)
"""What nobody makes for another."""
SHAPING = stems("architect define design model outline sketch spec specify")
LEARNING = stems(
    """ascertain calculate compute derive determine discover estimate figure infer inventory map measure
    quantify"""
)
"""Verbs that bring a thing to light: "determine the cause"."""
CHOOSING = stems("choose decide pick select settle shortlist")
SEARCHING = stems("browse comb crawl hunt inspect look mine scan screen search trawl")
"""Verbs that look *for* what they bring in."""
ASKING = stems("ask contact interview invite survey")
"""Verbs that bring in what people say, and not the people."""
TURNING = stems("convert migrate port transform translate turn")
GROUPING = stems(
    """aggregate break categorise chart classify cluster code compare count filter group list order plot
    prioritise rank score segment sort split summarise tabulate"""
)
VERSIONS = stems("copy draft version")
"""Who makes a first version of a thing makes the thing."""
HOLDERS = stems("catalogue collection inventory list set table")
"""Who makes a list of cookies has the cookies at hand."""
