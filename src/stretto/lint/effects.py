"""What a task does to the world that does harm if it is done twice: mail, money, posts, orders, tickets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from stretto.models.clauses import AUXILIARY, NAMED, WH, negated, order, sentences
from stretto.models.words import Word, look_up
from stretto.plan.model import Task


class Effect(NamedTuple):
    """Verbs that have an effect with what stands behind them."""

    said: str
    verbs: frozenset[str]
    behind: re.Pattern[str] | None = None
    """What must stand behind the verb; None: anything that can be its object."""
    but: re.Pattern[str] | None = None
    """What may not begin there: another sense of the verb."""

    def takes(self, behind: str) -> bool:
        """Whether these words can be what the verb is done with."""
        fits = self.behind is None or self.behind.search(behind) is not None
        return fits and (self.but is None or not self.but.match(behind))


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _re(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_PEOPLE = (
    r"(?:admins?|agents?|applicants?|attendees?|authors?|authorit(?:y|ies)|board|buyers?|candidates?|clients?"
    r"|colleagues?|committee|community|contacts?|contributors?|couriers?|customers?|debtors?|donors?|drivers?"
    r"|editors?|employees?|everybody|everyone|families|followers|guests?|journalists?|landlords?|leads?"
    r"|maintainers?|managers?|members?|neighbours?|on-call|owners?|parents?|participants?|partners?"
    r"|passengers?|patients?|payees?|people|players?|pupils?|readers?|recipients?|residents?|reviewers?"
    r"|sellers?|shareholders?|speakers?|sponsors?|staff|stakeholders?|students?|subscribers?|suppliers?"
    r"|support|teachers?|team|teams|tenants?|users?|vendors?|visitors?|volunteers?|winners?)\b"
)
_TICKETS = (
    r"(?:tickets?|issues?|cases?|bugs?|incidents?|prs?|pull requests?|merge requests?|change requests?"
    r"|support requests?|work orders?|purchase orders?|jiras?|rmas?)\b"
)
_PAPERS = (
    r"(?:appeals?|applications?|claims?|complaints?|declarations?|disputes?|motions?|objections?|patents?"
    r"|petitions?|returns?|filings?|suits?)\b"
)
_LETTERS = (
    r"(?:comments?|e-?mails?|mails?|messages?|reviews?|letters?|questions?|complaints?|posts?|threads?"
    r"|enquir(?:y|ies)|inquir(?:y|ies))\b"
)
_MONEY = (
    r"(?:payments?|payouts?|refunds?|transfers?|wages|salar(?:y|ies)|deposits?|credit notes?|invoices?"
    r"|reimbursements?)\b"
)
_AMOUNT = (
    r"(?:[\d.,]+ ?(?:eur|euros?|usd|gbp|chf|dollars?|pounds?|francs|cents?)?\b"
    r"|(?:money|funds|amounts?|balance|sum)\b(?! (?:column|sheet|field|row|due date)))"
)
_VENUES = (
    r"\b(?:appointments?|cars?|caterers?|courts?|desks?|flights?|halls?|hotels?|places?|restaurants?|rooms?"
    r"|seats?|slots?|tables?|taxis?|tickets?|trains?|travel|trips?|vans?|venues?)\b"
)
_MEDIUM = (
    r"\b(?:by|via|per|through|over) (?:e-?mail|mail|post|letter|sms|text|text message|phone|slack|teams"
    r"|whatsapp|telegram|signal|discord|dm)\b"
    r"|\b(?:in|on|to) (?:slack|teams|discord|mattermost|mastodon|linkedin|twitter"
    r"|instagram|facebook|bluesky|reddit|youtube|tiktok)\b|\bchannels?\b"
)
_ANY = r"(?:(?:the|an?|one|each|every|all|this|that|these|those|our|their|his|her|its|your|new|q_) )*"
"""What may stand before nouns."""
_UP_TO = r"(?:\S+ ){0,%d}"
_FILES = r"\.(?:csv|docx?|html?|json|md|odt|pdf|pptx?|py|sql|tex|tsv|txt|xlsx?|xml|ya?ml)\b"
_SHOP = r"(?:api|caterer|portal|shop|store|suppliers?|vendor|wholesaler|web ?shop)\b"
_PRODUCTS = (
    rf"^(?:[\d.,]+ (?!items|entries|rows|lines|columns|results|findings|files)|.*\bdeliver(?:y|ed)\b"
    rf"|{_ANY}.*\b(?:from|through|at|via) (?:the |our )?(?:\S+ ){{0,3}}{_SHOP}|.*\bonline\b)"
)
_RANKED = (
    r".*\b(?:by (?!post|mail|e-?mail|phone)|alphabetically|chronologically|ascending|descending|largest"
    r"|smallest|highest|lowest|from (?:the )?\w+ to)\b"
)
_PAYLOAD = (
    r"(?:an? |the )?(?:\S+ )?(?:get|head|options|test|ping|signal|query|queries)\b"
    r"|.*\bto (?:stdout|stderr)\b"
)

EFFECTS = (
    Effect("sends mail", _set("e-mail email mail")),
    Effect("sends messages", _set("text sms dm message notify remind alert page congratulate tweet toot")),
    Effect("sends messages", _set("inform"), _re(rf"\b{_PEOPLE}|{NAMED}|\b(?:about|of|that)\b")),
    Effect("invites people", _set("invite"), but=_re(r"(?:comments?|feedback|discussion|questions)\b")),
    Effect("sends something out", _set("send resend forward dispatch"), but=_re(_PAYLOAD)),
    Effect(
        "sends something out",
        _set("distribute circulate broadcast blast"),
        _re(rf"\b(?:to|among)\b|\b{_PEOPLE}|{_MEDIUM}"),
    ),
    Effect("sends something out", _set("announce share report tell deliver let give"), _re(_MEDIUM)),
    Effect("posts something", _set("post crosspost repost"), but=_re(r"(?:process|mortem)\b")),
    Effect(
        "posts something",
        _set("reply respond"),
        _re(rf"^to {_ANY}(?:\S+ )?(?:q_|{_TICKETS}|{_PEOPLE}|{_LETTERS})"),
        _re(r".*\bwith (?:only |just )?(?:yes|no|json|one word|a number)\b"),
    ),
    Effect("posts a comment", _set("comment"), _re(rf"^on {_UP_TO % 4}{_TICKETS}")),
    Effect(
        "posts a comment",
        _set("add leave post put"),
        _re(
            rf"^{_ANY}{_UP_TO % 2}(?:comment|reply|note|answer|review)s? (?:on|to|in|under) "
            rf"{_UP_TO % 4}{_TICKETS}"
        ),
    ),
    Effect("publishes something", _set("publish"), but=_re(r"(?:dates?|times?)\b")),
    Effect("submits something", _set("submit"), but=_re(r"(?:buttons?|handlers?|events?)\b")),
    Effect(
        "files something",
        _set("file lodge"),
        _re(rf"^{_ANY}{_UP_TO % 3}(?:{_TICKETS}|{_PAPERS})"),
        _re(r".*\b(?:in|into|under) (?:the |its |a )?(?:folders?|director(?:y|ies)|cabinets?|archives?)\b"),
    ),
    Effect(
        "opens a ticket",
        _set("open create raise log file make start enter"),
        _re(
            r"^(?:an?|one|new|separate|another|follow-up) "
            r"(?:(?!(?:for|in|of|on|to|that|about|from)\b)\S+ ){0,3}"
            rf"{_TICKETS}(?! (?:templates?|forms?|list|model|types?|reports?|tracker|descriptions?|class"
            r"|dashboard|page|stud(?:y|ies))\b)"
        ),
    ),
    Effect(
        "opens a ticket",
        _set("open create raise file"),
        _re(
            rf"^{_UP_TO % 2}(?:tickets|issues|incidents|pull requests|merge requests|prs)"
            r" (?:for|in|with|on|about)\b"
        ),
        _re(r"(?:the|these|those|all|older|that)\b"),
    ),
    Effect(
        "makes an appointment",
        _set("create add schedule set"),
        _re(
            rf"^{_ANY}{_UP_TO % 3}(?:calendar (?:entry|entries|event|invite|invitation)"
            r"|(?:meeting|call|interview|appointment) with)\b"
        ),
        _re(r"(?:an? |the )?(?:list|design|text|draft|template)\b"),
    ),
    Effect(
        "books something",
        _set("book rebook"),
        but=_re(r"(?:reviews?|covers?|chapters?|titles?|reports?|list|club|keeping)\b"),
    ),
    Effect("books something", _set("reserve"), _re(_VENUES)),
    Effect("orders something", _set("order reorder"), _re(_PRODUCTS), _re(_RANKED)),
    Effect("orders something", _set("place"), _re(rf"^{_ANY}{_UP_TO % 2}(?:order|bid|bet|trade)s?\b")),
    Effect(
        "buys something",
        _set("buy purchase"),
        but=_re(r"(?:orders?|prices?|histor(?:y|ies)|versus|or|vs|side)\b"),
    ),
    Effect(
        "pays something",
        _set("pay repay prepay"),
        but=_re(
            r"(?:(?:close|special|particular|extra|no|much|more) )?attention\b"
            r"|(?:rates?|scales?|gaps?|slips?|bands?|rolls?|day|equity|structure)\b"
        ),
    ),
    Effect(
        "charges somebody",
        _set("charge debit"),
        but=_re(r"(?:codes?|rates?|points?|sheets?|levels?|cycles?)\b"),
    ),
    Effect(
        "pays something back",
        _set("refund reimburse"),
        but=_re(r"(?:polic(?:y|ies)|rates?|flows?|process|rules?|requests?|reasons?|api|logic|service)\b"),
    ),
    Effect(
        "moves money",
        _set("transfer wire remit move credit donate disburse"),
        _re(rf"^{_ANY}(?:(?:monthly|outstanding|remaining) )?(?:{_AMOUNT}|{_MONEY})"),
    ),
    Effect(
        "moves money",
        _set("issue process trigger release execute initiate grant settle instruct make run"),
        _re(
            rf"^{_ANY}(?:\S+ )?{_MONEY}"
            r"(?! (?:form|policy|api|service|report|flow|process|template|data|page)s?\b)"
        ),
        _re(r".*\b(?:tests?|script|simulation|reports?|list)\b"),
    ),
    Effect(
        "inserts rows",
        _set("insert append add"),
        _re(rf"^{_ANY}{_UP_TO % 3}(?:rows?|records?|tuples?)\b.*\b(?:in|into|to)\b"),
        _re(
            rf".*\b(?:in|into|to) (?:\S+ ){{0,3}}?\S*(?:{_FILES}|(?<!\S)(?:readme|csv|spreadsheet file)\b)"
            r"|.*\b(?:header rows?|row numbers?|columns?)\b"
        ),
    ),
    Effect(
        "inserts rows",
        _set("insert"),
        _re(
            r"\binto (?:(?:the|our) )?(?:\S+ )?(?:database|db|crm|warehouse|postgres|mysql|bigquery|snowflake"
            r"|table \S+|\w+\.\w+)\b"
        ),
        _re(rf".*\binto (?:\S+ ){{0,3}}?\S*{_FILES}"),
    ),
)
BY_VERB: dict[str, list[Effect]] = {}
for _effect in EFFECTS:
    for _verb in _effect.verbs:
        BY_VERB.setdefault(_verb, []).append(_effect)

_IRREGULAR = {
    "bought": "buy",
    "paid": "pay",
    "prepaid": "prepay",
    "put": "put",
    "repaid": "repay",
    "resent": "resend",
    "sent": "send",
    "submitted": "submit",
    "transferred": "transfer",
}
PARTICIPLES = _IRREGULAR | {
    (verb if verb.endswith("e") else verb + "e") + "d": verb
    for verb in BY_VERB
    if verb not in {*_IRREGULAR.values(), "give", "let", "make", "run", "set", "tell"}
}
_TO_BE = re.compile(
    r"\b(?:should|must|shall|(?:is|are|has|have|needs?|ought) to) (?:please |now )?be "
    r"(?:\w+ and (?:then )?)?(\w[\w-]*)"
)
_CONDITION = re.compile(
    r"\b(?:after|as soon as|because|before|each time|how|if|once|that|until|when|whenever|where|whether|which"
    r"|while|who)\b"
)
"""Words before a passive that make it a rule of something else, and not what is wanted now."""
_ANY_VERB = frozenset(BY_VERB) | frozenset(PARTICIPLES)
_WORD = re.compile(r"[a-z][a-z-]+")
"""A quick look before a text is read word by word: most have no such verb."""

_NOUNS = _set(
    """e-mail email mail text message page refund charge order book post invoice alert invite notice file
    purchase transfer credit forward debit sms dm tweet comment issue process report share reserve wire"""
)
"""Verbs that are as often nouns: "Email templates of the shop"."""
_DETERMINED = re.compile(
    rf"^(?:{NAMED}|[\d.,]+\w*|an?|the|this|that|these|those|each|every|all|any|both|our|your|my|their|his|her"
    r"|its|him|them|me|us|it|one|two|three|four|five|six|ten|some|new|more|another|enough|to|on|in|about|from"
    rf"|with|out|back|only|whoever|whom|{_PEOPLE})(?![\w-])"
)
_NAME_BEHIND = re.compile(
    r"^(?!(?:of|for|through|by|between|or|and|vs|versus|at|as)\b)[\w.'’-]+(?: [\w.'’-]+)?"
    r" (?:an?|the|his|her|their|our|its|this|that|about|for|on|with|to)\b"
)
"""A name stands behind the verb: "e-mail ana ferreira the decision"."""

_DONE = (
    r"(?:book|booking|buy|buying|order|ordering|pay|paying|post|posting|publish|publishing|send|sending"
    r"|submit|submitting)\b"
)
_SAFE = re.compile(
    r"idempoten|\bupsert|\bon conflict\b|\bmerge into\b|\binsert or (?:ignore|update|replace)\b"
    r"|\bif not exists\b|\bde-?dup|\bduplicat|\bdry[ -]run\b|\bsandbox\b|\btest mode\b|\bsimulat|\bpretend"
    r"|\btwice\b|\bnever again\b"
    r"|\b(?:only|just|exactly|at most) once\b|\bonce (?:only|and only once)\b|\balready\b|\bunless\b|\bskip\b"
    r"|\bonly (?:if|when|where|to those|those|for those|the ones)\b[^\n]{0,120}?"
    r"(?:\b(?:no|not|never|yet|missing|without|already)\b|n't\b)"
    r"|(?:\b(?:not|never)|n't)\s(?:been |have |has |had |be )?(?:\w+ ){0,3}(?:already|yet|before|so far)\b"
    r"|\bif (?:there is |there's |it has |he has |she has |they have )?(?:no|none|not|nobody|nothing)\b"
    rf"|\b(?:do not|don't|never|without) (?:actually )?{_DONE}|\bleave it unsent\b|\bpreview\b"
    r"|\bupdate instead\b"
    r"|\b(?:as|in|into|to) (?:(?:a|the|my|our|unsent|private|wordpress|gmail) )*drafts?(?: folder)?(?![\w/])"
    r"|\bdrafts? only\b|\bonly (?:a|as a)? ?drafts?\b|\bpending only\b|\b(?:create|open) or update\b"
    r"|\bfor (?:a person|somebody|a human) to (?:send|approve|submit|publish)\b"
    r"|\bcheck(?:s|ing)? (?:first |beforehand )?(?:that|whether|if|for)\b[^.]*"
    r"\b(?:exists?|existing|sent|paid|posted|published|open|booked|there)\b"
    r"|\b(?:replac|overwrit|updat)\w* (?:it|the old|the existing|an existing|any existing)\b",
    re.IGNORECASE,
)
"""Words that make a repetition safe, or that keep the effect from happening at all."""
_DEEPER = re.compile(
    r"\b(?:how|whether|when|what|where|which|whom?|able|ability|needed|used|ways?|plans?|code|function|script|class"
    r"|endpoint|bot|job|tests?|prompt|template|rules?|steps|instructions|button|feature|workflow|module)"
    r" (?:\w+ ){0,3}?to\b(?:(?!\bto\b).)*$"
)
_INFINITIVE = re.compile(r"\bto (\w+)(?: \S+){0,5}$")


def effect_of(task: Task) -> str | None:
    """What the task does that must not happen twice ("sends mail"); None where nothing is known to."""
    if task.run:
        return _of_command(" ".join(task.run))
    if task.call:
        return _of_function(task.call)
    return _of_words(task.prompt)


@lru_cache(maxsize=8192)
def _of_words(text: str) -> str | None:
    if _ANY_VERB.isdisjoint(_WORD.findall(text.lower())):
        return None
    effect = next(_effects(text), None) or _wished(text)
    return None if effect is None or _SAFE.search(text) else effect


def _effects(text: str) -> Iterator[str]:
    for sentence in sentences(text):
        if sentence.end == "?":
            continue
        before: list[Word] = []
        for words in sentence.clauses:
            if negated(words):
                break
            said = _of_clause(words)
            if said is not None and not _goes_on(before):
                yield said
            before = words


def _wished(text: str) -> str | None:
    """What is to be done, where no order is given at all: "the invoices are to be paid by transfer"."""
    found = [clause for sentence in sentences(text) for clause in sentence.clauses]
    if any(order(words) is not None for words in found):
        return None
    for words in found:
        said = " ".join(word.text for word in words if word.text != ",")
        wish = _TO_BE.search(said)
        verb = PARTICIPLES.get(wish[1]) if wish else None
        if wish is None or verb is None or _CONDITION.search(said, 0, wish.start()):
            continue
        behind = f"{said[: wish.start()].strip()}{said[wish.end() :]}"
        for effect in BY_VERB[verb]:
            if effect.takes(behind):
                return effect.said
    return None


def _goes_on(clause: list[Word]) -> bool:
    """Whether what is joined to a clause is no order but goes on below it: "decide how to ... and notify"."""
    before = " ".join(word.text for word in clause)
    infinitive = _INFINITIVE.search(before)
    if infinitive is None or re.match(_PEOPLE, infinitive[1]):
        return bool(_DEEPER.search(before))
    return bool(look_up(infinitive[1]).verb or _DEEPER.search(before))


def _of_clause(words: list[Word]) -> str | None:
    start = _verb_at(words)
    if start is None or words[start].text not in BY_VERB:
        return None
    verb, behind = words[start].text, " ".join(word.text for word in words[start + 1 :] if word.text != ",")
    if not behind:
        return None
    if verb in _NOUNS and not _DETERMINED.match(behind) and not _NAME_BEHIND.match(behind):
        return None
    for effect in BY_VERB[verb]:
        if effect.takes(behind):
            return effect.said
    return None


def _verb_at(words: list[Word]) -> int | None:
    """Where an order's verb stands; verbs that no table of kinds knows count where an order begins."""
    start = order(words)
    if start is not None:
        return start
    first = words[0].text
    return 0 if first in BY_VERB and first not in WH and first not in AUXILIARY else None


_COMMANDS = (
    ("sends mail", _re(r"(?:^|[ /;|&(])(?:sendmail|mailx?|mutt|msmtp|swaks)(?= )|\bses(?:v2)? send-")),
    (
        "sends messages",
        _re(
            r"\bsns publish\b|\bsqs send-message\b|\btwilio\b|\bhooks\.slack\.com\b"
            r"|\bslack-?(?:cli|cat|post)\b"
        ),
    ),
    ("opens a ticket", _re(r"\b(?:gh|glab|hub|tea) (?:issue|pr|mr) create\b|\bjira (?:issue )?create\b")),
    ("posts a comment", _re(r"\b(?:gh|glab) (?:issue|pr|mr) (?:comment|note|review)\b")),
    ("publishes something", _re(r"\bgh release create\b|\btoot post\b")),
    (
        "posts to a server",
        _re(
            r"\bcurl\b.* (?:-X ?POST|--request[ =]POST|-d\b|--data\S*|-F\b|--form|--json)"
            r"|\bhttps? POST\b|\bwget\b.*--post-"
        ),
    ),
    (
        "inserts rows",
        _re(r"(?i)\b(?:psql|mysql|sqlite3?|bq|snowsql|sqlcmd|duckdb|clickhouse-client)\b.*\binsert into\b"),
    ),
    (
        "pays something",
        _re(r"\bstripe (?:charges|payment_intents|refunds|payouts|transfers|invoices) create\b"),
    ),
)
_SAFE_COMMAND = re.compile(
    r"--dry-run|\bidempoten|(?i:on conflict|insert or (?:ignore|replace)|if not exists|where not exists)"
    r"|/(?:graphql|_search|search|query)\b|\b(?:localhost|127\.0\.0\.1)\b"
)
_FUNCTION = re.compile(
    r"(?:^|_)(?:(?P<mail>(?:re)?send|e?mail|notify|remind|invite|tweet)|(?P<money>pay|charge|refund|reimburse|payout)"
    r"|(?P<post>post|publish|submit)|(?P<order>order|book|buy|purchase)"
    r"|(?P<ticket>(?:open|create|raise|file)_(?:\w+_)?(?:tickets?|issues?|cases?|prs?))|(?P<rows>insert))(?:_|$)"
)
_OF_FUNCTION = {
    "mail": "sends something out",
    "money": "moves money",
    "post": "publishes something",
    "order": "orders something",
    "ticket": "opens a ticket",
    "rows": "inserts rows",
}


def _of_command(line: str) -> str | None:
    if _SAFE_COMMAND.search(line):
        return None
    return next((said for said, pattern in _COMMANDS if pattern.search(line)), None)


def _of_function(name: str) -> str | None:
    """By the first word of the function's name, which is what it does."""
    found = _FUNCTION.match(name.rpartition(":")[2].lower())
    return None if found is None or found.lastgroup is None else _OF_FUNCTION[found.lastgroup]
