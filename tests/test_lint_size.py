"""The critic on size: small jobs under planners and verifiers, large ones that need them, and crumbs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.lint import criticise
from stretto.lint.shares import share_of
from stretto.lint.size import errands, over_orchestration, too_fine_grained
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.spec.load import load_all
from tests.critics import loud, told_by

SMALL = [
    # code
    "Analyze bug and create fix plan|Implement part 1 of fix|Implement part 2 of fix|Verify part 1"
    "|Combine and test",
    "Plan how to rename the key timeout to timeout_ms|Rename the key in config.yml|Check the rename"
    "|Report the rename",
    "Analyse the off-by-one error in paginate()|Draft a fix for paginate()|Review the fix"
    "|Write the final patch",
    "Design the regex for UK postcodes|Write the first part of the regex|Write the second part of the regex"
    "|Test the regex|Merge both parts of the regex",
    "Understand the rounding bug on the receipt|Plan the rounding fix|Implement the rounding fix"
    "|Review the rounding fix|Merge the rounding fix",
    "Plan the SQL query for last month's revenue|Write the SELECT part of the query"
    "|Write the WHERE part of the query|Validate the query|Combine the parts into one query",
    # writing
    "Plan the tweet about the release|Write the first half of the tweet|Write the second half of the tweet"
    "|Check the tweet for tone|Merge both halves into the final tweet",
    "Outline the one-paragraph bio of Dr Mensah|Write sentence one of the bio|Write sentence two of the bio"
    "|Fact-check the bio|Join the sentences",
    "Plan the headline for the product page|Draft the headline|Review the headline|Approve the headline",
    "Create a plan for translating the label 'Save' into French|Translate the label|Proofread the label"
    "|Confirm that the label fits the button|Report the final label",
    # research and data
    "Decide where the VAT rate for books is stated|Look up the VAT rate|Verify the VAT rate"
    "|Summarise the VAT rate",
    "Plan the formula that turns Celsius into Fahrenheit|Write the formula"
    "|Check the formula with three values"
    "|Review the check|Write up the formula",
    # operations, legal, support, business
    "Make a plan to correct the date in clause 4|Find the date in clause 4|Replace the date in clause 4"
    "|Verify the corrected date|Write a closing note on the correction",
    "Decide how to reply to customer Lang|Write the opening of the reply|Write the ending of the reply"
    "|Check the reply|Assemble the reply",
    "Coordinate booking a table for six on Friday|Look up the number for booking the table|Book the table"
    "|Confirm the booking"
    "|Report the booking",
    "Planner: decide how to unsubscribe user 8841|Worker 1: look up user 8841|Worker 2: remove user 8841"
    "|Verifier: check that 8841 is gone|Reporter: write up what was done",
    # Nothing says that it is small but that all stand around one thing.
    "Figure out an approach for the voicemail greeting|Write the first sentence of the greeting"
    "|Write the second sentence of the greeting|Check the greeting|Put the voicemail greeting together",
    "Brainstorm a direction for the birthday card|Write the front of the card|Criticise the card"
    "|Assemble the card",
    "Strategist: how should we word the error toast?|Writer: word the toast|Critic: criticise the toast"
    "|Editor: give the final toast",
    "Think about where the missing semicolon in app.js belongs|Insert the semicolon in app.js|Lint app.js"
    "|Write a report about the semicolon",
    "Find where the deposit is stated in lease.docx|Change the deposit in the clause that was found"
    "|Verify the changed deposit clause|Report on the outcome of the deposit check",
    "Design the function slugify()|Implement the first half of slugify()"
    "|Implement the second half of slugify()|Test slugify()|Integrate the halves",
    "Plan the three-line sign for the pool|Translate lines 1 and 2 of the sign|Translate line 3 of the sign"
    "|Merge the lines and verify the sign",
    "Scope the change of the button colour|Change the button colour|Inspect the button|Sign off the button",
    "Lead: think about how to change the opening hours|Find the opening hours"
    "|Change the opening hours to 9-18"
    "|QA the opening hours|Summarize the change of the opening hours",
    "Manager: split up the work on the birthday card"
    "|Writer A: first verse of the birthday card"
    "|Writer B: second verse of the birthday card"
    "|Editor: merge the verses"
    "|QA: check the rhymes of the birthday card",
    "Research which emoji fits the announcement"
    "|Write the announcement sentence"
    "|Review the announcement sentence"
    "|Approve the final announcement sentence",
    "Draft three subject lines for the newsletter"
    "|Critique the subject lines"
    "|Pick the best subject line"
    "|Double-check the chosen subject line for typos",
    "Look up when invoice 4711 was paid"
    "|Cross-check the payment date of invoice 4711"
    "|Consolidate both answers on invoice 4711"
    "|Format the answer on invoice 4711",
    "Coordinator: assign the translation of the slogan"
    "|Translate the slogan into French"
    "|Back-translate the slogan to English"
    "|Compare both slogans"
    "|Finalize the French slogan",
    'Analyse the requirement "add a tooltip to the save icon"'
    "|Write the tooltip text"
    "|Implement the tooltip"
    "|Review the tooltip"
    "|Approve the tooltip",
    "Planner for the date format change in the invoice footer"
    "|Worker: change the date format in the invoice footer"
    "|Checker: was the date format changed?"
    "|Reporter: say in one line that it was",
    "Gather requirements for the meeting reminder"
    "|Write the meeting reminder"
    "|Quality check of the meeting reminder"
    "|Final version of the meeting reminder",
    "Strategy for the stipulation to extend the deadline"
    "|Write the caption of the stipulation"
    "|Write the body of the stipulation"
    "|Proofread the stipulation"
    "|Second proofreading and synthesis of the stipulation",
    "Plan how to find out the number of customers in Graz"
    "|Count the rows of customers.csv where city is Graz"
    "|Verify the count of Graz"
    "|Synthesise count and verification to one answer on Graz",
    # Who leads puts together what the others made.
    "Coordinator: plan the wording of the badge|Translator: put the badge into Welsh"
    "|Reviser: revise the Welsh badge|Coordinator: assemble the final badge",
    # A lookup with two opinions.
    "Read the invitation of Orsted and note the date|Does the invitation of Orsted clash with a holiday?"
    "|Second opinion: does the invitation of Orsted clash with a holiday?"
    "|Compare both opinions on the invitation of Orsted and give the final answer",
]
LARGE = [
    "Design email notification system|Implement email templates|Implement send logic"
    "|Implement queue system|Write tests",
    "Analyze codebase structure and name the 5 critical modules|Deep audit of auth module"
    "|Deep audit of payment module"
    "|Deep audit of user module|Verify the findings",
    "Review for security|Review for speed|Review for quality|Review for coverage"
    "|Synthesize all review findings",
    "Build application and verify success|Run test suite on built artifacts|Deploy to staging"
    "|Verify the deployment",
    "Plan the migration of nine brands to the new helpdesk|Write the field mapping|Program the importer"
    "|Rehearse the import|Verify the imported tickets|Report on the rehearsal",
    "Outline the white paper on heat pumps|Research the market|Research subsidies|Write the draft"
    "|Fact-check the draft|Edit the draft",
    "Collect the sales figures|Clean the sales figures|Analyse the sales figures|Write the report"
    "|Verify the figures",
    "Plan the rebranding campaign|Write the landing page|Write the email sequence|Review all texts for tone"
    "|Combine the texts into the launch kit",
    "Pull the logs of incident 4471|Build the timeline|Find the root cause|Write the postmortem"
    "|Review the postmortem",
    "Plan chapter structure of the handbook|Write chapter 1|Write chapter 2|Proofread all chapters"
    "|Merge the chapters",
    "Fix the login bug|Fix the payment bug|Fix the search bug|Fix the export bug|Run all tests",
    "Fix the typo in the footer|Rename the label in settings|Change the colour of the button"
    "|Verify the links",
    "Plan the audit of five warehouses|Audit the Leeds warehouse|Audit the York warehouse"
    "|Summarise the audits"
    "|Verify the stock figures",
    "Draft the privacy policy|Review the policy for GDPR|Review the policy for CCPA|Merge the reviews"
    "|Proofread it",
    "Analyse ticket 4411|Analyse ticket 4412|Analyse ticket 4413|Analyse ticket 4414|Summarise the causes",
    "Plan the offsite for 40 people|Book the hotel|Book the buses|Write the agenda|Confirm all bookings",
    "Draft the newsletter|Review the newsletter|Send the newsletter|Report the open rates",
    "Write the unit tests for the parser|Implement the parser|Review the parser|Merge the parser branch",
    "Read order 88120|Refund order 88120|Send the customer a confirmation|Update the CRM",
    "Look up the tariff for steel|Look up the tariff for copper|Look up the tariff for zinc|Check the tariffs"
    "|Summarise the tariffs",
    "Plan the photo shoot|Book the studio|Select the photos|Retouch the photos|Approve the photos",
    # All stand around one thing, which is large.
    "Plan the novel|Write part one of the novel|Write part two of the novel|Check the novel for continuity"
    "|Join the parts",
    "Plan the data migration|Migrate the data|Verify the data|Report on the migration",
    "Outline the keynote speech|Write the keynote speech|Review the keynote speech|Final speech",
    "Plan the translation of the handbook|Translate the first half of the handbook"
    "|Translate the second half of the handbook|Proofread the handbook|Merge the halves",
    "Design the pricing algorithm|Implement the pricing algorithm|Test the pricing algorithm"
    "|Write a report on the pricing algorithm",
    "Outline the annual report|Write the annual report|Fact-check the annual report"
    "|Give the final annual report",
    "Plan the legal brief in the Hartmann case|Write the facts section|Write the argument section"
    "|Cite-check the brief|Assemble the brief",
    "Read the RFP|Plan the response|Write the technical part|Write the commercial part|Check the response"
    "|Merge the parts",
    "Fix the typo on the home page"
    "|Fix the broken link in the footer"
    "|Update the copyright year"
    "|Add the missing alt text",
    "Collect evidence on supplier X"
    "|Assess the evidence"
    "|Decide on the contract with supplier X"
    "|Draft the notice to supplier X",
    "Write the unit tests for the parser"
    "|Fix the parser until they pass"
    "|Benchmark the parser"
    "|Write the release notes for the parser",
    "Find all customers with overdue invoices"
    "|Draft a reminder to each of these customers"
    "|Check the reminders against the tone guide"
    "|Report how many reminders were drafted",
    "Design the survey for 2,000 employees"
    "|Write the questions of the survey"
    "|Review the survey for leading questions"
    "|Analyse the answers of the survey",
    "Reproduce the data corruption"
    "|Find the root cause of the data corruption"
    "|Fix the data corruption"
    "|Write a regression test"
    "|Write the postmortem of the data corruption",
    "Review the draft proposal for scientific merit"
    "|Review the draft proposal for budget realism"
    "|Review the draft proposal for fit with the call text"
    "|Merge the three reviews into one list of changes",
]


def plan_of(prompts: str) -> str:
    said = [prompt.replace('"', "'") for prompt in prompts.split("|")]
    return "tasks:\n" + "".join(f'  t{n}: {{prompt: "{prompt}"}}\n' for n, prompt in enumerate(said, 1))


@pytest.mark.parametrize("prompts", SMALL)
def test_a_small_job_under_too_many_hands(prompts: str) -> None:
    (found,) = told_by(over_orchestration, plan_of(prompts))
    assert (found.slug, found.severity) == ("over-orchestration", "warning")
    assert found.tasks == tuple(f"t{n}" for n in range(1, prompts.count("|") + 2))
    assert found.nusd is not None and found.nusd > 0 and " instead of $" in found.message
    assert found.mends == ()


@pytest.mark.parametrize("prompts", LARGE)
def test_a_large_job_needs_its_hands(prompts: str) -> None:
    assert told_by(over_orchestration, plan_of(prompts)) == []


@pytest.mark.parametrize("prompts", [*SMALL, *LARGE])
def test_the_order_of_writing_does_not_matter(prompts: str) -> None:
    shares = [share_of(prompt) for prompt in prompts.split("|")]
    counted = len(errands(shares))
    for seed in range(5):
        shuffled = random.Random(seed).sample(shares, len(shares))
        assert len(errands(shuffled)) == counted


def test_three_tasks_are_no_orchestration() -> None:
    assert told_by(over_orchestration, plan_of("Plan the tweet|Write the tweet|Check the tweet")) == []


@pytest.mark.parametrize(("over", "small"), [('"${t1}"', False), ("[a, b, c, d]", False), ("[a, b]", True)])
def test_a_job_that_changes_files_for_each_of_many_is_not_small(over: str, small: bool) -> None:
    prompts = "Plan the typo fix on the help page|Check the typo fix on the help page|Sum up the typo fix"
    fix = f'  fix: {{each: {over}, max: 8, writes: ["${{item}}.md"], prompt: "Fix the typo"}}\n'
    plan = plan_of(prompts).replace('page"}', 'page", output: lines}', 1)
    assert bool(told_by(over_orchestration, plan + fix)) is small


def test_what_stands_beside_the_job_is_no_part_of_it() -> None:
    beside = "Append the September escalations to logs/escalations.md|Check the fire doors on the third floor"
    (found,) = told_by(over_orchestration, plan_of(f"{beside}|{SMALL[6]}"))
    assert found.tasks == ("t3", "t4", "t5", "t6", "t7")


def test_a_large_plan_is_looked_at_for_its_small_jobs_and_a_huge_one_is_not() -> None:
    other = "|".join(f"Write the annual report of branch{n}x to out/{n}.md" for n in range(60))
    assert [len(f.tasks) for f in told_by(over_orchestration, plan_of(f"{other}|{SMALL[6]}"))] == [5]
    assert told_by(over_orchestration, plan_of("|".join([other] * 17 + [SMALL[6]]))) == []


@given(st.lists(st.text(alphabet=" abdefilnoprtvy1'/.:()$\n", max_size=60), max_size=8))
def test_any_prompts_are_read(prompts: list[str]) -> None:
    errands([share_of(prompt) for prompt in prompts])


def test_versions_and_dates_are_no_numbers_of_things() -> None:
    assert not share_of("Fix the typo in 1.2.3 notes").large
    assert share_of("Check 1,900 pages").large


# too fine-grained


@pytest.mark.parametrize(
    "prompt",
    [
        "Trim line {} of hosts.txt",
        "Convert row {} of prices.csv to euros",
        "Rename field {} to snake case",
        "Format cell B{} as a percentage",
        "Delete entry {} of the glossary",
        "Lowercase key {} in locale/en.json",
        "Copy number {} into the table",
    ],
)
def test_a_task_for_each_crumb(prompt: str) -> None:
    plan = plan_of("|".join(prompt.format(n) for n in range(1, 13)))
    (found,) = told_by(too_fine_grained, plan)
    assert (found.slug, found.severity, len(found.tasks)) == ("too-fine-grained", "info", 12)
    assert told_by(too_fine_grained, plan_of("|".join(prompt.format(n) for n in range(1, 8)))) == []


@pytest.mark.parametrize(
    "prompt",
    [
        "Summarise contract {}",
        "Migrate module{} to strict mode",
        "Review paragraph {} for legal risk",
        "Write line {}",
    ],
)
def test_what_takes_thought_or_stands_alone_is_no_crumb(prompt: str) -> None:
    assert told_by(too_fine_grained, plan_of("|".join(prompt.format(n) for n in range(1, 13)))) == []


# The guideline

OURS = {"vague-prompt", "missed-parallelism", "over-orchestration", "too-fine-grained"}


def test_the_documents_are_told_what_they_say_of_themselves() -> None:
    told: dict[str, list[tuple[str, int]]] = {}
    for page in sorted((Path(__file__).parent / "data" / "requirements").glob("*.md")):
        for loaded in load_all(str(page)):
            assert loaded.plan is not None
            found = loud(criticise(loaded.plan, Chooser(BUILTIN, History()), bare=True))
            for slug, tasks in found:
                if slug in OURS:
                    told.setdefault(loaded.name, []).append((slug, len(tasks)))
    assert told == {
        "no-orchestration-strategy": [("vague-prompt", 1)] * 4,
        "over-orchestration-bad": [("over-orchestration", 6)],
        "strategy-2-parallel-haiku-sequential-opus-expensive": [("missed-parallelism", 1)],
    }
