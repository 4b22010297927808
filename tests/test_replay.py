"""A small recording through the real scheduler, choice, ladder and ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.recordings import Piece, Recordings, ladder, ladders, recording, summary, twice
from bench.replay import Setting, catalogue_of, main, replay

HEAD = (
    "dataset,task,family,model,trial,solved,cost_usd,input_tokens,cached_tokens,output_tokens,time_s,prompt"
)
MODELS = "haiku-4-5,sonnet-4-6,opus-4-6"
COSTS = {"haiku-4-5": 0.01, "sonnet-4-6": 0.05, "opus-4-6": 0.1}
TASKS = 24


def solves(model: str, task: int, trial: int) -> bool:
    """Of the easy all but every sixth; of the hard only the strongest, every third, and not each time."""
    if task % 2 == 0:
        return task % 6 != 0
    return model == "opus-4-6" and (task + trial) % 3 == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [
        f"made,t{task},{'easy' if task % 2 == 0 else 'hard'},claude-{model},{trial},"
        f"{int(solves(model, task, trial))},{cost},1000,,200,{10 + task},"
        f"{'Count the lines of file ' + str(task) + ' ${x}' if task % 2 == 0 else ''}"
        for task in range(TASKS)
        for model, cost in COSTS.items()
        for trial in ((1, 2) if model == "opus-4-6" else (1,))
    ]
    file = tmp_path / "made.csv"
    file.write_text("\n".join([HEAD, *rows]) + "\n")
    return file


def stream(path: Path, seed: int = 0) -> tuple[list[Piece], Setting]:
    recorded = recording(f"made={MODELS}")
    return Recordings(path).stream([recorded], seed), Setting((recorded,))


def test_every_trial_of_the_strongest_is_a_task(path: Path) -> None:
    pieces, _ = stream(path)
    assert len(pieces) == 2 * TASKS and {len(piece.answers) for piece in pieces} == {3}
    assert all(piece.again is not None and piece.answers[-1] is not piece.again for piece in pieces)
    assert (
        [p.task for p in pieces] == [p.task for p in stream(path)[0]] != [p.task for p in stream(path, 1)[0]]
    )


def test_the_ledger_adds_up_to_what_the_recording_cost(path: Path) -> None:
    pieces, setting = stream(path)
    made = replay(pieces, setting, 0)
    assert [result.piece for result in made.results] == pieces
    assert made.spent_nusd == sum(result.cost_nusd for result in made.results) > 0
    assert not any(made.shadow_nusd.values()) and not made.switched
    for result in made.results:
        costs = [answer.cost_nusd for answer in result.piece.answers]
        assert result.cost_nusd in {costs[0] + costs[2], sum(costs), costs[1] + costs[2], *costs}
        assert result.solved or result.cost_nusd >= costs[-1], (
            "none is given up before the strongest has tried"
        )


def test_a_replay_repeats_itself(path: Path) -> None:
    pieces, setting = stream(path)
    assert replay(pieces, setting, 0) == replay(pieces, setting, 0)


def test_it_learns_which_family_is_worth_a_try(path: Path) -> None:
    pieces, setting = stream(path)
    made = replay(pieces, setting, 0)
    late = list(zip(made.first, pieces, strict=True))[len(pieces) // 2 :]
    assert all(rung == 0 for rung, piece in late if piece.family == "easy")
    assert all(rung == 2 for rung, piece in late if piece.family == "hard")
    policy = summary(made.results)
    assert policy.gained >= 0 and policy.ratio < 0.9


def test_wrong_answers_accepted_cost_results_until_shadows_see_them(path: Path) -> None:
    pieces, setting = stream(path)
    blind = Setting(setting.recordings, wrong=1.0)
    unseen = replay(pieces, blind, 0)
    assert summary(unseen.results).gained < 0 and not unseen.switched
    seen = replay(pieces, Setting(setting.recordings, wrong=1.0, shadow=1.0), 0)
    assert seen.switched == ["made"] * len(seen.switched) != []
    assert summary(seen.results).gained >= 0
    paid = sum(result.cost_nusd for result in seen.results) + sum(seen.shadow_nusd.values())
    assert seen.spent_nusd == paid and seen.shadow_nusd["made"] > 0


def test_blanked_prompts_are_no_two_alike(path: Path) -> None:
    """Tasks with the same words would be taken for one task asked again."""
    pieces, setting = stream(path)
    made = replay(pieces, Setting(setting.recordings, prompts=False, families=False), 0)
    assert len(made.results) == len(pieces) and made.spent_nusd > 0


def test_hindsight_is_plain_arithmetic(path: Path) -> None:
    pieces, _ = stream(path)
    assert ladders(3) == [(2,), (0, 2), (1, 2), (0, 1, 2)]
    alone = summary([ladder((2,))(piece) for piece in pieces])
    assert (alone.ratio, alone.gained, alone.low, alone.high, alone.climbed) == (1.0, 0, 0, 0, 0)
    assert alone.usd == pytest.approx(0.1)
    below = summary([ladder((0, 2))(piece) for piece in pieces])
    failed = sum(not piece.answers[0].solved for piece in pieces) / len(pieces)
    assert below.usd == pytest.approx(0.01 + failed * 0.1) and below.climbed == pytest.approx(failed)
    again = summary([twice(piece) for piece in pieces])
    assert again.gained > 0 and again.low <= again.gained <= again.high
    assert again.usd == pytest.approx(0.1 * (2 - alone.solved))


def test_tiers_hide_which_models_were_recorded() -> None:
    made = catalogue_of([recording(f"made={MODELS}"), recording("other=haiku-4-5,sonnet-5,opus-5")])
    assert made.auto_tiers == ("haiku", "sonnet", "opus")
    assert [model.id for model in made.models] == list(made.auto_tiers)
    prices = [made.price_of(tier) for tier in made.auto_tiers]
    assert [price.input // 10**9 for price in prices if price is not None] == [1, 3, 5]
    assert catalogue_of([recording("one=opus-4-6,opus-5")]).auto_tiers == ("rung0", "rung1")
    assert recording("a=claude-haiku-4-5,opus-5").models == ("claude-haiku-4-5", "claude-opus-5")


def test_the_command_prints_its_tables(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["streams", "--csv", str(path), "--stream", f"made={MODELS}", "--shuffles", "2", "--aside", "1"]
    code = main(words)
    said = capsys.readouterr().out
    assert code == 0, said
    for expected in ("the policy", "always opus-4-6 *", "best of 2 of the strongest", "0 goals missed"):
        assert expected in said
    with pytest.raises(SystemExit):
        main(["nothing"])
    with pytest.raises(SystemExit, match="write DATASET"):
        recording("made")
