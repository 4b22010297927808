"""The critic on order: what must wait and does not, what need not wait, and stages that wait for all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.lint.circles import circle_of
from stretto.lint.market import READ_MOST
from stretto.lint.order import missing_needs, needless_barriers, sequential_bottlenecks
from stretto.plan.finding import Finding, Mend
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from tests.critics import loud, scene_of, told, told_by
from tests.plans_apart import APART, ROWS
from tests.plans_in_order import HANDED, PIPELINES, USES


def ids(plan: list[str]) -> str:
    return plan[-1]


def side_by_side(prompts: list[str]) -> list[Finding]:
    """What is said of these tasks, task-1 and so on, with nothing to order them."""
    tasks = tuple(Task(id=f"task-{n}", prompt=prompt) for n, prompt in enumerate(prompts, 1))
    return list(missing_needs(scene_of(Plan(name="test", tasks=tasks), bare=True)))


def uses(prompts: list[str]) -> set[tuple[int, int]]:
    """Who is found to use something of whom."""
    return {(int(user[5:]), int(maker[5:])) for user, maker in (f.tasks for f in side_by_side(prompts))}


def in_a_row(prompts: list[str]) -> list[Finding]:
    """What is said of these tasks, each of which waits for the one before."""
    tasks = tuple(
        Task(id=f"task-{n}", prompt=prompt, after=(f"task-{n - 1}",) if n > 1 else ())
        for n, prompt in enumerate(prompts, 1)
    )
    return list(sequential_bottlenecks(scene_of(Plan(name="test", tasks=tasks))))


# --- missing-dependency ---


@pytest.mark.parametrize("plan", USES, ids=ids)
def test_who_uses_what_of_whom(plan: list[str]) -> None:
    expected = {(int(pair[0]), int(pair[2])) for pair in plan[0].split()}
    assert uses(plan[1:]) == expected


@pytest.mark.parametrize("plan", HANDED, ids=ids)
def test_the_second_uses_the_first(plan: list[str]) -> None:
    assert uses(plan) == {(2, 1)}


@pytest.mark.parametrize("plan", APART, ids=ids)
def test_words_in_common_are_no_use(plan: list[str]) -> None:
    assert side_by_side(plan) == []


def test_the_order_in_which_tasks_stand_changes_nothing() -> None:
    chance = random.Random(3)
    for plan in USES:
        prompts = plan[1:]
        shuffled = chance.sample(prompts, len(prompts))
        place = [prompts.index(prompt) + 1 for prompt in shuffled]
        assert {(place[a - 1], place[b - 1]) for a, b in uses(shuffled)} == uses(prompts), prompts


@pytest.mark.parametrize(
    ("names", "others"), [(("auth", "billing"), ("ledger", "search")), (("Leeds", "York"), ("Lima", "Oslo"))]
)
def test_names_change_nothing(names: tuple[str, str], others: tuple[str, str]) -> None:
    def found(one: str, other: str) -> set[tuple[int, int]]:
        return uses(
            [
                f"Write the {one} migration guide",
                f"Review the {other} migration guide",
                f"Translate the {one} migration guide into French",
                f"Analyse the incident in {other}",
                f"Mail the analysis of the {other} incident to the board",
            ]
        )

    assert found(*names) == found(*others) == {(3, 1), (5, 4)}


def test_a_finding_says_what_is_used_what_it_costs_and_how_to_mend_it() -> None:
    [found] = told_by(
        missing_needs,
        """
tasks:
  draft: {prompt: "Draft the letter to the tenants", model: sonnet}
  mail: {prompt: "Mail the letter to all tenants", model: haiku}
""",
    )
    assert (found.slug, found.severity, found.tasks) == ("missing-dependency", "warning", ("mail", "draft"))
    assert found.message == "`mail` uses the letter that `draft` makes; nothing orders the two"
    assert found.fix == "add `needs: [draft]` to `mail`"
    assert found.mends == (Mend("add-need", "mail", "draft"),)
    assert found.nusd is not None and found.nusd > 0 and found.seconds


def test_in_bare_files_a_comment_makes_the_order() -> None:
    [found] = side_by_side(["Send the newsletter", "Write the newsletter"])
    assert found.fix == "put `task-2` above `task-1`, with a comment `# Wait` between the two"
    [found] = side_by_side(["Write the newsletter", "Send the newsletter"])
    assert found.fix == "put a comment `# Wait` between `task-1` and `task-2`"


ORDERED = """
tasks:
  write: {prompt: "Write the user guide for the scanner"}
  check: {prompt: "Proofread the user guide", %s}
"""


@pytest.mark.parametrize("order", ["needs: [write]", "after: [write]"])
def test_what_is_ordered_is_not_missing(order: str) -> None:
    assert told_by(missing_needs, ORDERED % "model: sonnet")
    assert told_by(missing_needs, ORDERED % order) == []


def test_a_reference_orders_and_says_what_is_meant() -> None:
    text = """
tasks:
  notes: {prompt: "Summarise the interviews"}
  other: {prompt: "Summarise the contract of the caterer"}
  report: {prompt: "Write the report from this summary: ${notes}"}
"""
    assert told_by(missing_needs, text) == []


def test_what_an_ordered_task_makes_fills_the_want() -> None:
    text = """
tasks:
  old: {prompt: "Write the summary of the spring survey"}
  new: {prompt: "Write the summary of the autumn survey"}
  mail: {prompt: "Mail the summary to the works council", needs: [new]}
"""
    assert told_by(missing_needs, text) == []


def test_needs_that_would_close_a_circle_are_not_told() -> None:
    text = """
tasks:
  plan: {prompt: "Revise the launch plan after the review", needs: [review]}
  review: {prompt: "Review the launch plan"}
"""
    assert told_by(missing_needs, text) == []


def test_a_task_outside_of_a_template_needs_the_template() -> None:
    text = """
tasks:
  files: {run: [git, ls-files], output: lines}
  scans:
    each: "${files}"
    as: file
    max: 9
    tasks:
      scan: {prompt: "Write the scan of ${file} to out/${file}.md"}
      judge: {prompt: "Judge the risks", needs: [scan]}
  report: {prompt: "Write the report from out/"}
"""
    found = [finding for finding in told_by(missing_needs, text) if finding.tasks[0] == "report"]
    assert [(f.tasks, f.fix) for f in found] == [
        (("report", "scans.scan"), "add `needs: [scans]` to `report`")
    ]


def test_members_of_two_groups_are_named_from_where_they_stand() -> None:
    text = """
tasks:
  texts:
    tasks:
      ad: {prompt: "Write the job ad for the night nurse"}
  pages:
    tasks:
      layout: {prompt: "Lay out the job ad as an A4 poster"}
"""
    [found] = told_by(missing_needs, text)
    assert found.tasks == ("pages.layout", "texts.ad")
    assert found.fix == "add `needs: [texts.ad]` to `pages.layout`"


FILES = [
    ("Export the claims of May to {f}", "Chart {f}"),
    ("Compute the averages; result in {f}", "Compare {f} with the forecast"),
    ("Compute the averages. Output: {f}", "Draw a map from {f}"),
    ("Collect the readings in {f}", "Explain the three largest values in {f}"),
    ("Take the minutes and leave them in {f}", "Translate {f} into French"),
    ("Merge the four exports into {f}", "Which entries of {f} are implausible?"),
    ("Generate {f} from the schema", "Load {f} into the warehouse"),
    ("List all tenants in arrears and write them to {f}", "Write a letter to each tenant named in {f}"),
    ("Correct the district codes in {f}", "Regress attendance on income, using {f}"),
    ("Save the cleaned rows as {f}", "Base the forecast on {f}"),
]


@pytest.mark.parametrize(("writes", "reads"), FILES)
def test_a_file_that_is_written_and_read(writes: str, reads: str) -> None:
    prompts = [writes.format(f="out/may.csv"), reads.format(f="out/may.csv")]
    [found] = side_by_side(prompts)
    assert found.tasks == ("task-2", "task-1")
    assert found.message.startswith("`task-2` reads out/may.csv, which `task-1` writes")
    assert side_by_side([writes.format(f="out/may.csv"), reads.format(f="out/june.csv")]) == []


def test_files_that_are_only_read_or_only_written_are_no_use() -> None:
    assert uses(["Read spec.md and write the parser", "Read spec.md and write the encoder"]) == set()
    assert uses(["Add the trip to calendar.md", "Add the match to calendar.md"]) == set()
    assert uses(["Write a.md (do not touch docs/b.md)", "Rewrite docs/b.md"]) == set()


def test_a_file_that_was_there_before_and_that_another_changes() -> None:
    change = "Mask the e-mail column in dump.sql"
    assert uses([change, "Explain the schema of dump.sql to a new analyst"]) == set(), "any version will do"
    assert uses([change, "Strip the test accounts out of dump.sql"]) == set(), "that is a write-conflict"
    assert uses([change, "Load the staging database from dump.sql"]) == {(2, 1)}


def test_what_its_author_calls_the_task_before_is_named() -> None:
    plan = """
tasks:
  NAME: {prompt: "Which price points are missing in each category compared with market.csv?"}
  offer: {needs: [NAME], prompt: "Propose ten products that close the gaps, with target cost price"}
  slide: {needs: [offer], prompt: One slide for the buying meeting}
"""
    assert told_by(sequential_bottlenecks, plan.replace("NAME", "gaps")) == []
    assert len(told_by(sequential_bottlenecks, plan.replace("NAME", "market"))) == 1


def test_declared_files_and_files_of_commands() -> None:
    text = """
tasks:
  pull: {run: [python, pull.py, --out, data/raw.csv]}
  clean: {prompt: "Drop the test rows", reads: [data/raw.csv], writes: [data/clean.csv]}
  chart: {run: [python, chart.py, data/clean.csv]}
"""
    assert [f.tasks for f in told_by(missing_needs, text)] == [("clean", "pull"), ("chart", "clean")]


def test_the_words_of_thousands_of_prompts_are_not_read_and_their_files_are() -> None:
    tasks = [Task(id=f"t{n}", prompt=f"Write the letter number {n}") for n in range(READ_MOST)]
    tasks += [
        Task(id="mail", prompt="Mail the letter", reads=("a.md",)),
        Task(id="a", prompt="Go", writes=("a.md",)),
    ]
    scene = scene_of(Plan(name="test", tasks=tuple(tasks)))
    assert [finding.tasks for finding in missing_needs(scene)] == [("mail", "a")]


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_without_its_circles_every_set_of_pairs_can_be_ordered(numbers: set[tuple[int, int]]) -> None:
    plan = Plan(name="test", tasks=tuple(Task(id=f"t{n}", prompt="Go") for n in range(10)))
    elements = list(build(plan).elements.values())
    pairs = {(elements[a], elements[b]) for a, b in numbers if a != b}
    while circle := circle_of(sorted(pairs, key=lambda pair: (pair[0].index, pair[1].index))):
        assert set(circle) <= pairs
        pairs.discard(circle[0])
    added = {e.path: tuple(maker.path for user, maker in pairs if user is e) for e in elements}
    tasks = tuple(Task(id=e.path, prompt="Go", after=added[e.path]) for e in elements)
    assert build(Plan(name="test", tasks=tasks)).problems == []


# --- sequential-bottleneck ---


@pytest.mark.parametrize("plan", ROWS, ids=ids)
def test_a_row_of_tasks_that_need_nothing_of_each_other(plan: list[str]) -> None:
    [found] = in_a_row(plan)
    assert found.tasks == tuple(f"task-{n}" for n in range(1, len(plan) + 1))


@pytest.mark.parametrize("plan", PIPELINES, ids=ids)
def test_a_row_that_has_to_be_one(plan: list[str]) -> None:
    assert in_a_row(plan) == []


def test_two_tasks_are_no_row() -> None:
    assert in_a_row(ROWS[0][:2]) == []


SERIAL = """
tasks:
  towns:
    order: serial
    tasks:
      leeds: {prompt: "Analyse the footfall of Leeds"}
      york: {prompt: "Analyse the footfall of York"}
      hull: {prompt: "Analyse the footfall of Hull"}
"""


def test_a_serial_group_is_told_with_the_time_it_wastes() -> None:
    [found] = told_by(sequential_bottlenecks, SERIAL)
    assert found.tasks == ("towns.leeds", "towns.york", "towns.hull")
    assert found.message == (
        "`towns.leeds`, `towns.york` and `towns.hull` wait for each other in turn, "
        "and none uses what an earlier one makes"
    )
    assert found.fix == "take `order: serial` off `towns`, and put `needs` where one is really needed"
    assert found.mends == (
        Mend("remove-need", "towns.york", "towns.leeds"),
        Mend("remove-need", "towns.hull", "towns.york"),
    )
    assert found.nusd == 0 and found.seconds is not None and found.seconds > 0


@pytest.mark.parametrize(
    "change",
    [
        ("of York", "of York, compared with ${leeds}"),
        ("of York", "of York; one session at a time is allowed"),
        ('York"', 'York", each: [a, b]'),
    ],
)
def test_what_ties_a_row_together(change: tuple[str, str]) -> None:
    assert told_by(sequential_bottlenecks, SERIAL.replace(*change)) == []


def test_the_part_of_a_chain_that_is_needed_is_left_out() -> None:
    prompts = [*ROWS[0], "Combine the three summaries into one overview"]
    [found] = in_a_row(prompts)
    assert found.tasks == ("task-1", "task-2", "task-3")


# --- needless-barrier ---

LISTS = """
tasks:
  list: {run: [ls], output: lines}
  scan: {each: "${list}", as: file, max: 9, prompt: "List risky calls in ${file}"}
  judge: {each: "${scan}", as: calls, max: 9, prompt: "Which of these are real? ${calls}"}
"""


def test_a_list_over_the_results_of_a_list() -> None:
    [found] = told_by(needless_barriers, LISTS)
    assert (found.slug, found.severity, found.tasks) == ("needless-barrier", "info", ("judge",))
    assert (
        found.message
        == "all items of `judge` wait for the slowest one of `scan`, and each needs only its own"
    )


@pytest.mark.parametrize(
    "change",
    [
        ("these are real?", "these are real, given all of ${scan}?"),
        ('each: "${scan}"', 'each: "${list}"'),
        ('file, max: 9, prompt: "List', 'file, max: 9, min_ok: 3, prompt: "List'),
    ],
)
def test_a_list_that_needs_the_whole_one_before(change: tuple[str, str]) -> None:
    assert told_by(needless_barriers, LISTS.replace(*change)) == []


def stages(makers: list[str], users: list[str]) -> list[Finding]:
    first = tuple(Task(id=f"a{n}", prompt=prompt) for n, prompt in enumerate(makers, 1))
    names = tuple(task.id for task in first)
    then = tuple(Task(id=f"b{n}", prompt=prompt, needs=names) for n, prompt in enumerate(users, 1))
    return list(needless_barriers(scene_of(Plan(name="test", tasks=(*first, *then)))))


COUNTERPARTS = [
    ("Draft the {} chapter", "Edit the {} chapter", ["harbour", "market"]),
    ("Translate the leaflet into {}", "Proofread the {} leaflet", ["Danish", "Polish", "Greek"]),
    ("Implement the {} endpoint", "Write tests for the {} endpoint", ["orders", "returns"]),
    ("Export the {} table", "Profile the {} table", ["customers", "payments", "visits"]),
    ("Collect the invoices of {}", "Check the invoices of {}", ["Norvik", "Castor"]),
    ("Interview the head of {}", "Write up the interview with the head of {}", ["sales", "purchasing"]),
    ("Build the image of the {}", "Deploy the image of the {}", ["gateway", "mailer"]),
    ("Summarise the {} contract", "List the risks of the {} contract", ["cleaning", "catering"]),
    ("Research hotels in {}", "Rank the hotels in {}", ["Porto", "Ghent", "Graz"]),
    ("Scan the {} network", "Triage the findings of the {} network", ["office", "plant"]),
    ("Write the {} runbook", "Review the {} runbook", ["backup", "failover"]),
    ("Tag the photos of the {}", "Caption the photos of the {}", ["castle", "bridge"]),
    ("Answer the ticket about the {}", "Check the answer about the {}", ["refund", "parcel"]),
    ("Clean data/{}.csv", "Plot data/{}.csv", ["june", "july"]),
    ("Draft the {} clause", "Redline the {} clause", ["liability", "audit"]),
]


@pytest.mark.parametrize(("make", "use", "names"), COUNTERPARTS)
def test_a_stage_in_which_each_needs_its_counterpart(make: str, use: str, names: list[str]) -> None:
    [found] = stages([make.format(n) for n in names], [use.format(n) for n in names])
    assert found.tasks == tuple(f"b{n}" for n in range(1, len(names) + 1))
    assert found.fix.startswith("let `b1` only for `a1`, `b2` only for `a2`")


@pytest.mark.parametrize(("make", "use", "names"), COUNTERPARTS)
def test_a_stage_in_which_each_needs_all(make: str, use: str, names: list[str]) -> None:
    makers = [make.format(name) for name in names]
    assert stages(makers, [use.format(" and the ".join(names))] * len(names)) == []


# --- the documents ---


def test_what_the_documents_show() -> None:
    assert uses(["Create database migrations", "Run migrations", "Seed test data"]) == {(2, 1), (3, 2)}
    build_test_deploy = [
        "Build application and verify success",
        "Run test suite on built artifacts",
        "Deploy to staging environment",
    ]
    assert uses(build_test_deploy) == {(2, 1), (3, 2)}
    assert in_a_row(build_test_deploy) == []


GOOD_BLOCKS = [
    [f"Analyze {name} module" for name in ("auth", "payment", "user", "product", "order")],
    [f"Deep security audit of {name} module" for name in ("auth", "payment", "user", "order", "api")],
    ["Find all Python files", "Read config files", "Analyze architecture", "List dependencies"],
    [
        "Implement user authentication",
        "Fix memory leak in cache",
        "Optimize database queries",
        "Write integration tests",
    ],
    [
        "Design microservices architecture",
        "Evaluate database technology options",
        "Create disaster recovery strategy",
    ],
    ["Implement email templates", "Implement send logic", "Implement queue system"],
]


@pytest.mark.parametrize("block", GOOD_BLOCKS, ids=ids)
def test_the_good_blocks_of_the_documents_are_good(block: list[str]) -> None:
    assert side_by_side(block) == []


def test_the_whole_critic_tells_order_too() -> None:
    text = """
tasks:
  draft: {prompt: "Draft the letter to the tenants of Mill Road about the heating repair", model: sonnet}
  mail: {prompt: "Mail the letter about the heating repair to each tenant", model: haiku, attempts: 1}
"""
    assert ("missing-dependency", ("mail", "draft")) in loud(told(text))
