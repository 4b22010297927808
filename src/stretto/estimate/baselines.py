"""Other ways to do the same: one agent, everything on the strongest model, one task after another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from stretto.estimate.pieces import Piece, Rung, strongest
from stretto.estimate.result import Baseline, Range
from stretto.estimate.sampling import Sampler, money_of, points_of
from stretto.estimate.timing import Played, Stage, plays
from stretto.models.catalogue import Catalogue, ModelInfo
from stretto.models.figures import LATENCY_S, SPEED, Figure, figure
from stretto.models.prices import Price

SAMPLES = 200
PLAYS = 10


def baselines_of(
    stage: Stage,
    pieces: Sequence[Piece],
    played: Sequence[Played],
    nusd: Range | None,
    sequential_s: float,
    *,
    certain: bool,
    until_s: float,
) -> dict[str, Baseline]:
    """What the plan's author declares, and the three that can be computed for every plan."""
    declared = stage.plan.baselines.items()
    found = {
        name: Baseline(None if e.nusd is None else float(e.nusd), e.time_s, "declared")
        for name, e in declared
    }
    found.setdefault("one-agent", _one_agent(stage, pieces))
    found.setdefault("all-strongest", _all_strongest(stage, pieces, played, until_s))
    same = None if nusd is None else nusd.expected
    found.setdefault("sequential", Baseline(same, sequential_s, "declared" if certain else "computed"))
    return found


# Everything on the strongest model


def _all_strongest(
    stage: Stage, pieces: Sequence[Piece], played: Sequence[Played], until_s: float
) -> Baseline:
    """The same plan with every prompt once on the strongest model: as declared, else by its figure there.

    A sum of declared and computed figures would be neither, so it is left unknown.
    """
    catalogue = stage.chooser.catalogue
    info = catalogue.info(strongest(catalogue, list(pieces)))
    asked = [piece for piece in pieces if piece.rungs]
    declared = [piece for piece in asked if piece.is_declared]
    if declared and len(declared) < len(asked):
        why = "some tasks declare their money and some do not"
        return Baseline(None, None, "computed", why)
    swapped = [_on_strongest(piece, info, stage) for piece in pieces]
    known = "declared" if declared else "computed"
    missing = [piece.element.path for piece in swapped if piece.rungs and _nusd_of(piece) is None]
    nusd = None
    if not missing:
        sampler = Sampler(stage.widths, SAMPLES, stage.seed)
        sampler.add(swapped)
        nusd = money_of(sampler.total.nusd).expected
    seconds = _seconds(stage, swapped, played, until_s)
    what = "its figures on the strongest model" if declared else "a price"
    why = f"{what} are not declared: {', '.join(missing[:3])}" if declared else f"{info.id} has no price"
    return Baseline(nusd, seconds, known, why if missing else "")


def _nusd_of(piece: Piece) -> float | None:
    """Its money, declared or computed."""
    if piece.lump is not None:
        return float(piece.lump.nusd) if piece.lump.nusd >= 0 else None
    if piece.declared_nusd is not None:
        return float(piece.declared_nusd) if piece.declared_nusd >= 0 else None
    return piece.rungs[0].figure.nusd


UNDECLARED = -1
"""Stands in for money that nobody has declared, until the whole is given up."""


def _on_strongest(piece: Piece, info: ModelInfo, stage: Stage) -> Piece:
    """A task as it would be there: one try, whose check passes."""
    if not piece.rungs:
        return piece
    expect = piece.facts.expect
    chooser = stage.chooser
    already = piece.rungs[0].model == info.id
    made = figure(piece.facts._replace(expect=None), info, chooser.catalogue, chooser.history)
    if stage.free(piece.agent):
        made = made._replace(nusd=0.0)
    time_s: float | None = None
    lump, nusd = piece.lump, piece.declared_nusd
    if expect is not None:
        time_s = expect.time_s if already and expect.strongest_time_s is None else expect.strongest_time_s
        if nusd is not None and not (already and expect.strongest_nusd is None):
            nusd = expect.strongest_nusd if expect.strongest_nusd is not None else UNDECLARED
    if lump is not None and not (already and lump.strongest_nusd is None):
        lump = lump._replace(nusd=UNDECLARED if lump.strongest_nusd is None else lump.strongest_nusd)
    certain = time_s is not None
    if piece.known_seconds == "declared" and time_s is None:
        time_s = UNDECLARED
    return replace(
        piece,
        rungs=(Rung(info.id, info.tier, made, 1.0),),
        lump=lump,
        declared_nusd=nusd,
        seconds=made.seconds if time_s is None else time_s,
        seconds_sd_log=0.0 if certain else made.seconds_sd_log,
        known_seconds="declared" if time_s is not None else made.known_seconds,
    )


def _seconds(
    stage: Stage, swapped: Sequence[Piece], played: Sequence[Played], until_s: float
) -> float | None:
    """How long the plan would take so; None where times are declared, but not of the strongest model.

    The first plays again, with the same luck: their ratio is known better than either length.
    """
    if any(piece.seconds == UNDECLARED for piece in swapped):
        return None
    there = replace(stage, pieces={piece.element.path: piece for piece in swapped if not piece.grown})
    again = plays(there, max(0.0, until_s - time.monotonic()), least=1, most=min(PLAYS, len(played)))
    after = [play.seconds for play in again]
    if len(played) == 1:
        return after[0]
    before = [play.seconds for play in played]
    share = sum(after) / (sum(before[: len(after)]) or 1.0)
    return points_of(before).expected * share


# One agent


class Conversation(NamedTuple):
    """What one agent takes that does everything in one conversation."""

    nusd: float | None
    """None: no price is known."""
    tokens: float
    """How long the conversation is at its end."""
    answers: float
    """Output tokens ..."""
    calls: float
    """... in so many calls."""

    def seconds(self, model: ModelInfo) -> float:
        return answering_s(self.answers, self.calls, model)


def conversation(exchanges: Iterable[tuple[Figure, float]], price: Price | None) -> Conversation:
    """Each attempt, so many times, as one more exchange of one conversation that grows.

    An exchange reads from the cache all that was said before, writes its own prompt to it, and answers with
    as many tokens as it would alone. With n exchanges of a tokens each the cache is read for a n (n - 1) / 2
    tokens: that is what one long conversation costs.
    """
    before = answers = calls = nusd = 0.0
    for made, count in exchanges:
        own = made.input_tokens + made.cache_write_tokens + made.output_tokens
        reads = before * count + own * count * max(0.0, count - 1) / 2 + made.cache_read_tokens * count
        if price is not None:
            usage = {
                "cache_read": reads,
                "cache_write_5m": (made.input_tokens + made.cache_write_tokens) * count,
                "output": made.output_tokens * count,
            }
            nusd += sum(tokens * price.of(name) for name, tokens in usage.items()) / 1e6
        before += own * count
        answers += made.output_tokens * count
        calls += made.calls * count
    return Conversation(nusd if price is not None else None, before, answers, calls)


def answering_s(answers: float, calls: float, model: ModelInfo) -> float:
    """How long a model takes to answer, one call after the other."""
    return answers / (model.tokens_per_s or SPEED) + calls * LATENCY_S


def strongest_used(pieces: Iterable[Piece], catalogue: Catalogue) -> Rung:
    """The strongest of the models that tasks start on."""
    tiers = catalogue.tiers
    models = [piece.rungs[0] for piece in pieces]
    return max(models, key=lambda rung: tiers.index(rung.tier) if rung.tier in tiers else -1)


def _one_agent(stage: Stage, pieces: Sequence[Piece]) -> Baseline:
    """One agent on the strongest model that the plan uses, in one conversation that grows.

    Its time is that of the answers one after the other. What is handed over in the plan is already there, so
    it is not read again.
    """
    asked = [piece for piece in pieces if piece.rungs and not stage.free(piece.agent)]
    if not asked:
        return Baseline(0.0, None, "computed", "no prompt goes to an agent that costs money")
    if any(piece.is_declared for piece in asked):
        why = "the plan declares its figures, and one agent's are not among them"
        return Baseline(None, None, "computed", why)
    catalogue = stage.chooser.catalogue
    top = strongest_used(asked, catalogue)
    info, price = catalogue.info(top.model), catalogue.price_of(top.model)
    sampler = Sampler(stage.widths, SAMPLES, stage.seed)
    exchanges = ((piece.rungs[0].figure, float(sampler.left(piece).mean())) for piece in asked)
    made = conversation(exchanges, price)
    why = "" if price is not None else f"no price of {info.id} is known"
    if info.context is not None and made.tokens > info.context:
        why = f"it would not fit: {made.tokens:,.0f} tokens in a context of {info.context:,}"
    return Baseline(made.nusd, made.seconds(info), "computed", why)
