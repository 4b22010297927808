"""How a goal is read: its clauses, what they count, and the names that stand in rows."""

from __future__ import annotations

import pytest

from stretto.draft.finding import found_first
from stretto.draft.many import joined, many
from stretto.draft.opening import opened
from stretto.draft.reading import read_goal
from stretto.draft.signs import apart, coupled, ordered
from stretto.draft.views import role_names, view_names, views
from stretto.draft.words import is_plural, singular


def moods(text: str) -> list[tuple[str, str]]:
    return [(piece.mood, piece.verb) for piece in read_goal(text).pieces]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Clean the data and load it.", [("order", "clean"), ("order", "load")]),
        ("Sign the image, flash it on the bench.", [("order", "sign"), ("order", "flash")]),
        ("Have the text checked by legal.", [("order", "checked")]),
        ("Let somebody work out a plan, then build it.", [("order", "work out"), ("order", "build")]),
        ("From the sketch derive a model.", [("order", "derive")]),
        ("We run 600 servers. Write the cron line.", [("told", ""), ("order", "write")]),
        ("Do not merge them.", [("told", "")]),
        ("How many rows are there?", [("question", "")]),
        ("I need a profile of Siemens.", [("wish", "")]),
        ("Each branch needs its own plan.", [("wish", "")]),
        ("One table for the board.", [("noun", "")]),
        ("We're about to enter a market and transform the firm.", [("told", ""), ("told", "transform")]),
    ],
)
def test_clauses(text: str, found: list[tuple[str, str]]) -> None:
    assert moods(text) == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Audit auth, billing and search.", ["auth", "billing", "search"]),
        ("Analyze the auth, payment and order modules", ["auth", "payment", "order"]),
        ("Write a guide for each device: router, camera, hub.", ["router", "camera", "hub"]),
        ("Patch the services (api, web, admin).", ["api", "web", "admin"]),
        ("Reset db1 through db4.", ["db1", "db2", "db3", "db4"]),
        ("Compare Postgres, MySQL and MongoDB and recommend one.", ["Postgres", "MySQL", "MongoDB"]),
        ("Kafka vs RabbitMQ vs NATS for our queue", ["Kafka", "RabbitMQ", "NATS"]),
        ("Ask finance, legal and IT about it.", ["finance", "legal", "IT"]),
        ("Draft the NDA for Acme, the licence for Bolt and the offer for Crane.", None),
    ],
)
def test_rows_of_names(text: str, names: list[str] | None) -> None:
    (row,) = read_goal(text).lists
    assert row.names == (names or ["NDA for Acme", "licence for Bolt", "offer for Crane"])


@pytest.mark.parametrize(
    "text",
    [
        "Fix the null pointer in services/auth/src/main.py",
        "Make it shorter, and make it clear.",
        "Open the file and check the syntax.",
    ],
)
def test_what_is_no_row(text: str) -> None:
    assert read_goal(text).lists == []


@pytest.mark.parametrize(
    ("text", "noun", "number"),
    [
        ("Decide for every email whether it is privileged.", "email", 0),
        ("There are 3,000 emails. Check every email.", "emails", 3000),
        ("Summarize 500 support tickets into one page.", "tickets", 500),
        ("Rate all reviews.", "reviews", 0),
        ("Read hundreds of letters.", "letters", 0),
        ("Write a page for each of our nine regions.", "regions", 9),
    ],
)
def test_what_the_work_goes_over(text: str, noun: str, number: int) -> None:
    over = many(read_goal(text))
    assert over.sign
    assert (over.noun, over.number) == (noun, number)


@pytest.mark.parametrize(
    "text",
    [
        "Write the cron line that runs every Sunday.",
        "We have 40 sites in twelve countries. What is the port of Redis?",
        "Give me five names for a podcast.",
        "Write an email to all employees.",
        "How many rows does users.csv have?",
        "Write two pages in ten minutes.",
    ],
)
def test_what_is_no_collection(text: str) -> None:
    assert not many(read_goal(text)).sign


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("Read all reports and write one summary.", True),
        ("Rate every call and rank the agents.", True),
        ("Count the tickets of each team and add them up.", True),
        ("Write a guide for each device.", False),
        ("Make a dashboard for each region, one page per region.", False),
        ("Translate every page.", False),
    ],
)
def test_whether_it_is_brought_together(text: str, yes: bool) -> None:
    goal = read_goal(text)
    assert bool(joined(goal, many(goal))) is yes


@pytest.mark.parametrize(
    ("text", "together", "alone"),
    [
        ("The cap and the carve-outs refer to each other.", True, False),
        ("Both locks have to change together.", True, False),
        ("They don't depend on each other.", False, True),
        ("The packages can be done independently.", False, True),
        ("Fix the typo.", False, False),
    ],
)
def test_what_hangs_together_and_what_stands_apart(text: str, together: bool, alone: bool) -> None:
    goal = read_goal(text)
    assert (bool(coupled(goal)), bool(apart(goal))) == (together, alone)


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("Clean the data, train a model on it and write up the result.", True),
        ("lint -> test -> deploy", True),
        ("Write a post: research, outline, draft, publish.", True),
        ("Step 1: load the file. Step 2: check it.", True),
        ("Collect the logs, parse them, then plot the counts.", True),
        ("Fix the typo.", False),
        ("Audit auth, billing and search.", False),
    ],
)
def test_a_fixed_order(text: str, yes: bool) -> None:
    assert bool(ordered(read_goal(text))) is yes


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("Find the riskiest modules and harden them.", True),
        ("Which feeds are the least reliable? Repair those.", True),
        ("Choose the ten best topics and write an article on each.", True),
        ("Migrate the whole platform.", True),
        ("Take stock of the network, and for every weakness produce a fix.", True),
        ("Review all pull requests and leave comments on each.", False),
        ("Find the bug and fix it.", False),
        ("Score all 340 applicants and rank them.", False),
    ],
)
def test_what_must_be_found_first(text: str, yes: bool) -> None:
    assert bool(found_first(read_goal(text))) is yes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Judge it from the viewpoint of finance, HR and legal and recommend.", ["finance", "HR", "legal"]),
        (
            "Have it read by a critic, by a teenager and by an editor; one list.",
            ["critic", "teenager", "editor"],
        ),
        ("Zendesk, Intercom or Freshdesk? Tell us which to go with.", ["Zendesk", "Intercom", "Freshdesk"]),
        ("Get three independent opinions and decide.", ["opinion 1", "opinion 2", "opinion 3"]),
        ("Argue for and against a wall, then give a verdict.", ["for it", "against it"]),
    ],
)
def test_views_and_candidates(text: str, names: list[str]) -> None:
    goal = read_goal(text)
    assert views(goal)
    assert view_names(goal) == names


def test_people_for_whom_something_is_made_are_no_views() -> None:
    goal = read_goal("Write job ads for a data engineer, a lawyer and a designer.")
    assert not views(goal)
    assert role_names(goal) == []


def test_ranges_brackets_arrows_and_slashes_are_opened() -> None:
    assert opened("web1-web3 are down") == "web1, web2 and web3 are down"
    assert opened("do a -> b") == "do a, then b"
    assert opened("cats/dogs/birds") == "cats, dogs, birds"
    assert opened("see src/auth/main.py") == "see src/auth/main.py"


@pytest.mark.parametrize(
    ("plural", "one"),
    [("policies", "policy"), ("boxes", "box"), ("skus", "sku"), ("analyses", "analysis"), ("men", "man")],
)
def test_plurals(plural: str, one: str) -> None:
    assert is_plural(plural) and singular(plural) == one


@pytest.mark.parametrize("word", ["status", "sales", "series", "kubernetes", "analysis", "class", "bus"])
def test_what_ends_in_s_and_is_no_plural(word: str) -> None:
    assert not is_plural(word)
