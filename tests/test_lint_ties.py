"""How likely one task needs what another makes: words, pointers, files, learned weights."""

import pytest
from bench.ties import Example, examples, learn, works

from stretto.lint.chains import chains_of
from stretto.lint.makes import trade_of
from stretto.lint.market import Market, market_of
from stretto.lint.order import missing_needs
from stretto.lint.reading import read
from stretto.lint.sketch import Sketch, sketch_of
from stretto.lint.ties import MOST, Pair, Ties, learned
from stretto.plan.model import Plan, Task
from tests.critics import scene_of


def sketch(prompt: str) -> Sketch:
    reading = read(prompt)
    return sketch_of(prompt, reading, trade_of(reading))


def ties(*prompts: str) -> Ties:
    return Ties([sketch(prompt) for prompt in prompts])


def market(*prompts: str, row: bool = False) -> Market:
    tasks = tuple(
        Task(id=f"task-{n}", prompt=prompt, after=(f"task-{n - 1}",) if row and n > 1 else ())
        for n, prompt in enumerate(prompts, 1)
    )
    return market_of(scene_of(Plan(name="test", tasks=tasks)))


@pytest.mark.parametrize(
    ("prompt", "points"),
    [
        ("Masking policies for them", True),
        ("Calendar entries for these dates", True),
        ("Lesson plans that meet all five", True),
        ("Coaching notes per agent out of that", True),
        ("List all stale branches and delete them", False),
        ("Describe each plant so that children understand it", False),
        ("Write a tutorial for the plotting library", False),
    ],
)
def test_what_points_back_to_something_that_it_does_not_name(prompt: str, points: bool) -> None:
    assert sketch(prompt).points is points


def test_identifiers_and_files_are_seen_with_the_word_before_them() -> None:
    seen = sketch("Build fct_orders on top of stg_orders and save the totals in marts/week.csv.")
    assert {name: seat.lead for name, seat in seen.marked.items()} == {
        "fct_orders": "build",
        "stg_orders": "of",
    }
    assert [(seat.role, seat.lead, seat.at) for seat in seen.files.values()] == [("new", "in", "$")]


# what is used, what uses it, what stands beside them
TIED = [
    ("Pull the emails of Ortiz out of the export", "Mark which of those emails are privileged", "Tax form"),
    ("dbt model stg_trips, cast timestamps", "fct_trips on top of stg_trips", "Rename the bucket"),
    ("Design the plugin interface", "Implement two plugins against the designed interface", "Order badges"),
]


@pytest.mark.parametrize(("maker", "user", "other"), TIED)
def test_a_user_is_likelier_than_a_bystander(maker: str, user: str, other: str) -> None:
    found = ties(maker, other, user)
    assert found.odds(2, 0) > max(found.odds(2, 1), found.odds(0, 2))


def test_parts_side_by_side_are_unlikely_to_need_each_other() -> None:
    found = ties(*(f"Migrate service {name} to Java 21" for name in ("users", "orders", "stock")))
    assert max(found.odds(user, maker) for user in range(3) for maker in range(user)) < 0.2


def test_a_maker_moved_up_counts_as_the_task_right_above() -> None:
    one, other = "Send the newsletter", "Write the newsletter"
    assert ties(one, other).odds(0, 1, moved=True) == pytest.approx(ties(other, one).odds(1, 0))


def test_what_nobody_can_point_at_is_not_evident() -> None:
    found = ties("Bump node to 22", "Forest plot in R", "Cancellation letters for them")
    assert not found.evident(1, 0)
    assert found.evident(2, 1)
    assert not found.evident(2, 0)


def test_likely_needs_are_told_in_words_of_their_own() -> None:
    tasks = [
        Task(id="find", prompt="Find the papers on sleep regularity since 2015"),
        Task(id="flyer", prompt="Recruitment flyer for the control group"),
        Task(id="date", prompt="Pull the year and sample size out of each of those papers"),
    ]
    scene = scene_of(Plan(name="test", tasks=tuple(tasks)))
    assert [found.tasks for found in missing_needs(scene)] == [("date", "find")]


def test_a_task_that_is_handed_something_points_to_that() -> None:
    prompts = (
        "Collect the complaints of May",
        "Sort the invoices by age",
        "Reply to each of those complaints",
    )
    free = market(*prompts)
    assert free.sources[free.elements[2]].keys() == {free.elements[0]}
    found = market(*prompts, row=True)
    assert not any(source.kind == "likely" for uses in found.sources.values() for source in uses.values())


def test_a_chain_whose_texts_go_on_is_no_bottleneck() -> None:
    prompts = (
        "Catalogue all columns that hold personal data in the warehouse",
        "Masking policies for these columns",
        "Query as an analyst and show that the masked columns stay hidden",
    )
    assert list(chains_of(market(*prompts, row=True))) == []


def test_long_plans_are_left_alone() -> None:
    found = market(*(f"Count the words of report {n} for the {n}th office" for n in range(MOST + 1)))
    assert found.odds(found.elements[1], found.elements[0]) is None


# --- what it is learned from ---


def test_works_are_read_with_who_uses_what() -> None:
    text = "== a clerk\na: Find it\nb: Send it < a\nc: File it < b ? a\n== another\na: Rest\nb: Eat\n"
    first, second = works(text)
    assert (first.hand, first.number) == ("a clerk", 3)
    assert first.uses == {Pair(1, 0), Pair(2, 1)}
    assert first.unsure == {Pair(2, 0)}
    assert second.uses == set()


def test_weights_tell_what_they_were_learned_from() -> None:
    rows = [({"": 1.0, "yes": 1.0}, True), ({"": 1.0, "no": 1.0}, False)] * 10
    weights = learn(rows)
    assert weights["yes"] > 0 > weights["no"]


@pytest.mark.slow
def test_the_file_is_of_the_features_that_the_bench_learns() -> None:
    found: list[Example] = examples()
    assert sum(example.number for example in found) > 1_000
    shown = {name for example in found for pair in example.pairs() for name, _ in example.ties.features(pair)}
    assert learned().keys() <= shown
