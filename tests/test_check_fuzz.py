"""Damaged plans in front of the critic: never a traceback, always findings or a plan, prices that can be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from stretto.cli.check import check_data
from stretto.cli.findings import Paint, folded
from stretto.cli.sarif import sarif
from stretto.errors import StrettoError
from stretto.lint.review import Review
from stretto.models.history import History
from stretto.run import Options
from stretto.run.before import reviewed
from stretto.spec.edit import edited_file
from stretto.spec.load import load_all

ROOT = Path(__file__).parents[1]
ENDINGS = {"yaml": ".yaml", "bare": ".py"}
WORDS = re.compile(r"[\w.-]+")
PIECES = (
    *(
        "${",
        "}",
        "$${",
        "${item}",
        '"',
        "'",
        ":",
        "\n",
        "  ",
        "\t",
        "[",
        "]",
        "{",
        "- ",
        "#",
        "|\n",
        "%",
        "!!x ",
    ),
    *(
        "&a ",
        "*a",
        "<<: ",
        "\r",
        "\0",
        "\ufeff",
        "\u2028",
        "\u202e",
        "e\u0301",
        "\U0001f680",
        "-1",
        ".inf",
        ".nan",
    ),
)
VALUES = (
    *(
        "",
        "null",
        "true",
        "0",
        "-5",
        "1e999",
        "9" * 30,
        "[]",
        "{}",
        '""',
        "5%",
        "100%",
        "none",
        "auto",
        "fable",
    ),
    *(
        "{from: haiku, to: opus}",
        '"${list}"',
        "each",
        "tasks",
        "reduce",
        "prompt",
        "grow",
        "simulated",
        "local",
    ),
)
MAY_EXCEED = "unbounded-fan-out"
"""It tells what a list of full length would cost, which the estimate does not expect."""


MOST_ROUNDS = 5
"""What is mended may show what else there is to mend, but not for ever."""


class Source(NamedTuple):
    """A plan as somebody wrote it."""

    name: str
    form: str
    text: str


def sources() -> list[Source]:
    """The examples that are only read, and the open half of the bench's plans."""
    found = [Source(path.stem, "yaml", path.read_text()) for path in sorted(ROOT.glob("examples/**/*.yaml"))]
    rows = (ROOT / "bench" / "corpus" / "plans-open.jsonl").read_text().splitlines()
    found += [Source(row["id"], row["form"], row["text"]) for row in map(json.loads, rows)]
    return [source for source in found if source.form in ENDINGS]


def damaged(text: str, luck: Random) -> str:
    """One slip: of lines, letters or words; lost, doubled, swapped, or others in their place."""
    lines = text.splitlines(keepends=True)
    here, there = luck.randrange(len(text) + 1), luck.randrange(1, 20)
    words = list(WORDS.finditer(text))
    match luck.randrange(9):
        case 0 if lines:
            del lines[luck.randrange(len(lines))]
        case 1 if lines:
            lines.insert(luck.randrange(len(lines) + 1), luck.choice(lines))
        case 2 if lines:
            one, other = luck.randrange(len(lines)), luck.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
        case 3:
            return text[:here]
        case 4:
            return text[:here] + text[here + there :]
        case 5:
            return text[:here] + luck.choice(PIECES) + text[here:]
        case 6 if words:
            word = luck.choice(words)
            return text[: word.start()] + luck.choice(VALUES) + text[word.end() :]
        case 7 if words:
            one_word, other_word = luck.choice(words), luck.choice(words)
            return text[: one_word.start()] + other_word[0] + text[one_word.end() :]
        case _:
            return text.replace("\n", "\r\n")
    return "".join(lines)


def written(folder: Path, source: Source, text: str, *, page: bool = False) -> Path:
    """The file for a text; a bare one may stand in a page."""
    path = folder / ("plan.md" if page else f"plan{ENDINGS[source.form]}")
    path.write_bytes((f"# Plan\n\n~~~python\n{text}\n~~~\n" if page else text).encode())
    return path


def looked_at(path: Path) -> list[Review]:
    """What `stretto check` would print, in every form; empty where it says in one error why it cannot."""
    found = []
    try:
        for one in load_all(path, even_broken=True):
            inputs = {name: entry.default for name, entry in one.plan.inputs.items()} if one.plan else {}
            options = Options(inputs=inputs)
            found.append(reviewed(one.plan, one.findings, options, History(), bare=one.bare))
    except StrettoError as refused:
        assert refused.slug != "bug"
        return []
    assert found
    for seen in found:
        assert seen.graph is not None or seen.findings, "it is no plan, and nobody says why"
        assert list(folded(seen.findings, Paint(), all=True)) or not seen.findings
        sensible(seen)
    json.dumps([check_data(found, ok=True), sarif([f for seen in found for f in seen.findings], path.parent)])
    return found


def sensible(seen: Review) -> None:
    """What findings cost is a number that the plan can cost, and each says where it is."""
    for finding in seen.findings:
        assert re.search(r":\d+(:\d+)?$", finding.at), finding
        for price in (finding.nusd, finding.seconds):
            assert price is None or (isfinite(price) and price >= 0), finding
        if seen.nusd is not None and finding.nusd is not None and finding.slug != MAY_EXCEED:
            assert finding.nusd <= seen.nusd * 1.01 + 1, finding


def mended(path: Path, found: list[Review]) -> bool:
    """Makes every mend there is; False where nothing can be. No mend may make an error."""
    wishes = [f.mends for seen in found for f in seen.findings if f.mends]
    edited = edited_file(path, wishes) if wishes else None
    if edited is None or edited.text == edited.before:
        return False
    path.write_bytes(edited.text.encode())
    assert errors(looked_at(path)) <= errors(found)
    return True


def errors(found: list[Review]) -> set[tuple[str, tuple[str, ...]]]:
    return {(f.slug, f.tasks) for seen in found for f in seen.findings if f.severity == "error"}


def mutations(count: int, seed: int) -> Iterator[tuple[Source, str, bool]]:
    luck, all_sources = Random(seed), sources()
    for _ in range(count):
        source = luck.choice(all_sources)
        text = source.text
        for _ in range(luck.randrange(1, 5)):
            text = damaged(text, luck)
        yield source, text, source.form == "bare" and luck.random() < 0.5


def tried(folder: Path, count: int, seed: int) -> None:
    for number, (source, text, page) in enumerate(mutations(count, seed)):
        path = written(folder, source, text, page=page)
        try:
            found = looked_at(path)
            rounds = 0
            while found and mended(path, found):
                rounds += 1
                assert rounds < MOST_ROUNDS, "what one mend does, the next one undoes"
                found = looked_at(path)
        except Exception as failed:
            failed.add_note(f"mutation {number} of seed {seed}, of {source.name}:\n{text}")
            raise


def cut_short(folder: Path, source: Source, stride: int) -> None:
    for end in range(0, len(source.text), stride):
        try:
            looked_at(written(folder, source, source.text[:end]))
        except Exception as failed:
            failed.add_note(f"{source.name}, cut at {end}")
            raise


def test_every_whole_plan_is_criticised(tmp_path: Path) -> None:
    for source in sources():
        assert looked_at(written(tmp_path, source, source.text)), source.name


def test_damaged_plans(tmp_path: Path) -> None:
    tried(tmp_path, 400, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_damaged_plans(tmp_path: Path, seed: int) -> None:
    tried(tmp_path, 4_000, seed)


def test_plans_that_break_off(tmp_path: Path) -> None:
    for source in sources()[::12]:
        cut_short(tmp_path, source, 41)


@pytest.mark.slow
def test_plans_that_break_off_at_every_letter(tmp_path: Path) -> None:
    for source in sources()[::12]:
        cut_short(tmp_path, source, 1)
