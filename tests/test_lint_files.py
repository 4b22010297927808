"""Files that two tasks write at once, or that one reads while another changes it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from stretto.lint import files
from stretto.lint.scene import Scene
from stretto.models import BUILTIN, is_free
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Each, Input, Limits, Plan, Task
from tests.stage import plan_of


def scene_of(plan: Plan | str, *, bare: bool = False) -> Scene:
    plan = plan_of(plan) if isinstance(plan, str) else plan
    chooser = Chooser(BUILTIN, History())
    return Scene(plan, build(plan), bare=bare, on="messages", chooser=chooser, free=is_free, inputs={})


def beside(*prompts: str) -> Plan:
    """Tasks `t1`, `t2`, ... that nothing orders."""
    return Plan(name="p", tasks=tuple(Task(id=f"t{n}", prompt=text) for n, text in enumerate(prompts, 1)))


def conflicts(plan: Plan | str) -> list[tuple[str, ...]]:
    return [finding.tasks for finding in files.write_conflict(scene_of(plan))]


def slugs(found: Iterable[Finding]) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.severity, finding.tasks) for finding in found]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write the introduction into thesis/intro.tex", "Write the acknowledgements into thesis/intro.tex"),
        ("Add the new rates to tariffs/2025.csv", "Remove the expired rates from tariffs/2025.csv"),
        ("Update the opening hours in web/contact.html", "Replace the phone number in web/contact.html"),
        ("Fix the date parsing in src/dates.py", "Refactor src/dates.py into smaller functions"),
        ("Append Monday's calls to support/log.md", "Append Tuesday's calls to support/log.md"),
        ("Rewrite docs/setup.md for beginners", "Add a section on proxies to docs/setup.md"),
        ("Save the survey answers as data/answers.json", "Export the old answers to data/answers.json"),
        ("Bump the version in pyproject.toml", "Add the numpy dependency to pyproject.toml"),
        ("Write the section on costs of board/paper.docx", "Write the section on risks of board/paper.docx"),
        ("Put the logo on slides/kickoff.pptx", "Shorten the titles in slides/kickoff.pptx"),
        ("Shorten the footer in app/strings.json", "Correct the typos in app/strings.json"),
        ("Insert the March figures into finance/q1.xlsx", "Format the totals row in finance/q1.xlsx"),
        ("Add the clause on penalties to contract.md", "Delete the clause on renewals from contract.md"),
        ("Write a foreword at the top of book/front.md", "Add the imprint to book/front.md"),
        ("Create config/alerts.yaml with the CPU rules", "Create config/alerts.yaml with the disk rules"),
        ("Edit notes/agenda.md: add the budget", "Edit notes/agenda.md: drop the guest talk"),
    ],
)
def test_two_tasks_that_write_one_file(one: str, other: str) -> None:
    assert conflicts(beside(one, other)) == [("t1", "t2")]
    assert conflicts(beside(other, one)) == [("t1", "t2")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Read data/answers.json and count the blanks", "Summarise data/answers.json in a paragraph"),
        ("Write thesis/intro.tex", "Write thesis/method.tex"),
        ("Convert data/raw.csv to out/a.json", "Convert data/raw.csv to out/b.json"),
        ("Clean data/raw.csv and write data/clean.csv", "Split data/raw.csv into data/parts.json"),
        ("Plan the fix for the crash in src/time.ts", "Fix the crash in src/time.ts"),
        ("Translate manual/en.md; keep the terms as in terms.tsv", "Add the new terms to terms.tsv"),
        ("Write the tests for src/api/orders.py", "Review src/api/orders.py"),
        ("Chart the filings in kept.jsonl", "Plot the countries in kept.jsonl"),
        ("Save the letters in letters/", "Save the invoices in letters/"),
        ("Write the French page under site/fr/", "Write the French menu under site/fr/"),
        ("Write a summary of reports/q1.md", "Write a critique of reports/q1.md"),
        ("Draft the answer to the letter in mail/4411.txt", "Look for deadlines in mail/4411.txt"),
        ("Check docs/api.md against the code", "Correct the examples in docs/api.md"),
        ("Append one line to run.log under a lock", "Append another line to run.log under a lock"),
        ("Extract the dates from minutes.docx", "Extract the names from minutes.docx"),
        ("Explain what src/core.rs does", "Describe the structure of src/core.rs"),
        ("Compare a.csv with b.csv", "Update b.csv with the new codes"),
    ],
)
def test_near_misses(one: str, other: str) -> None:
    assert conflicts(beside(one, other)) == []


DECLARED = [
    ("[out/a.md]", "[out/a.md]", True),
    ("[./out/a.md]", "[out/a.md]", True),
    ("[src/**]", "[src/api/routes.py]", True),
    ('["src/*.py"]', "[src/main.py]", True),
    ('["src/a*.py"]', '["src/*b.py"]', True),
    ("[src/**]", "[tests/a.py]", False),
    ('["src/*.py"]', "[src/api/routes.py]", False),
    ('["src/*.py"]', '["src/*.ts"]', False),
    ("[out/a.md]", "[out/b.md]", False),
]


@pytest.mark.parametrize(("one", "other", "collide"), DECLARED)
def test_declared_patterns_that_overlap(one: str, other: str, collide: bool) -> None:
    plan = f"tasks:\n  a: {{prompt: Work, writes: {one}}}\n  b: {{prompt: Work on, writes: {other}}}\n"
    assert bool(conflicts(plan)) is collide


def test_one_declares_what_the_other_names() -> None:
    plan = """
tasks:
  a: {prompt: "Write the part on history", writes: [report.md]}
  b: {prompt: "Write the part on prices into report.md"}
"""
    assert conflicts(plan) == [("a", "b")]


@pytest.mark.parametrize("order", ["needs: [a]", "after: [a]"])
def test_an_order_between_them_is_enough(order: str) -> None:
    plan = f"""
tasks:
  a: {{prompt: "Write report.md"}}
  b: {{prompt: "Shorten report.md", {order}}}
"""
    assert conflicts(plan) == []


def test_all_that_collide_are_named_and_no_other() -> None:
    plan = """
tasks:
  first: {prompt: "Create report.md"}
  a: {prompt: "Add the sales to report.md", after: [first]}
  b: {prompt: "Add the costs to report.md", after: [first]}
  c: {prompt: "Add the staff to report.md", after: [first]}
  other: {prompt: "Write notes.md"}
"""
    [found] = files.write_conflict(scene_of(plan))
    assert found.tasks == ("a", "b", "c")
    assert "`a`, `b` and `c` all write `report.md`" in found.message


def test_one_after_the_other_when_only_one_may_run() -> None:
    plan = beside("Add the sales to report.md", "Add the costs to report.md")
    plan.limits = Limits(parallel=1)
    assert conflicts(plan) == []


EACHES = [
    ("Add a row for ${item} to out/table.csv", True),
    ("Write the findings on ${item} into report.md", True),
    ("Write the findings on ${item} into out/${item}.md", False),
    ("Write the findings on ${item} into out/${item.id}/report.md", False),
    ("Read rules.md and review ${item}", False),
    ("Review ${item} and return three findings", False),
]


@pytest.mark.parametrize(("prompt", "collide"), EACHES)
def test_items_of_a_list(prompt: str, collide: bool) -> None:
    many = Task(id="t", prompt=prompt, each=Each(over=["a", "b"]))
    one = Task(id="t", prompt=prompt, each=Each(over=["a"]))
    assert conflicts(Plan(name="p", tasks=(many,))) == ([("t",)] if collide else [])
    assert conflicts(Plan(name="p", tasks=(one,))) == []


def test_a_name_that_only_an_input_fills_in_is_fixed() -> None:
    task = Task(id="t", prompt="Note ${item}", writes=("${out}.md",), each=Each(over=["a", "b"]))
    plan = Plan(name="p", tasks=(task,), inputs={"out": Input(default="x")})
    assert conflicts(plan) == [("t",)]


@pytest.mark.parametrize("written", ["${item}", "${item.file}"])
def test_a_name_that_is_the_item_is_another_each_time(written: str) -> None:
    task = Task(id="t", prompt="Fix ${item}", writes=(written,), each=Each(over=["a", "b"]))
    assert conflicts(Plan(name="p", tasks=(task,))) == []


def test_filled_in_names_collide_within_one_list_only() -> None:
    plan = """
tasks:
  pages:
    each: [a, b]
    as: page
    tasks:
      text: {prompt: "Write the text into out/${page}.md"}
      links: {prompt: "Add the links to out/${page}.md"}
  others: {each: [c, d], as: page, prompt: "Write a summary to out/${page}.md"}
"""
    assert conflicts(plan) == [("pages.text", "pages.links")]


READS = [
    (
        '{prompt: "Bring the reference up to date", writes: [api.md]}',
        "{prompt: Check, reads: [api.md]}",
        "warning",
    ),
    ('{prompt: "Fix the links in api.md"}', '{prompt: "List the examples in api.md"}', "info"),
    ('{prompt: Tidy up, writes: ["docs/*.md"]}', "{prompt: Check, reads: [docs/api.md]}", "warning"),
    ('{prompt: "Write api.md"}', '{prompt: "List the examples in api.md"}', ""),
    ('{prompt: "Fix the links in api.md"}', '{prompt: "List the examples in web.md"}', ""),
    ('{prompt: "Count the links in api.md"}', '{prompt: "List the examples in api.md"}', ""),
    (
        '{prompt: "Fix the links in api.md"}',
        '{prompt: "List the examples in api.md", after: [a]}',
        "",
    ),
]


@pytest.mark.parametrize(("writer", "reader", "severity"), READS)
def test_what_is_read_while_it_is_changed(writer: str, reader: str, severity: str) -> None:
    found = files.read_while_written(scene_of(f"tasks:\n  a: {writer}\n  b: {reader}\n"))
    assert slugs(found) == ([(severity, ("b", "a"))] if severity else [])


def test_ten_thousand_tasks() -> None:
    tasks = tuple(
        Task(id=f"t{n}", prompt=f"Write the page on topic {n} into out/page{n}.md", writes=(f"gen/{n}/**",))
        for n in range(10_000)
    )
    scene = scene_of(Plan(name="p", tasks=tasks))
    begin = time.process_time()
    assert list(files.write_conflict(scene)) == []
    assert time.process_time() - begin < 5


def needing(**tasks: tuple[str, str]) -> Plan:
    """Tasks by id, each with its prompt and the one thing that it needs; empty where it needs nothing."""
    return Plan(
        name="p",
        tasks=tuple(
            Task(id=name, prompt=prompt, needs=(need,) if need else ())
            for name, (prompt, need) in tasks.items()
        ),
    )


@pytest.mark.parametrize(("need", "found"), [("", [("a", "b")]), ("c", []), ("nobody", [])])
def test_a_need_that_leads_nowhere_hides_only_what_waits_for_it(
    need: str, found: list[tuple[str, ...]]
) -> None:
    plan = needing(
        a=("Rewrite docs/setup.md", ""), b=("Shorten docs/setup.md", need), c=("Translate it", "nobody")
    )
    assert conflicts(plan) == found


def test_what_waits_in_a_circle_is_told_nothing_else() -> None:
    plan = needing(
        a=("Rewrite docs/setup.md", "b"),
        b=("Shorten docs/setup.md", "a"),
        c=("Edit docs/faq.md", ""),
        d=("Correct docs/faq.md", ""),
    )
    assert conflicts(plan) == [("c", "d")]
