"""The critic on one agent that is given many parts: counted, listed or in a row, and what only looks so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.lint.parts import missed_parallelism, parts_of
from tests.critics import told_by

COUNTED = {
    "Review all 12 services for missing rate limits": 12,
    "Security audit of all fourteen microservices": 14,
    "Write a tutorial for each of our six SDKs": 6,
    "Grade all 120 essays against the rubric": 120,
    "Analyze all 10 modules for:\n- Security issues\n- Performance problems\n- Code quality": 10,
    "Assess all 35 suppliers against the new code of conduct": 35,
    "Upgrade all 18 services to Python 3.12 and fix what breaks": 18,
    "Summarise each of the 25 interviews on one page": 25,
    "Migrate all 23 Jenkins jobs to GitHub Actions and test each one": 23,
    "For each of our seven offices, write a business continuity plan": 7,
    "Write product descriptions for all 60 lamps, 400 words each": 60,
    "Refactor all modules to the new logger interface": 0,
    "Audit every service for injection bugs": 0,
    # What is done to them is said behind them, once for each.
    "Read the twelve depositions and draft a five-page analysis of each": 12,
    "Investigate all 14 complaints in depth and write a report on every one of them": 14,
    "Go through each of the 30 survey sets, explain its gaps and write a quality report for it": 30,
    "Value each of the six farms on its own: visit it, do the sums, write up the assumptions": 6,
    "Prepare for each of the 7 cantons a separate legal opinion on the new data law": 7,
    "Do the due diligence on the five targets, with a separate report on each": 5,
    "Test each of the 10 microservices under load and write up the findings per service": 10,
    "Review the onboarding flows of our 8 biggest competitors and write up each": 8,
    "For the nine subsidiaries, review the agreements and draft an amendment for each": 9,
    "Port the nineteen commands from argparse to click": 19,
}
NAMED = {
    "Write the self-assessment for each: hygiene; falls; staffing; discharge. Evidence is in ev/": 4,
    "Write charts with values for dev, stage and prod for the services cart, search, mail and login": 4,
    "Write tests for auth, billing, search and export": 4,
    "Build ETL pipelines for Salesforce, HubSpot, Zendesk, Stripe and NetSuite": 5,
    "Audit our four data centres - Dublin, Frankfurt, Ohio, Tokyo - for fire safety": 4,
    "Inspect the plans of A, B and C, and for each depot write an assessment of three pages": 3,
    "Review modules auth, payment, user, product, and order for concurrency bugs": 5,
    "Redesign the settings, profile, checkout and search screens": 4,
    "Translate the handbook into German, French, Spanish and Italian": 4,
    "Translate guide.md into Polish, Czech and Hungarian": 3,
    "Research the regulation of e-scooters in Spain, Italy, Portugal, Greece and Malta": 5,
    "Translate the manual, all 90 pages, into Czech, Slovak, Hungarian and Polish": 4,
    "Write full guides for the router, for the modem, for the doorbell and for the camera": 4,
    "Could you write biographies, about four pages each, of Curie, Meitner, Franklin and Hodgkin?": 4,
    "Produce market studies on Chile, Peru, Colombia and Ecuador": 4,
    "Audit the warehouses in Leeds, York, Hull and Derby": 4,
    "I need complete concepts (theme, budget) for these events:\n1. the gala\n2. the fair\n3. the ball": 3,
    "Profile Siemens, ABB, Hitachi, Schneider and Bosch: revenue, products, strategy": 5,
    "Country reports on Kenya, Ghana, Nigeria and Senegal, ten pages each": 4,
    "Draft chapters 1 to 8 of the textbook, about 20 pages each": 8,
    "We have five shops: Leeds, Hull, York, Derby, Bath. Write a fire-safety assessment for each.": 5,
    "Work out the tax position in Austria, Italy and Spain, a memo of four pages for every country": 3,
    "Migration guides for the Java, Go, Python and Ruby SDKs. They have nothing to do with one another.": 4,
    "Review these contracts and write a memo on each:\n- acme.pdf\n- globex.pdf\n- initech.pdf": 3,
    "Port the following drivers to the new HAL:\n- uart\n- spi\n- i2c\n- can": 4,
    "Implement the following features:\n- CSV export\n- dark mode\n- single sign-on\n- audit log": 4,
    "Write market reports on these countries, ten pages each:\n* Japan\n* South Korea\n* Vietnam": 3,
    "1. Draft the privacy notice for the web shop\n2. Review the processing agreement with Contoso\n"
    "3. Translate the cookie policy into Dutch": 3,
}
WHOLE = [
    "Translate chapter 3 into English, quoting chapters 1 and 2 as translated",
    "Foreword that takes up one thing of each chapter, 300 words",
    "Code the twelve transcripts in interviews/ by the codebook",
    "Profile of the flats in Aalen: vacancy, rents, repairs. Official data, each figure with its table",
    "Which design do we choose: stepped wedge, discontinuity, or a control group? Recommend one, 3 pages",
    # One command does it.
    "Rename getUser to fetchUser in all 40 modules",
    "Grep the following repos for UIWebView: web, api, android, mobile",
    "List every service that still uses Java 8",
    "Extract the governing law clause from each of the 50 contracts into one sheet",
    "Deploy to Frankfurt, Dublin, Oregon and Tokyo",
    "Convert all 200 images to WebP",
    "Run the test suites of all 12 services",
    "Restart each of the five services one by one",
    "Back up each database separately",
    "Run the tests of each package separately",
    "Check that each service has a health endpoint",
    "Tag every article with a topic",
    "Give every chapter a title",
    # All parts for one result.
    "Compare Datadog, Grafana Cloud and New Relic and recommend one",
    "Merge the eight chapter drafts into one manuscript and remove repetitions",
    "Synthesize all findings:\n- Security: [1]\n- Performance: [2]\n- Quality: [3]\nCreate a plan",
    "Read the five papers and write one page on what they agree upon",
    "Evaluate the twelve applications and pick three to interview",
    "Write the executive summary of all 12 audits",
    "Describe how the modules auth, billing, search and export depend on each other",
    "Plan the rollout to Japan, Brazil, Turkey and Poland: order, owners, dates",
    "Make a table of pricing and features for Asana, Monday, ClickUp and Notion",
    # Views on one thing, parts of one text.
    "Review the contract for liability, termination, IP and payment terms",
    "Review the pull request for:\n- security\n- performance\n- readability\n- tests",
    "Write a design doc for search covering:\n- architecture\n- API contracts\n- data model\n- rollout plan",
    "Analyse ticket volume per month, queue, language and severity",
    "Write the abstract: background, methods, results, conclusion",
    "Analyze the code and identify:\n- Major issues\n- High-risk areas\n- Gaps\nReturn the top 5 modules",
    # Small things, and steps of one.
    "Write docs/index.md with a line on each of the two pages",
    "From links.txt choose five articles our readers haven't seen, one line of reason each",
    "Add unit tests for CurrencyFormatter: JPY, KWD, negative amounts, zero",
    "Translate the button label into German, French and Spanish",
    "Draft five short answers for the most frequent billing questions",
    "Write an email to Anna, Ben, Carla and Dev about the offsite",
    "Fix the login form:\n1. Reproduce the error\n2. Find the cause\n3. Write a failing test\n4. Fix it",
    "1. Implement the endpoint\n2. Write unit tests\n3. Update the docs",
    "Please rewrite the page:\n- under 300 words\n- second person\n- no jargon\n- one call to action",
    "Review the last four board papers for statements about the merger",
    "Write the introduction to chapters 2 to 7",
    "Write the privilege log, one row for each withheld document",
]


def one(prompt: str, more: str = "") -> str:
    said = prompt.replace('"', "'").replace("\n", "\\n")
    return f'tasks:\n  t: {{prompt: "{said}"{more}}}\n'


@pytest.mark.parametrize(("prompt", "number"), [*COUNTED.items(), *NAMED.items()])
def test_parts_that_several_agents_could_do(prompt: str, number: int) -> None:
    parts = parts_of(prompt)
    assert parts is not None and parts.number == number
    assert len(parts.names) == (number if prompt in NAMED else 0)
    (found,) = told_by(missed_parallelism, one(prompt))
    assert (found.slug, found.severity, found.tasks) == ("missed-parallelism", "warning", ("t",))
    assert found.seconds is None if number == 0 else found.seconds is not None and found.seconds > 0


@pytest.mark.parametrize("prompt", WHOLE)
def test_what_belongs_together_is_left_to_one_agent(prompt: str) -> None:
    assert told_by(missed_parallelism, one(prompt)) == []


@pytest.mark.parametrize(
    "names", ["ledger, kettle, mouse and roof", "Go, Rust, Polish and March", "a1, b2, c3 and d4"]
)
def test_names_do_not_matter(names: str) -> None:
    for prompt in ("Write tests for {}", "Refactor the {} modules", "Research the law in {}"):
        assert parts_of(prompt.format(names)) is not None
    for prompt in ("Compare {}", "Write a poem about {}", "Find the owners of {}"):
        assert parts_of(prompt.format(names)) is None


@pytest.mark.parametrize(
    ("one_way", "other"),
    [
        ("Audit all 9 sites", "Carry out an audit of all 9 sites"),
        ("Review all 9 contracts", "Go through all 9 contracts"),
        ("Write guides for A, B, C and D", "Draw up guides for A, B, C and D"),
        ("Translate the guide into A, B and C", "Make a translation of the guide into A, B and C, one each"),
    ],
)
def test_synonyms_are_judged_alike(one_way: str, other: str) -> None:
    assert parts_of(one_way) is not None and parts_of(other) is not None


def test_the_fix_is_there_to_be_pasted() -> None:
    (found,) = told_by(missed_parallelism, one("Write tests for auth, billing, search and export"))
    assert found.fix == (
        't: {each: ["auth", "billing", "search", "export"], as: part, prompt: "Write tests for ${part}"}'
    )
    (found,) = told_by(missed_parallelism, one("Write tests for auth, billing, search and export"), bare=True)
    assert found.fix == 'for part in ["auth", "billing", "search", "export"]: Task(f"Write tests for {part}")'
    (found,) = told_by(missed_parallelism, one("Review all 12 services for missing rate limits"))
    assert (
        'each: "${service-list}", as: service, max: 12, prompt: "Review ${service} for missing' in found.fix
    )


def test_the_fix_is_a_plan_in_which_nothing_is_missed() -> None:
    (found,) = told_by(missed_parallelism, one("Write tests for auth, billing, search and export"))
    assert told_by(missed_parallelism, f"tasks:\n  {found.fix}\n") == []


def test_what_an_each_or_a_planner_does_is_split_already() -> None:
    prompt = "Review all 12 services for missing rate limits"
    assert told_by(missed_parallelism, one(prompt, ", each: [a, b, c]")) == []
    assert told_by(missed_parallelism, one(prompt, ", grow: plan")) == []


@given(st.text(alphabet=" abdeglmnorstuv,\n.:'-(\"${}[1", max_size=300))
def test_any_text_is_read(text: str) -> None:
    parts_of(text)


@given(
    st.lists(
        st.sampled_from(
            "write review all each 12 of services for , and \n- pages each: auth (a) into one".split(" ")
        ),
        max_size=40,
    )
)
def test_any_words_are_read(words: list[str]) -> None:
    parts_of(" ".join(words))


def test_a_long_row_takes_no_long_time() -> None:
    assert parts_of("Write tests for " + ", ".join(f"m{n}" for n in range(500)) + " and x") is not None
    assert parts_of("review " + "a " * 1500 + ", b" * 200) is None
