"""What every journal promises, on disk or in memory: subclasses say how one is made."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stretto.errors import StrettoError
from stretto.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    RunContinued,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    TaskSucceeded,
)
from stretto.journal import Blob, Journal, Kept, RunJournal
from stretto.models.history import Outcome

PLAN = b'{"name":"audit","tasks":[]}'
STARTED = RunStarted(
    hashlib.sha256(PLAN).hexdigest(),
    {"path": "src"},
    None,
    None,
    None,
    8,
    "simulated",
    7,
    "/r",
    1,
    "b",
    "0.1",
    {},
)
ENDED = RunEnded("succeeded", 12, 3)
SMALL = b"a small output"
LARGE = b"a large output, " * 1_000


def blob(content: bytes) -> Blob:
    return hashlib.sha256(content).hexdigest(), content


def write(
    run: RunJournal,
    *events: Event,
    at_us: int = 1,
    blobs: Sequence[Blob] = (),
    kept: Sequence[tuple[str, Kept]] = (),
    outcomes: Sequence[Outcome] = (),
) -> None:
    """One append, committed."""

    async def commit() -> None:
        await run.append(at_us, events, blobs, kept, outcomes)

    asyncio.run(commit())


def finished(
    journal: Journal, run: str, *events: Event, at_us: int = 1, blobs: Sequence[Blob] = (), **more: Any
) -> None:
    """A whole run: begun, these events, ended, closed."""
    writer = journal.create(run, "audit")
    write(writer, STARTED, *events, ENDED, at_us=at_us, blobs=[blob(PLAN), *blobs], **more)
    writer.close()


def outcome(n: int, **more: Any) -> Outcome:
    """The n-th of many that differ in their cost."""
    base = Outcome(
        "sig", "audit.scan", "mechanical", "claude-haiku-5-5", "haiku", "", "work", True, False, n, 1.5
    )
    return base._replace(**more)


def slug(caught: pytest.ExceptionInfo[StrettoError]) -> str:
    assert caught.value.next, "an error says what to do"
    return caught.value.slug


class JournalContract:
    def make(self, root: Path) -> Journal:
        raise AssertionError("the subclass says how a journal is made")

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return self.make(tmp_path)

    def test_an_empty_project_has_no_runs(self, journal: Journal) -> None:
        assert journal.runs() == []
        assert list(journal.read("none")) == []
        assert journal.kept("k" * 64) is None
        assert journal.beats("none") == {}
        assert not journal.live("none")

    def test_events_come_back_in_order_with_their_header(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        write(run, STARTED, at_us=5)
        write(run, AttemptStarted("a", 1), AttemptEnded("a", 1, "ok"), at_us=6)
        rows = list(journal.read("one"))
        assert [(row.seq, row.at_us) for row in rows] == [(1, 5), (2, 6), (3, 6)]
        assert [row.event for row in rows] == [STARTED, AttemptStarted("a", 1), AttemptEnded("a", 1, "ok")]
        assert [type(row.event) for row in rows] == [RunStarted, AttemptStarted, AttemptEnded]
        assert list(journal.read("one", after=2)) == rows[2:]
        assert list(journal.read("one", after=3)) == []
        run.close()

    def test_appends_are_committed_in_the_order_of_the_calls(self, journal: Journal) -> None:
        run = journal.create("one", "audit")

        async def all_at_once() -> None:
            waits = [run.append(n, [AttemptStarted("a", n)]) for n in range(1, 501)]
            await waits[-1]
            assert [row.event for row in journal.read("one")] == [
                AttemptStarted("a", n) for n in range(1, 501)
            ]
            for wait in waits:
                await wait

        asyncio.run(all_at_once())
        run.close()

    def test_a_reopened_run_goes_on_where_it_was(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        write(run, STARTED, AttemptStarted("a", 1))
        run.close()
        run = journal.open("one")
        write(run, RunResumed(2, "b", ["a#1"]), at_us=9)
        run.close()
        assert [(row.seq, row.at_us) for row in journal.read("one")] == [(1, 1), (2, 1), (3, 9)]

    def test_closing_waits_for_what_was_appended(self, journal: Journal) -> None:
        run = journal.create("one", "audit")

        async def without_waiting() -> None:
            for n in range(100):
                _ = run.append(n, [AttemptStarted("a", n)])

        asyncio.run(without_waiting())
        run.close()
        run.close()
        assert len(list(journal.read("one"))) == 100

    def test_nothing_is_appended_to_a_closed_run(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        run.close()
        with pytest.raises(StrettoError, match="after its journal was closed"):
            write(run, STARTED)

    def test_a_cancelled_waiter_cancels_nobody_else(self, journal: Journal) -> None:
        run = journal.create("one", "audit")

        async def wait(n: int) -> int:
            await run.append(n, [AttemptStarted("a", n)])
            return n

        async def cancel_one() -> list[Any]:
            tasks = [asyncio.create_task(wait(n)) for n in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        first, _, last = asyncio.run(cancel_one())
        assert (first, last) == (0, 2)
        assert len(list(journal.read("one"))) == 3
        run.close()

    def test_blobs_come_back(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        small, large, empty = blob(SMALL), blob(LARGE), blob(b"")
        write(run, STARTED, blobs=[small, large, empty])
        write(run, RunContinued("user"), blobs=[small, large])
        run.close()
        assert [journal.blob(sha) for sha, _ in (small, large, empty)] == [SMALL, LARGE, b""]

    def test_blobs_may_come_without_events(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        write(run, blobs=[blob(SMALL)])
        run.close()
        assert journal.blob(blob(SMALL)[0]) == SMALL

    @pytest.mark.parametrize("sha", ["f" * 64, "", "../../etc/passwd"])
    def test_a_blob_that_is_not_there_is_missing(self, journal: Journal, sha: str) -> None:
        with pytest.raises(StrettoError) as caught:
            journal.blob(sha)
        assert slug(caught) == "missing-blob"

    def test_a_run_is_made_once(self, journal: Journal) -> None:
        finished(journal, "one")
        with pytest.raises(StrettoError) as caught:
            journal.create("one", "audit")
        assert slug(caught) == "run-exists"
        assert not journal.live("one")

    def test_an_unknown_run_is_not_opened(self, journal: Journal) -> None:
        with pytest.raises(StrettoError) as caught:
            journal.open("one")
        assert slug(caught) == "no-such-run"

    @pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 101, "ü"])
    def test_a_name_that_is_no_folder_name_is_refused(self, journal: Journal, name: str) -> None:
        with pytest.raises(StrettoError) as caught:
            journal.create(name, "audit")
        assert slug(caught) == "bad-run-name"
        assert not journal.live(name)

    def test_one_writer_at_a_time(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        write(run, STARTED)
        assert journal.live("one")
        with pytest.raises(StrettoError) as caught:
            journal.open("one")
        assert slug(caught) == "run-is-live"
        with pytest.raises(StrettoError) as caught:
            journal.create("one", "audit")
        assert slug(caught) == "run-is-live"
        other = journal.create("two", "audit")
        run.close()
        assert not journal.live("one")
        assert journal.live("two")
        journal.open("one").close()
        other.close()

    def test_the_list_of_runs_follows_their_events(self, journal: Journal) -> None:
        finished(journal, "old", at_us=10)
        run = journal.create("new", "tidy")
        assert [info.run for info in journal.runs()] == ["old"]
        write(run, STARTED, at_us=20)
        old = ("old", "audit", 10, "succeeded", False, 12, 3)
        for event, status in (
            (None, "running"),
            (RunPaused("budget"), "paused"),
            (RunContinued("user"), "running"),
            (RunPaused("user"), "paused"),
            (RunResumed(1, "b", []), "running"),
        ):
            if event is not None:
                write(run, AttemptStarted("a", 1), event, at_us=30)
            assert journal.runs() == [("new", "tidy", 20, status, True, 0, 0), old]
        write(run, RunEnded("failed", 5, 6), at_us=40)
        run.close()
        assert journal.runs() == [("new", "tidy", 20, "failed", False, 5, 6), old]

    def test_kept_results_are_found_by_key(self, journal: Journal) -> None:
        sha = blob(SMALL)[0]
        first, second = Kept("one", "a", 1, sha, len(SMALL), 7), Kept("two", "b", 2, sha, len(SMALL), 8)
        finished(
            journal,
            "one",
            TaskSucceeded("a", sha, len(SMALL), "k1"),
            blobs=[blob(SMALL)],
            kept=[("k1", first), ("k2", first)],
        )
        assert journal.kept("k1") == first
        assert journal.kept("k3") is None
        finished(journal, "two", TaskSucceeded("b", sha, len(SMALL), "k1"), kept=[("k1", second)])
        assert journal.kept("k1") == second
        assert journal.kept("k2") == first

    def test_a_kept_result_without_its_output_is_none(self, journal: Journal) -> None:
        finished(journal, "one", kept=[("k", Kept("one", "a", 1, "f" * 64, 3, 0))])
        assert journal.kept("k") is None

    def test_outcomes_come_back_oldest_first(self, journal: Journal) -> None:
        assert journal.outcomes() == []
        first = outcome(1, signature="grün", calls=2, input_tokens=3, cache_read_tokens=4)
        finished(journal, "one", outcomes=[first, outcome(2)])
        run = journal.create("two", "audit")
        write(run, STARTED)
        write(run, outcomes=[outcome(3, ok=False, verified=True, seconds=0.0)])
        assert journal.outcomes() == [first, outcome(2), outcome(3, ok=False, verified=True, seconds=0.0)]
        run.close()
        found = journal.outcomes()
        assert {type(entry) for entry in found} == {Outcome}
        assert [type(found[0].ok), type(found[0].verified), type(found[2].seconds)] == [bool, bool, float]

    def test_of_many_outcomes_the_newest_are_given(self, journal: Journal) -> None:
        finished(journal, "one", outcomes=[outcome(n) for n in range(250)])
        assert [entry.cost_nusd for entry in journal.outcomes(3)] == [247, 248, 249]
        assert len(journal.outcomes(1_000)) == 250
        assert journal.outcomes(0) == []

    def test_asks_reach_the_run_once(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        write(run, STARTED)
        assert run.asks() == []
        journal.ask("one", "approve", {"nusd": 5})
        journal.ask("one", "cancel", {})
        assert [(ask.verb, ask.args) for ask in run.asks()] == [("approve", {"nusd": 5}), ("cancel", {})]
        assert run.asks() == []
        write(run, RunContinued("user"))
        run.close()
        journal.ask("one", "cancel", {"why": "später"})
        run = journal.open("one")
        assert [(ask.verb, ask.args) for ask in run.asks()] == [("cancel", {"why": "später"})]
        run.close()

    def test_only_a_run_that_is_there_is_asked(self, journal: Journal) -> None:
        with pytest.raises(StrettoError) as caught:
            journal.ask("one", "cancel", {})
        assert slug(caught) == "no-such-run"

    def test_asks_of_one_run_do_not_reach_another(self, journal: Journal) -> None:
        one, two = journal.create("one", "audit"), journal.create("two", "audit")
        write(one, STARTED)
        write(two, STARTED)
        journal.ask("one", "cancel", {})
        assert two.asks() == []
        assert len(one.asks()) == 1
        one.close()
        two.close()

    def test_heartbeats_are_overwritten_and_end_with_the_attempt(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        run.beat(["a#1", "b#1"], 10)
        write(run, STARTED)
        assert journal.beats("one") == {"a#1": 10, "b#1": 10}
        run.close()
        assert journal.beats("one") == {}

    def test_a_run_has_a_folder_of_its_own(self, journal: Journal) -> None:
        run = journal.create("one", "audit")
        folder = journal.run_folder("one")
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(StrettoError):
            journal.run_folder("..")
        run.close()
