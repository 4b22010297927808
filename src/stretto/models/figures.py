"""What one attempt at a task will take on a model: money, time and tokens, each as a log-normal."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from stretto.models.catalogue import Catalogue, ModelInfo
from stretto.models.facts import Facts
from stretto.models.history import History
from stretto.models.measured import EFFORTS, Attempt, Expected, Measured

SYSTEM_TOKENS = 300
"""What agents say around a prompt: how to answer, what the tools are."""
CLAUDE_TOKENS = 15_000
"""The same of Claude Code, whose own prompt has 43-53 KB."""
TURNS_WITH_TOOLS = 6
"""Calls of an attempt that has tools; recorded easy tool work had 4 ..."""
TURNS_OF_CLAUDE = 12
"""... and hard agent work dozens."""
TOOL_TOKENS = 1_500
"""What one turn's tool results add to the context."""
ANSWERS = {"mechanical": 400, "development": 1_500, "strategy": 3_000}
"""Output tokens of one attempt without tools, by kind of work; from recorded runs within a factor of two."""
ANSWER = 1_000
VERDICT = 200
"""Output tokens of a judge."""
MEDIUM = 0.65
"""The answers above are of medium effort, what is recorded is counted as of high effort."""
LATENCY_S = 1.0
"""Until a call's first token."""
SPEED = 60.0
"""Output tokens per second where nothing is known of a model."""
PRETENDED = 20.0
"""How many times faster than life a pretender is."""
SPREAD = 0.7
"""Standard deviation of the logarithm of one task's cost: recorded coding work had 0.5-0.7."""
SPREAD_WITH_TOOLS = 1.1
"""The same with tools: up to 1.6 elsewhere."""
GUESS = 0.7
"""How unsure a prior's mean is, as a standard deviation of its logarithm: a factor of two either way ..."""
LEAST_DOUBT = 1.5
"""... and beside what was seen it is doubted by this, or by as much as the two differ."""
OTHER_MODEL = 0.5
"""How unsure a mean is that another model's attempts and the ratio of the priors give."""


class Figure(NamedTuple):
    """One attempt. Means, with the spread of single attempts and how unsure the means themselves are."""

    nusd: float | None
    """None: no price is known."""
    sd_log: float
    mean_sd_log: float
    """Shared by all tasks of a family: it does not average out over many. Median 1, like the next."""
    seconds: float
    seconds_sd_log: float
    seconds_mean_sd_log: float
    input_tokens: float
    cache_read_tokens: float
    cache_write_tokens: float
    output_tokens: float
    calls: float
    known: str
    """declared, history or prior."""
    known_seconds: str
    n: int
    """How many outcomes of its family stand behind it."""
    model_sd_log: float = 0.0
    """The same uncertainty, shared by all tasks that lean on what is known of `source` ..."""
    seconds_model_sd_log: float = 0.0
    source: str = ""
    """... : a model, or all priors together."""

    @property
    def tokens(self) -> float:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.output_tokens


def figure(
    facts: Facts,
    model: ModelInfo,
    catalogue: Catalogue,
    history: History,
    *,
    effort: str = "",
    role: str = "work",
) -> Figure:
    """What is declared beats what was seen, and that beats the priors; money and time apart.

    `role` check: the attempt of a judge that reads the work's answer and gives a short verdict.
    """
    effort = effort or facts.effort
    made = _prior(facts, model, catalogue, effort, role)
    pretended = agent_of(facts) == "simulated"
    if history.measured.attempts(pretended, model.id, role):
        made = _seen(made, facts, model.id, history.measured, effort, role)
    elif other := _nearest(history.measured, facts, pretended, role):
        made = _seen_elsewhere(made, facts, catalogue, history, other, effort, role)
    return _declared(made, facts) if role == "work" else made


def agent_of(facts: Facts) -> str:
    """The kind of agent that carries a task out, without its argument."""
    return facts.agent.partition(":")[0]


def _prior(facts: Facts, model: ModelInfo, catalogue: Catalogue, effort: str, role: str) -> Figure:
    """From the prompt's size, the tools, the kind of work, list prices and median speeds.

    Each turn after the first re-reads all before it from the cache and writes what is new to it.
    """
    claude = agent_of(facts) == "claude"
    calls = 1
    if role == "work" and (facts.tools or claude):
        calls = max(1, min(facts.turns, TURNS_OF_CLAUDE if claude else TURNS_WITH_TOOLS))
    answer = ANSWERS.get(facts.kind.name, ANSWER) * EFFORTS.get(effort, MEDIUM) / MEDIUM
    first = (facts.input_tokens + (CLAUDE_TOKENS if claude else SYSTEM_TOKENS)) * model.token_factor
    if role == "check":
        first, answer = first + min(facts.max_tokens, answer), VERDICT
    answer = min(float(facts.max_tokens), answer) * model.token_factor
    added = answer / calls + TOOL_TOKENS
    # Of a conversation with one call nothing is read again, so nothing is written to the cache.
    reads = sum(first + turn * added for turn in range(calls - 1))
    writes = first + (calls - 1) * added if calls > 1 else 0.0
    fresh = first if calls == 1 else 0.0
    price = catalogue.price_of(model.id)
    nusd = None
    if price is not None:
        usage = {"input": fresh, "cache_read": reads, "cache_write_5m": writes, "output": answer}
        of = price.at(int(first + (calls - 1) * added / 2))
        nusd = sum(amount * of.of(name) for name, amount in usage.items()) / 1e6
    spread = SPREAD_WITH_TOOLS if calls > 1 else SPREAD
    seconds = answer / (model.tokens_per_s or SPEED) + calls * LATENCY_S
    if agent_of(facts) == "simulated":
        seconds /= PRETENDED
    return Figure(
        nusd=nusd,
        sd_log=spread,
        mean_sd_log=0.0,
        seconds=seconds,
        seconds_sd_log=spread,
        seconds_mean_sd_log=0.0,
        input_tokens=fresh,
        cache_read_tokens=reads,
        cache_write_tokens=writes,
        output_tokens=answer,
        calls=float(calls),
        known="prior",
        known_seconds="prior",
        n=0,
        model_sd_log=GUESS,
        seconds_model_sd_log=GUESS,
        source="prior",
    )


def _seen(made: Figure, facts: Facts, model: str, measured: Measured, effort: str, role: str) -> Figure:
    """What attempts of this model took, of the same task, its family or all; it moves the prior."""
    pretended = agent_of(facts) == "simulated"
    money, time = measured.fits(pretended, model, role)
    attempts = measured.attempts(pretended, model, role)
    factor = EFFORTS.get(effort, 1.0)
    size = facts.input_tokens
    source = f"{model}, {role}"
    nusd = made.nusd
    if money.n:
        of_money = money.expected(facts.family, facts.signature, size)
        nusd = _towards(made.nusd, of_money, factor)
        made = made._replace(
            nusd=nusd,
            sd_log=of_money.sd_log,
            mean_sd_log=of_money.family_sd_log,
            model_sd_log=of_money.model_sd_log,
            known="history",
            n=of_money.n,
            source=source,
        )
    if time.n:
        of_time = time.expected(facts.family, facts.signature, size)
        made = made._replace(
            seconds=_towards(made.seconds, of_time, factor),
            seconds_sd_log=of_time.sd_log,
            seconds_mean_sd_log=of_time.family_sd_log,
            seconds_model_sd_log=of_time.model_sd_log,
            known_seconds="history",
            source=source,
        )
    return _with_tokens(made, attempts, factor)


def _towards(prior: float | None, seen: Expected, factor: float) -> float:
    """The mean of what was seen, moved to the prior's as far as it is the less sure of the two."""
    mean = seen.mean * factor
    if not prior or mean <= 0:
        return mean
    apart = log(prior / mean)
    doubt = max(LEAST_DOUBT, abs(apart)) ** 2
    variance = seen.family_sd_log**2 + seen.model_sd_log**2
    if seen.n:
        variance = max(variance, seen.sd_log**2 / (4 * seen.n))
    return mean * exp(apart * variance / (variance + doubt))


def _with_tokens(made: Figure, attempts: Sequence[Attempt], factor: float) -> Figure:
    """Tokens by class as recorded, at the mean amount of work."""
    recorded = [a for a in attempts if a.input_tokens or a.output_tokens or a.cache_read_tokens]
    if not recorded:
        return made
    n = len(recorded)
    nusd = sum(a.nusd for a in recorded) / n
    # What costs more than the mean has as many more tokens of each class.
    scale = made.nusd / nusd if made.nusd and nusd else factor
    return made._replace(
        input_tokens=scale * sum(a.input_tokens for a in recorded) / n,
        cache_read_tokens=scale * sum(a.cache_read_tokens for a in recorded) / n,
        cache_write_tokens=scale * sum(a.cache_write_tokens for a in recorded) / n,
        output_tokens=scale * sum(a.output_tokens for a in recorded) / n,
        calls=sum(a.calls for a in recorded) / n or made.calls,
    )


def _nearest(measured: Measured, facts: Facts, pretended: bool, role: str) -> str:
    """The model of which most attempts are recorded, of this family if there are any."""

    def known(model: str) -> tuple[int, int]:
        attempts = measured.attempts(pretended, model, role)
        return sum(a.family == facts.family for a in attempts), len(attempts)

    return max(sorted(measured.models(pretended, role)), key=known, default="")


def _seen_elsewhere(
    made: Figure, facts: Facts, catalogue: Catalogue, history: History, other: str, effort: str, role: str
) -> Figure:
    """What another model's attempts took, times the ratio of the two models' priors."""
    before = _prior(facts, catalogue.info(other), catalogue, effort, role)
    there = _seen(before, facts, other, history.measured, effort, role)
    if made.nusd is not None and before.nusd and there.nusd is not None:
        made = made._replace(
            nusd=made.nusd * there.nusd / before.nusd,
            sd_log=there.sd_log,
            mean_sd_log=there.mean_sd_log,
            model_sd_log=_and(there.model_sd_log, OTHER_MODEL),
            known=there.known,
        )
    ratio = made.seconds / before.seconds
    return made._replace(
        seconds=there.seconds * ratio,
        seconds_sd_log=there.seconds_sd_log,
        seconds_mean_sd_log=there.seconds_mean_sd_log,
        seconds_model_sd_log=_and(there.seconds_model_sd_log, OTHER_MODEL),
        input_tokens=there.input_tokens,
        cache_read_tokens=there.cache_read_tokens,
        cache_write_tokens=there.cache_write_tokens,
        output_tokens=there.output_tokens,
        calls=there.calls,
        known_seconds=there.known_seconds,
        source=there.source,
    )


def _and(sd_log: float, other_sd_log: float) -> float:
    return sqrt(sd_log**2 + other_sd_log**2)


def _declared(made: Figure, facts: Facts) -> Figure:
    expect = facts.expect
    if expect is None:
        return made
    if expect.nusd is not None:
        made = made._replace(
            nusd=float(expect.nusd), sd_log=0.0, mean_sd_log=0.0, model_sd_log=0.0, known="declared"
        )
    if expect.time_s is not None:
        made = made._replace(
            seconds=expect.time_s,
            seconds_sd_log=0.0,
            seconds_mean_sd_log=0.0,
            seconds_model_sd_log=0.0,
            known_seconds="declared",
        )
    if expect.tokens is not None:
        made = made._replace(
            input_tokens=0.0,
            cache_read_tokens=0.0,
            cache_write_tokens=0.0,
            output_tokens=float(expect.tokens),
        )
    return made
