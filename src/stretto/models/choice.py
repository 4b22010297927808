"""The choice of a model and an effort for one task, with the record of why."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from stretto.models.belief import (
    PRIORS,
    SWITCH_OFF,
    Bet,
    Priors,
    Rung,
    bets,
    prior_chance,
    wrong_share,
)
from stretto.models.catalogue import AUTO, Catalogue, ModelInfo
from stretto.models.facts import Facts
from stretto.models.figures import figure
from stretto.models.history import History, Outcome
from stretto.models.windows import room_tokens

Confidence = Literal["declared", "none", "low", "medium", "high"]

NAMED = {"mechanical": "haiku", "development": "sonnet", "strategy": "opus"}
"""R3: the tier that each kind of work is given."""
EFFORTS = {"mechanical": "low", "development": "medium", "strategy": "high"}
KNOWN_WELL: tuple[tuple[float, Confidence], ...] = ((20.0, "high"), (5.0, "medium"), (1.0, "low"))
"""Outcomes of the family that a confidence stands for."""
OVERRULES = 5.0
"""So many outcomes of a rung overrule R3 where no command or function checks the answer, and the start of
the ladder that the plan names."""
FAILS = 2.0
"""So many, mostly failures, of R3's own rung send the work one rung up."""
SCATTER = 2_654_435_761
"""Knuth's multiplier for hashes of 32 bits."""
KEPT = 4_096
"""Choices that are remembered until something new is learned."""


class Decision(NamedTuple):
    """Who does a task next, and why."""

    rung: int
    """Index in the task's ladder."""
    model: str
    """The resolved id."""
    tier: str
    effort: str
    chance: float | None = None
    """Of passing its check; None where the author named the model and nothing was seen of it."""
    confidence: Confidence = "none"
    expected_nusd: int | None = None
    expected_s: float | None = None
    expected_from: str = "prior"
    """declared, history, or prior: a guess."""
    reasons: tuple[str, ...] = ()
    runner_up: str = ""
    why_not: str = ""

    def data(self) -> dict[str, Any]:
        """The record as JSON data, in units for people."""
        chance, nusd, seconds = self.chance, self.expected_nusd, self.expected_s
        return {
            "tier": self.tier,
            "model": self.model,
            "effort": self.effort,
            "reasons": list(self.reasons),
            "rung": self.rung,
            "chance": None if chance is None else round(chance, 3),
            "confidence": self.confidence,
            "expected_usd": None if nusd is None else nusd / 1e9,
            "expected_s": None if seconds is None else round(seconds, 1),
            "runner_up": self.runner_up,
            "why_not": self.why_not,
        }


class Switch(NamedTuple):
    """A tier that is no longer (or again) tried for a family of tasks."""

    family: str
    tier: str
    on: bool
    evidence: str


class _Ladder(NamedTuple):
    """What a ladder of names comes to, apart from any history."""

    infos: tuple[ModelInfo, ...]
    rungs: tuple[Rung, ...]
    named: int
    """Index of R3's rung."""
    priced: bool


class _Pick(NamedTuple):
    """A rung with what spoke for it, and the one that came second."""

    rung: int
    why: tuple[str, ...]
    runner_up: str = ""
    why_not: str = ""


class Chooser:
    """Decides by what happened before, then by the kind of work; it never tries a model just to learn."""

    def __init__(
        self,
        catalogue: Catalogue,
        history: History,
        *,
        shadow: float = 0.0,
        seed: int = 0,
        priors: Priors = PRIORS,
    ):
        self.catalogue = catalogue
        self.history = history
        self.shadow = shadow
        self.seed = seed
        self.priors = priors
        self._ladders: dict[tuple[object, ...], _Ladder] = {}
        self._decided: dict[tuple[object, ...], Decision | None] = {}
        self._at_version = -1

    @property
    def version(self) -> int:
        """Changes whenever a decision could change."""
        return self.history.version

    def knows(self, signature: str) -> bool:
        """Whether this very task was tried before, so that it deserves a choice of its own."""
        return self.history.knows(signature)

    def decide(self, facts: Facts, failed: tuple[int, ...] = ()) -> Decision | None:
        """The rung to try next; `failed` are those that failed already. None: no rung above them is left."""
        if self._at_version != self.history.version or len(self._decided) > KEPT:
            self._decided.clear()
            self._at_version = self.history.version
        known = facts.signature if self.knows(facts.signature) else ""
        key = (*_identity(facts), known, failed)
        if key not in self._decided:
            self._decided[key] = self._decide(facts, known, failed)
        return self._decided[key]

    def learn(self, outcome: Outcome) -> Switch | None:
        """Adds to the history; tells when that switches a tier off (or on) for a family."""
        family, tier = outcome.family, outcome.tier or outcome.model
        if outcome.role != "shadow":
            self.history.add(outcome)
            return None
        was_off = self._is_off(family, tier)
        self.history.add(outcome)
        is_off = self._is_off(family, tier)
        if is_off == was_off:
            return None
        judged, wrong = self.history.verdicts(family, tier)
        share = wrong_share(self.history, family, tier, self.priors)
        evidence = (
            f"{wrong} of {judged} accepted results that the strongest model judged once more were wrong:"
            f" about {share:.0%}, where {SWITCH_OFF:.0%} is the most"
        )
        return Switch(family, tier, not is_off, evidence)

    def audits(self, facts: Facts, decision: Decision, n: int) -> bool:
        """Whether the strongest model judges this accepted result too: a sample by seed and task."""
        if not self.shadow:
            return False
        name = facts.ladder[-1] if len(facts.ladder) > 1 else self.catalogue.auto_tiers[-1]
        if self.catalogue.resolve(name, facts.agent).id == decision.model:
            return False
        drawn = zlib.crc32(f"{self.seed}/{facts.path}/{facts.signature}/{n}".encode(errors="surrogatepass"))
        # A checksum is linear: without the multiplication names that differ in a digit would go in step.
        return drawn * SCATTER % 2**32 < self.shadow * 2**32

    # One decision

    def _decide(self, facts: Facts, signature: str, failed: tuple[int, ...]) -> Decision | None:
        ladder = self._ladder(facts)
        if facts.fixed:
            return None if failed else self._declared(facts, ladder, signature)
        lowest = max(failed, default=-1) + 1
        left_out: list[str] = []
        allowed = self._allowed(facts, ladder, lowest, left_out)
        if not allowed:
            return None
        made = bets(self.history, facts.family, facts.kind.name, signature, ladder.rungs, self.priors)
        if self._may_bet(facts, ladder, made, lowest):
            pick = self._by_price(ladder, allowed, made, bool(failed))
        else:
            pick = self._by_kind(facts, ladder, allowed, made, bool(failed))
        bet = made[pick.rung]
        decision = self._decision(facts, ladder, pick, bet, (*left_out, *_scope(facts)))
        return decision._replace(chance=bet.after) if failed else decision

    def _declared(self, facts: Facts, ladder: _Ladder, signature: str) -> Decision:
        """What the author wrote, whatever history says; only its figures are looked up."""
        family, kind = facts.family, facts.kind.name
        made = bets(self.history, family, kind, signature, ladder.rungs, self.priors)[0]
        decision = self._decision(facts, ladder, _Pick(0, ("the plan names this model",)), made, ())
        chance = made.fresh if made.evidence else None
        return decision._replace(effort=facts.effort, confidence="declared", chance=chance)

    def _may_bet(self, facts: Facts, ladder: _Ladder, made: Sequence[Bet], lowest: int) -> bool:
        """Whether the price decides: a failure would be seen, and the plan does not say where to start."""
        if not ladder.priced or not facts.check:
            return False
        if facts.bounded:
            return lowest > 0 or made[0].evidence >= OVERRULES
        return facts.check == "executable" or lowest > 0

    def _by_price(self, ladder: _Ladder, allowed: Sequence[int], made: Sequence[Bet], after: bool) -> _Pick:
        """The start of the ladder of least expected cost among all that end in the strongest rung.

        E(rung) = cost + price of a wrong answer accepted + (1 - chance) x E(best rung above after a failure).
        """
        last = allowed[-1]
        price = self.priors.wrong_price
        above, above_rung = made[last].cost, last
        starts = [(above, last)]
        follows = {last: last}
        for rung in reversed(allowed[:-1]):
            bet = made[rung]
            fresh = bet.cost + price * bet.wrong_fresh + (1 - bet.fresh) * above
            later = bet.cost + price * bet.wrong_after + (1 - bet.after) * above
            follows[rung] = above_rung
            starts.append((later if after else fresh, rung))
            if later < above:
                above, above_rung = later, rung
        starts.sort(key=lambda start: (start[0], -start[1]))
        cost, rung = starts[0]
        name, strongest = _name(ladder, rung), _name(ladder, last)
        why = _why_this(name, strongest, rung == last, made[rung], cost, _name(ladder, follows[rung]), after)
        if len(starts) == 1:
            return _Pick(rung, why)
        other_cost, other = starts[1]
        name = _name(ladder, other)
        return _Pick(rung, why, name, _why_not(name, strongest, made[other], other_cost, cost, after))

    def _by_kind(
        self, facts: Facts, ladder: _Ladder, allowed: Sequence[int], made: Sequence[Bet], after: bool
    ) -> _Pick:
        """R3's rung, unless history says otherwise; after a failure the next one above."""
        if after:
            rung = allowed[0]
            return _Pick(rung, (f"{_name(ladder, rung)} is the next rung above the one that failed",))
        if facts.bounded:
            return _Pick(allowed[0], ("the plan names the start of the ladder",))
        named = next((rung for rung in allowed if rung >= ladder.named), allowed[-1])
        kind = facts.kind.name
        why = [
            f"{kind} work is for {_name(ladder, named)}"
            if kind
            else "the words do not say what kind of work it is"
        ]
        why += facts.kind.reasons[:2] if kind else []
        at_tier = self.priors.at_tier
        for rung in allowed:
            bet = made[rung]
            if rung < named and bet.evidence >= OVERRULES and bet.fresh >= at_tier:
                why.insert(0, f"{_name(ladder, rung)} has done tasks like this: {_chances(bet)}")
                return _Pick(rung, tuple(why), _name(ladder, named), "it costs more, and is not needed here")
        rung = named
        while rung != allowed[-1] and self._fails_here(facts, ladder, rung, made[rung]):
            rung = allowed[allowed.index(rung) + 1]
        if rung != named:
            why.insert(0, f"{_name(ladder, named)} has mostly failed at tasks like this")
            return _Pick(rung, tuple(why), _name(ladder, named), _chances(made[named]))
        position = allowed.index(rung)
        if position:
            cheaper = allowed[position - 1]
            unseen = (
                "nothing would notice a wrong answer"
                if not facts.check
                else "only a judge would notice a wrong answer"
            )
            return _Pick(rung, tuple(why), _name(ladder, cheaper), f"cheaper, but {unseen}")
        if len(allowed) == 1:
            return _Pick(rung, tuple(why))
        dearer = "dearer, and nothing says that it is needed"
        return _Pick(rung, tuple(why), _name(ladder, allowed[1]), dearer)

    def _fails_here(self, facts: Facts, ladder: _Ladder, rung: int, bet: Bet) -> bool:
        seen = self.history.of_family(facts.family, facts.kind.name, ladder.rungs[rung].model)
        answered = seen.n > FAILS and seen.ok * 2 < seen.n
        return answered or (bet.evidence >= FAILS and bet.fresh < 0.5)

    def _allowed(self, facts: Facts, ladder: _Ladder, lowest: int, left_out: list[str]) -> list[int]:
        """Rungs that may be tried from here on, weakest first, with the reasons for those left out."""
        rungs = range(lowest, len(ladder.rungs))
        held = [rung for rung in rungs if _holds(ladder.infos[rung], facts)]
        if not held and len(rungs):
            widest = max(rungs, key=lambda rung: (ladder.infos[rung].context or 0, rung))
            left_out.append(
                f"no model holds {facts.input_tokens:,} tokens and the answer; the widest is taken"
            )
            return [widest]
        for rung in rungs:
            if rung not in held:
                context = ladder.infos[rung].context
                left_out.append(f"{_name(ladder, rung)} is left out: its context is {context:,} tokens")
        allowed = [r for r in held if r == held[-1] or not self._is_off(facts.family, _name(ladder, r))]
        for rung in held:
            if rung not in allowed:
                name = _name(ladder, rung)
                said = self.history.verdicts(facts.family, name)
                left_out.append(
                    f"{name} is switched off here: {said.wrong} of {said.judged} accepted results were wrong"
                )
        return allowed

    def _is_off(self, family: str, tier: str) -> bool:
        return wrong_share(self.history, family, tier, self.priors) > SWITCH_OFF

    def _decision(
        self, facts: Facts, ladder: _Ladder, pick: _Pick, bet: Bet, looked_at: tuple[str, ...]
    ) -> Decision:
        info = ladder.infos[pick.rung]
        effort = facts.effort or _effort(facts.kind.name, info)
        nusd, seconds, known = self._expected(facts, info, effort)
        return Decision(
            rung=pick.rung,
            model=info.id,
            tier=info.tier,
            effort=effort,
            chance=bet.fresh,
            confidence=_confidence(bet.evidence),
            expected_nusd=None if nusd is None else int(nusd),
            expected_s=seconds,
            expected_from=known,
            reasons=(*pick.why, *looked_at),
            runner_up=pick.runner_up,
            why_not=pick.why_not,
        )

    def _expected(self, facts: Facts, info: ModelInfo, effort: str) -> tuple[float | None, float, str]:
        """Cost, time and their ground: as declared, as its family or its kind of work had it, or a figure.

        A figure looks at all that was recorded, and a choice is made anew after every outcome: so a mean
        serves as soon as there is one.
        """
        kind = facts.kind.name
        seen = self.history.of_family(facts.family, kind, info.id)
        if not seen.n:
            seen = self.history.of_kind(kind, info.id)
        nusd: float | None = seen.mean_nusd
        seconds, known = seen.mean_s, "history"
        if not seen.n:
            made = figure(facts, info, self.catalogue, self.history, effort=effort)
            return made.nusd, made.seconds, made.known
        expect = facts.expect
        if expect is not None and expect.time_s is not None:
            seconds = expect.time_s
        if expect is not None and expect.nusd is not None:
            nusd, known = expect.nusd, "declared"
        return nusd, seconds, known

    # Ladders

    def _ladder(self, facts: Facts) -> _Ladder:
        kind = facts.kind
        key = (facts.ladder, facts.agent, kind.name, kind.sure, facts.input_tokens)
        found = self._ladders.get(key)
        if found is None:
            if len(self._ladders) > KEPT:
                self._ladders.clear()
            found = self._ladders[key] = self._new_ladder(facts)
        return found

    def _new_ladder(self, facts: Facts) -> _Ladder:
        infos = tuple(self.catalogue.resolve(name, facts.agent) for name in facts.ladder)
        order = self.catalogue.tiers
        wanted, usual = self._place(facts.kind.name), self._place("")
        costs = [self._list_nusd(info, facts.input_tokens) for info in infos]
        rungs: list[Rung] = []
        for index, info in enumerate(infos):
            place = order.index(info.tier) if info.tier in order else usual + index
            sure = facts.kind.sure
            prior = sure * prior_chance(place - wanted, self.priors)
            prior += (1 - sure) * prior_chance(place - usual, self.priors)
            ratio = costs[index] / costs[-1] if costs[-1] else 1.0
            rungs.append(Rung(info.id, info.tier, prior, max(ratio, 1e-6)))
        places = [order.index(info.tier) if info.tier in order else usual for info in infos]
        named = next((i for i, place in enumerate(places) if place >= wanted), len(infos) - 1)
        return _Ladder(infos, tuple(rungs), named, all(costs))

    def _place(self, kind: str) -> int:
        """Where R3's tier for a kind of work stands in the order; of a user's own tiers, by their place."""
        tiers, auto = self.catalogue.tiers, self.catalogue.auto_tiers
        name = NAMED.get(kind, AUTO)
        if name not in auto:
            name = {"mechanical": auto[0], "strategy": auto[-1]}.get(kind, auto[len(auto) // 2])
        return tiers.index(name) if name in tiers else 0

    def _list_nusd(self, info: ModelInfo, input_tokens: int) -> int:
        """The list price of one call of this size, answered with a fifth of its length; 0 where unknown."""
        price = self.catalogue.price_of(info.id)
        if price is None:
            return 0
        tokens = int(max(1_000, input_tokens) * info.token_factor)
        return price.cost_nusd({"input": tokens, "output": tokens // 5})


def _identity(facts: Facts) -> tuple[object, ...]:
    """What a decision may look at, but for the signature: the same for all items of a template."""
    expect = facts.expect
    declared = None if expect is None else (expect.nusd, expect.time_s, expect.tokens)
    return (
        facts.family,
        facts.kind,
        facts.agent,
        facts.ladder,
        facts.fixed,
        facts.bounded,
        facts.effort,
        facts.check,
        facts.writes,
        facts.tools,
        facts.input_tokens,
        facts.max_tokens,
        facts.turns,
        declared,
    )


def _holds(info: ModelInfo, facts: Facts) -> bool:
    room = room_tokens(info, facts.max_tokens)
    return room is None or facts.input_tokens <= room


def _name(ladder: _Ladder, rung: int) -> str:
    return ladder.rungs[rung].tier or ladder.rungs[rung].model


def _effort(kind: str, info: ModelInfo) -> str:
    effort = EFFORTS.get(kind, "medium")
    return effort if info.efforts and effort in info.efforts else ""


def _confidence(evidence: float) -> Confidence:
    for least, word in KNOWN_WELL:
        if evidence >= least:
            return word
    return "none"


def _chances(bet: Bet) -> str:
    seen = f"after {bet.evidence:.0f} seen" if bet.evidence >= 1 else "before anything was seen"
    return f"{bet.fresh:.0%} chance {seen}"


def _why_this(
    name: str, strongest: str, is_last: bool, bet: Bet, cost: float, then: str, after: bool
) -> tuple[str, ...]:
    if is_last:
        return (f"{name} is the strongest left" if after else f"starting below {name} does not pay here",)
    chance = bet.after if after else bet.fresh
    return (
        f"a check tells when {name} fails, so it may try before {then}:"
        f" {chance:.0%} chance at {bet.cost:.0%} of the cost of {strongest}",
        f"expected in all {cost:.0%} of an attempt by {strongest}",
    )


def _why_not(name: str, strongest: str, bet: Bet, cost: float, chosen: float, after: bool) -> str:
    chance = bet.after if after else bet.fresh
    if name == strongest:
        return f"an attempt costs {cost / max(chosen, 1e-9):.2g} times what is expected of this choice"
    return (
        f"{chance:.0%} chance at {bet.cost:.0%} of the cost of {strongest}: expected in all {cost:.0%} of it"
        f" against {chosen:.0%}"
    )


def _scope(facts: Facts) -> tuple[str, ...]:
    """What else was looked at, in words."""
    said = {"executable": "a command or function checks the answer", "judged": "a model judges the answer"}
    found = [said.get(facts.check, "no check")]
    if facts.writes:
        found.append("it writes files")
    if facts.tools:
        found.append(f"{len(facts.tools)} tools in at most {facts.turns} turns")
    return (", ".join(found),)
