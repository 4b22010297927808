"""What is believed of a ladder's rungs at a task: chance, cost beside the strongest, errors of the check."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from stretto.models.history import History


class Priors(NamedTuple):
    """Where every belief starts; each number says where it comes from."""

    at_tier: float = 0.75
    """Chance of the tier that R3 names for a kind of work: the middle of what repeats a success in recorded
    runs, 0.58-0.90."""
    tier_odds: float = 3.0
    """A tier higher or lower multiplies the odds by this: 3 in 4 becomes 9 in 10, or 1 in 2."""
    strength: float = 4.0
    """How many outcomes of its own a family needs to outvote what was believed of it before."""
    task_strength: float = 0.5
    """The same for the very task: one success before makes 0.5 into 0.83, one failure into 0.17 (recorded:
    0.58-0.90 and 0.09-0.11)."""
    shared: float = 0.5
    """Half of what surprises about one model at a family is the family's doing, half the model's own: so
    much of it carries over to the next model, and so much do two models' failures at one task go together
    (as a correlation: between 0, chance alone, and the 0.8 of one model asked twice)."""
    pair_strength: float = 2.0
    """How many tasks with both costs known the ratio of list prices is worth: recorded ratios were 0.3 to
    1.5 where the list said 0.6, and single tasks differ about as much."""
    wrong: float = 0.05
    """Share of wrong answers that a check accepts, until shadows have said."""
    wrong_strength: float = 7.0
    """How many verdicts of shadows that is worth: if the very first is bad a tier is switched off, one bad
    among several is not enough."""
    wrong_price: float = 3.0
    """What accepting a wrong answer costs, in attempts of the strongest model: the one that it took the
    place of, one to find it out, one to do it again."""


PRIORS = Priors()

SWITCH_OFF = 0.15
"""Above this share of wrong answers among the accepted a tier is not tried any more in a family."""


class Rung(NamedTuple):
    """One model of a ladder, before anything is known of how it does."""

    model: str
    """The resolved id."""
    tier: str
    prior: float
    """The chance that is expected of it by the kind of work alone."""
    price_ratio: float
    """Its list price beside the strongest's, for the same text."""


class Bet(NamedTuple):
    """What trying one rung is worth. Costs are in attempts of the strongest model."""

    cost: float
    fresh: float
    """Chance that its check accepts the answer, where nobody has tried the task."""
    after: float
    """The same after a weaker rung has failed."""
    wrong_fresh: float
    """Chance that the answer is accepted and wrong."""
    wrong_after: float
    evidence: float
    """How many outcomes of this model in this family there are."""


def bets(
    history: History, family: str, kind: str, signature: str, ladder: Sequence[Rung], p: Priors
) -> list[Bet]:
    """Beliefs about each rung, weakest first; what surprised about one carries over to the next by half."""
    made: list[Bet] = []
    strongest = ladder[-1].model
    harder = dearer = weaker = 0.0
    failed_before = False
    for rung in ladder:
        prior = _chance(_odds(rung.prior) + p.shared * harder) if harder else rung.prior
        own = history.of_family(family, kind, rung.model)
        general = chance_of(history, family, kind, rung, prior, p)
        cost = 1.0
        if rung.model != strongest:
            price_ratio = rung.price_ratio * exp(p.shared * dearer)
            cost = cost_beside(history, family, kind, rung.model, strongest, price_ratio, p)
        chance, after = general, after_failure(history, family, kind, rung.model, general, weaker, p)
        evidence = own.tried + own.after_tried
        if signature:
            task = history.of_task(signature, rung.model)
            passed, tried = task.passed + task.after_passed, task.tried + task.after_tried
            chance = shrink(after if failed_before else chance, passed, tried, p.task_strength)
            after = shrink(after, passed, tried, p.task_strength)
            failed_before = failed_before or (tried > 0 and not passed)
        tier = rung.tier or rung.model
        wrong = accepted_wrong(history, family, tier, chance, p)
        wrong_after = wrong if after == chance else accepted_wrong(history, family, tier, after, p)
        made.append(Bet(cost, chance, after, wrong, wrong_after, evidence))
        harder = _odds(general) - _odds(rung.prior)
        dearer = log(cost / rung.price_ratio)
        weaker = max(weaker, general)
    return made


def chance_of(history: History, family: str, kind: str, rung: Rung, prior: float, p: Priors) -> float:
    """The chance that a first attempt at a task of a family passes its check.

    Each level's belief is the prior of the next: other kinds of work, other families of this kind, other
    models of the tier in this family, this model in this family. What was seen of other kinds or of other
    models counts at most as much as the belief before it.
    """
    model, tier = rung.model, rung.tier or rung.model
    m = p.strength
    elsewhere = history.other_kinds(kind, tier)
    chance = shrink(prior, elsewhere.passed, elsewhere.weight, m, m)
    others = history.other_families(family, kind, tier)
    chance = shrink(chance, others.passed, others.weight, m)
    own = of_tier = history.of_family(family, kind, tier)
    if tier != model:
        own = history.of_family(family, kind, model)
        chance = shrink(chance, of_tier.passed - own.passed, of_tier.tried - own.tried, m, m)
    return shrink(chance, own.passed, own.tried, m)


def after_failure(
    history: History, family: str, kind: str, model: str, chance: float, weaker: float, p: Priors
) -> float:
    """The chance that an attempt passes where a weaker model has failed, whose own chance was `weaker`.

    Failures go together: with a correlation r, P(ok | the other failed) = p - r sqrt(p (1-p) q / (1-q)).
    Where the weaker one hardly ever succeeds its failure says nothing, where it nearly always does, much.
    """
    if not weaker:
        return chance
    q = min(weaker, 0.99)
    prior = max(0.01, chance - p.shared * sqrt(chance * (1 - chance) * q / (1 - q)))
    others = history.other_families(family, kind, model)
    prior = shrink(prior, others.after_passed, others.after_weight, p.strength)
    own = history.of_family(family, kind, model)
    return shrink(prior, own.after_passed, own.after_tried, p.strength)


def cost_beside(
    history: History, family: str, kind: str, model: str, strongest: str, prior: float, p: Priors
) -> float:
    """What a task costs on a model beside the strongest, from tasks that both were paid for."""
    others = history.ratios(family, kind, model, strongest)
    ratio = shrink(prior, others.total, others.weight, p.pair_strength)
    own = history.pair(family, kind, model, strongest)
    if own.nusd and own.other_nusd:
        ratio = shrink(ratio, own.n * own.nusd / own.other_nusd, own.n, p.pair_strength)
    return max(ratio, 1e-6)


def accepted_wrong(history: History, family: str, tier: str, accepted: float, p: Priors) -> float:
    """The chance that an answer is accepted and wrong, where this share of answers is accepted in all.

    If a check accepts the share f of wrong answers, then accepted = right + f (1 - right). Verdicts of
    shadows move the share of wrong ones among the accepted.
    """
    right = max(0.0, (accepted - p.wrong) / (1 - p.wrong))
    prior = min(1.0, p.wrong * (1 - right) / max(accepted, 1e-9))
    said = history.verdicts(family, tier)
    return accepted * shrink(prior, said.wrong, said.judged, p.wrong_strength)


def wrong_share(history: History, family: str, tier: str, p: Priors) -> float:
    """The share of wrong answers among the accepted, as shadows found it: held against `SWITCH_OFF`."""
    said = history.verdicts(family, tier)
    return shrink(p.wrong, said.wrong, said.judged, p.wrong_strength)


def prior_chance(places: int, p: Priors) -> float:
    """The chance of a tier so many places above (or, negative, below) the one that R3 names."""
    return _chance(_odds(p.at_tier) + places * log(p.tier_odds))


def shrink(prior: float, passed: float, tried: float, strength: float, most: float = 1e9) -> float:
    """The mean of a belief after evidence; `most` bounds how much the evidence may count."""
    if tried <= 1e-9:
        return prior
    if tried > most:
        passed, tried = passed * most / tried, most
    return (strength * prior + max(0.0, passed)) / (strength + tried)


def _odds(chance: float) -> float:
    """The logarithm of the odds, kept away from certainty."""
    chance = min(max(chance, 1e-3), 1 - 1e-3)
    return log(chance / (1 - chance))


def _chance(odds: float) -> float:
    return 1 / (1 + exp(-odds))
