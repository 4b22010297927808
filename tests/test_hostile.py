"""A run against a provider that limits, refuses, cuts and stalls: what can be done is done, and paid once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.journal.memory import MemoryJournal
from stretto.run import Options, Outcome, run_plan
from tests.autojump import run as in_virtual_time
from tests.hostile import FAULTS, START, Client, Heads, Provider, Sent, served
from tests.stage import Cast, Stage, plan_of

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


EACH = "attempts: 8, idle: 20s, output: json, max_tokens: 1000"


def fan(tasks: int = TASKS, models: tuple[str, ...] = ("haiku",)) -> str:
    lines = "".join(
        f"  t{k}: {{prompt: Do {k}, model: {models[k % len(models)]}, {EACH}}}\n" for k in range(tasks)
    )
    return f"limits: {{parallel: 64}}\ntasks:\n{lines}"


def play(
    provider: Provider, tasks: int = TASKS, plan: str = "", cap_nusd: int = CAP_NUSD
) -> tuple[Stage, Outcome, Client]:
    client = Client(provider)
    stage = Stage(messages=client)
    return stage, stage.run(plan or fan(tasks), on="messages", cap_nusd=cap_nusd), client


def check(provider: Provider, outcome: Outcome, client: Client, tasks: int = TASKS) -> None:
    """All that can be done is done, in few attempts and for what the provider's bill says."""
    assert outcome.code == EXIT_OK
    assert client.attempts <= 1.5 * tasks
    assert all(outcome.value(f"t{k}") == {"answer": f"t{k} is done"} for k in range(tasks))
    sent, hit = served(provider, 60)
    assert sent > 200 and hit <= 0.02 * sent
    ledger = outcome.state.ledger
    assert provider.bill_nusd - provider.silent_nusd == ledger.spent_nusd
    assert provider.bill_nusd <= ledger.spent_nusd + ledger.held_nusd <= (ledger.cap_nusd or 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("binding", LIMITS)
def test_five_hundred_tasks_under_limits_and_faults(binding: str, seed: int) -> None:
    provider = Provider(seed, LIMITS[binding])
    _, outcome, client = play(provider)

    check(provider, outcome, client)
    assert use_of(provider, binding) >= 0.8
    assert all(provider.met[fault] for fault in FAULTS), "each of them happened"


def test_two_models_keep_to_their_own_limits_side_by_side() -> None:
    provider = Provider(0, LIMITS["requests"])
    _, outcome, client = play(provider, plan=fan(TASKS, ("haiku", "sonnet")), cap_nusd=20 * CAP_NUSD)
    check(provider, outcome, client)
    for model in ("claude-haiku-5-5", "claude-sonnet-5-5"):
        assert use_of(provider, "requests", lambda sent, model=model: sent.model == model) >= 0.8  # type: ignore[misc]


def test_a_small_group_beside_a_large_one_ends_early_wherever_it_stands() -> None:
    def group(name: str, tasks: int) -> str:
        lines = "".join(f"      t{k}: {{prompt: Do {k}, model: haiku, {EACH}}}\n" for k in range(tasks))
        return f"  {name}:\n    tasks:\n{lines}"

    for small in (0, 1):
        names = ["large", "large"]
        names[small] = "small"
        parts = "".join(group(name, 10 if name == "small" else 490) for name in names)
        provider = Provider(0, LIMITS["requests"], faults={})
        _, outcome, _ = play(provider, plan=f"limits: {{parallel: 64}}\ntasks:\n{parts}")
        assert outcome.code == EXIT_OK
        first = [call.task.startswith("small.") for call in sorted(provider.sent, key=lambda call: call.at_s)]
        assert sum(first[:64]) == 10, "all of them are among those that start at once"


def test_what_has_the_longest_way_to_go_is_sent_first() -> None:
    chains = ""
    for k in range(100):
        chains += f"  a{k}: {{prompt: Do {k}, model: haiku, {EACH}}}\n"
    for k in range(20):
        chains += f"  b{k}: {{prompt: Do {k}, model: haiku, {EACH}}}\n"
        chains += f"  c{k}: {{prompt: Do more, model: haiku, needs: [b{k}], {EACH}}}\n"
    provider = Provider(0, PLENTY | {"requests": 30}, faults={})
    _, outcome, _ = play(provider, plan=f"limits: {{parallel: 20}}\ntasks:\n{chains}")
    assert outcome.code == EXIT_OK
    first = sorted(provider.sent, key=lambda call: call.at_s)[:20]
    assert {call.task[0] for call in first} == {"b"}


@pytest.mark.parametrize(("before", "after"), [(200, 60), (60, 200)])
def test_limits_that_change_in_the_middle_are_kept_to_and_used(before: int, after: int) -> None:
    later = (60.0, PLENTY | {"requests": after})
    provider = Provider(0, PLENTY | {"requests": before}, later=later, faults={})
    _, outcome, _ = play(provider)
    assert outcome.code == EXIT_OK
    settled = [call for call in provider.sent if call.at_s > 70]
    assert sum(call.hit for call in settled) <= 0.02 * len(settled)
    assert sum(call.hit for call in provider.sent) <= 0.05 * len(provider.sent)
    seconds = max(call.at_s for call in settled) - 70
    assert 0.8 * after <= 60 * len(settled) / seconds <= 1.1 * after


@pytest.mark.parametrize("tells", [True, False])
def test_two_runs_with_one_key_share_what_it_allows(tells: bool) -> None:
    """Each knows of the other only what the headers say; without them, what refusals say."""
    provider = Provider(0, PLENTY | {"requests": 100}, tells=tells)
    plan, tasks = plan_of(fan(250)), 250
    clients = [Client(provider), Client(provider)]

    async def main() -> tuple[list[Outcome], float]:
        options = [Options(on="messages", cap_nusd=CAP_NUSD, control=False, seed=k) for k in range(2)]
        cast = [Cast(messages=client) for client in clients]
        runs = [
            run_plan(plan, option, MemoryJournal(), Path(), agents=agents, run="r")
            for option, agents in zip(options, cast, strict=True)
        ]
        return list(await asyncio.gather(*runs)), asyncio.get_running_loop().time()

    outcomes, seconds = in_virtual_time(main())
    assert [outcome.code for outcome in outcomes] == [EXIT_OK, EXIT_OK]
    assert all(client.attempts <= (1.5 if tells else 2) * tasks for client in clients)
    assert sum(outcome.state.ledger.spent_nusd for outcome in outcomes) == (
        provider.bill_nusd - provider.silent_nusd
    )
    sent, hit = served(provider, 60)
    assert hit <= (0.03 if tells else 0.4) * sent
    assert seconds <= 1.25 * 60 * (len(provider.sent) - 100) / 100 + 60, "what there is is used"


def resets(moment: str) -> Callable[[Heads], Heads]:
    """Puts every reset there."""

    def spoil(heads: Heads) -> Heads:
        return {name: moment if name.endswith("-reset") else value for name, value in heads.items()}

    return spoil


def waits(text: str | None) -> Callable[[Heads], Heads]:
    """Asks for this wait in place of the one that is right; None: for none."""

    def spoil(heads: Heads) -> Heads:
        kept = {name: value for name, value in heads.items() if name != "retry-after"}
        return kept if text is None or "retry-after" not in heads else kept | {"retry-after": text}

    return spoil


SPOILT = {
    "resets in the past": resets("2001-01-01T00:00:00Z"),
    "resets far off": resets("2199-01-01T00:00:00Z"),
    "resets that are none": resets("tomorrow"),
    "no retry-after": waits(None),
    "a retry-after in the past": waits("Sat, 01 Jan 2000 00:00:00 GMT"),
    "a negative one": waits("-5"),
    "garbage": waits("soon"),
    "a date": waits(format_datetime(START, usegmt=True)),
}


@pytest.mark.parametrize("how", SPOILT)
def test_headers_that_mislead_stop_nobody(how: str) -> None:
    provider = Provider(0, LIMITS["requests"], spoil=SPOILT[how])
    _, outcome, client = play(provider)
    check(provider, outcome, client)
    assert use_of(provider, "requests") >= 0.8


def every_call(_: Sent) -> bool:
    return True


def use_of(provider: Provider, binding: str, of: Callable[[Sent], bool] = every_call) -> float:
    """The share of what flowed into the bucket that was used, from the second minute to the last few."""
    sent = sorted(call.at_s for call in provider.sent if of(call))
    first, last = 60.0, sent[int(0.93 * len(sent))]
    admitted = [call for call in provider.sent if first < call.at_s <= last and not call.hit and of(call)]
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
