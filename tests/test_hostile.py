"""A run against a provider that limits, refuses, cuts and stalls: what can be done is done, and paid once."""

from __future__ import annotations

import pytest

from stretto import events as ev
from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.run import Outcome
from tests.hostile import Client, Provider, served
from tests.stage import Stage

TASKS = 500
CAP_NUSD = 10**9
PLENTY = {"requests": 2_000, "input_tokens": 2_000_000, "output_tokens": 2_000_000}
LIMITS = {
    "requests": PLENTY | {"requests": 100},
    "input": PLENTY | {"input_tokens": 40_000},
    "output": PLENTY | {"output_tokens": 20_000},
}
SEEDS = (0, 1, 2)
"""Published: none was looked for."""


def fan(tasks: int = TASKS) -> str:
    each = "model: haiku, attempts: 8, idle: 20s, output: json, max_tokens: 1000"
    lines = "".join(f"  t{k}: {{prompt: Do {k}, {each}}}\n" for k in range(tasks))
    return f"limits: {{parallel: 64}}\ntasks:\n{lines}"


def play(provider: Provider, tasks: int = TASKS) -> tuple[Stage, Outcome, Client]:
    client = Client(provider)
    stage = Stage(messages=client)
    return stage, stage.run(fan(tasks), on="messages", cap_nusd=CAP_NUSD), client


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("binding", LIMITS)
def test_five_hundred_tasks_under_limits_and_faults(binding: str, seed: int) -> None:
    provider = Provider(seed, LIMITS[binding])
    _, outcome, client = play(provider)

    assert outcome.code == EXIT_OK
    assert client.attempts <= 1.5 * TASKS
    assert all(outcome.value(f"t{k}") == {"answer": f"t{k} is done"} for k in range(TASKS))
    sent, hit = served(provider, 60)
    assert sent > 200 and hit <= 0.02 * sent
    assert use_of(provider, binding) >= 0.8
    ledger = outcome.state.ledger
    assert provider.bill_nusd - provider.silent_nusd == ledger.spent_nusd
    assert provider.bill_nusd <= ledger.spent_nusd + ledger.held_nusd <= CAP_NUSD


def use_of(provider: Provider, binding: str) -> float:
    """The share of what flowed into the bucket that was used, from the second minute to the last few."""
    sent = sorted(call.at_s for call in provider.sent)
    first, last = 60.0, sent[int(0.93 * len(sent))]
    admitted = [call for call in provider.sent if first < call.at_s <= last and not call.hit]
    used, rate = {
        "requests": (len(admitted), LIMITS[binding]["requests"]),
        "input": (sum(call.tokens for call in admitted), LIMITS[binding]["input_tokens"]),
        "output": (
            sum(tokens for at_s, tokens in provider.written if first < at_s <= last),
            LIMITS[binding]["output_tokens"],
        ),
    }[binding]
    return used / (rate * (last - first) / 60)


def test_stray_refusals_change_nothing_for_the_others() -> None:
    """One call in ten is refused though there is room, and the headers say so."""
    calm, stray = (
        Provider(0, PLENTY, faults={}),
        Provider(0, PLENTY, faults={"rate_limit": 0.1}),
    )
    fast, _, _ = play(calm, 200)
    slow, outcome, _ = play(stray, 200)
    assert outcome.code == EXIT_OK
    assert slow.elapsed_s < fast.elapsed_s + 15


def test_a_wall_without_headers_lowers_how_many_are_in_flight_and_it_recovers() -> None:
    provider = Provider(0, PLENTY | {"requests": 60}, tells=False, faults={})
    stage, outcome, client = play(provider, 200)
    assert outcome.code == EXIT_OK
    assert client.attempts <= 1.5 * 200
    assert stage.elapsed_s <= 1.3 * 60 * (200 - 60) / 60 + 30


def test_after_the_first_that_says_the_money_is_gone_nothing_is_started() -> None:
    provider = Provider(0, PLENTY, faults={}, quota_at_s=4.0)
    stage, outcome, _ = play(provider, 200)
    assert outcome.code == EXIT_LIMIT
    rows = list(stage.journal.read("r"))
    ended = [row for row in rows if isinstance(row.event, ev.AttemptEnded) and row.event.cls == "run"]
    started = [row for row in rows if isinstance(row.event, ev.AttemptStarted)]
    assert started[-1].at_us <= ended[0].at_us
    paused = outcome.state.paused
    assert paused is not None and paused.why == "quota" and paused.until_us is not None

    provider.quota_at_s = None
    done = stage.resume("r", on="messages")
    assert done.code == EXIT_OK
    assert provider.bill_nusd == done.state.ledger.spent_nusd
    succeeded = [r.event.task for r in stage.journal.read("r") if isinstance(r.event, ev.TaskSucceeded)]
    assert len(succeeded) == len(set(succeeded)) == 200


def test_who_waits_for_the_reset_goes_on_by_itself_and_pays_once() -> None:
    provider = Provider(0, PLENTY, faults={}, quota_at_s=4.0, quota_until_s=3_000.0)
    client = Client(provider)
    stage = Stage(messages=client)
    outcome = stage.run(fan(200), on="messages", cap_nusd=CAP_NUSD, wait_for_reset=True)
    assert outcome.code == EXIT_OK
    assert 3_000 < stage.elapsed_s < 3_000 + 3_600
    assert provider.bill_nusd == outcome.state.ledger.spent_nusd
    rows = [row.event for row in stage.journal.read("r")]
    assert sum(isinstance(event, ev.RunPaused) for event in rows) == 1
    assert sum(isinstance(event, ev.TaskSucceeded) for event in rows) == 200
