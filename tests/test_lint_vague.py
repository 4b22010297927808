"""The critic on words: prompts that leave open what to do and when it is done, and short ones that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.lint.vague import lack_of, vague_prompts
from tests.critics import told_by

VAGUE = {
    "filler": [
        "Do something with the CRM",
        "Fix the invoice thing",
        "Whatever needs doing",
        "sort out the staffing stuff",
        "Handle the rest",
        "Handle the rest of the filing",
        "Take care of everything else",
        "Do the other conference things",
        "Something about pensions",
        "The usual",
        "Misc",
        "Deal with the tax side of things",
        "Write something for the blog",
        "Set things up",
        "Find something interesting",
        "Improve things in the shop",
        "Payroll: do something",
        "do the needful",
        "Same for the others",
        "See what can be done about the churn",
        "Make sure everything works",
        "Refactor as appropriate",
        "Add tests where it makes sense",
        "Do some checking",
        "Same as last week",
        "Same procedure as every year",
        "And the other letters too, as always",
        "Sort the budget thing",
        "Fix what needs fixing",
    ],
    "bare": [
        "Check users",
        "Check the suppliers",
        "Improve performance",
        "Work on the website",
        "Make the report better",
        "Look at the contracts",
        "Could you maybe have a look at the invoices?",
        "Get the wiki into shape",
        "Deal with GDPR",
        "Increase engagement",
        "Tackle the onboarding",
        "Think about pricing",
        "Do some research",
        "Various improvements",
        "Make some changes",
        "Give the homepage some love",
        "Handle compliance",
        "Handle volunteers",
        "Make things easier for patients",
        "Make everything nicer for guests",
        "Fix up accessibility",
        "Newsletter: make it better",
        "Ensure customers are happy",
        "Look into performance",
        "Continue with the report",
        "Do research",
        "Various cleanups",
        "Consider security",
        "Coordinate with the team",
        "The remaining work",
        "See what can be improved in the shop",
        "Communicate with stakeholders",
        "Take the contracts further",
        "Improve customer happiness",
        "Boost team morale",
        "monitoring",
        "GDPR",
        "Do the needful for the audit",
        "The website, please",
        "Make sure we are compliant",
        "Deal with open points",
        "Some work on the database",
        "A few tweaks to the homepage",
        "Take the customer experience to another level",
        "It would be good if the other texts become more beautiful.",
    ],
    "pronoun": [
        "Make it more convincing",
        "Fix it",
        "Improve this",
        "Do that again",
        "Get it done",
        "Handle this",
    ],
    "nothing": ["Continue", "Improve as needed", "...", "Optimize", "Tidy up"],
}
CLEAR = [
    # Short, and all is said.
    "Run migrations",
    "Payments: add Apple Pay to the checkout",
    "Title of page 3: fix it",
    "Make the lid easier to open with one hand",
    "Security review",
    "Seed test data",
    "Read configs",
    "Verify part 1",
    "Find Python files",
    "Combine and test",
    "Proofread",
    "Reconcile accounts",
    "File the motion",
    "Renew the passport",
    "Screen candidates",
    "Check that the shop still works",
    "Make it 200 words shorter",
    "Also the Spanish version",
    "BUILD",
    "P",
    # A noun that says what is looked for, or what is done.
    "Check spelling",
    "Check the links",
    "Check citations",
    "Check accessibility",
    "Verify totals",
    "Do a code review",
    "Do the month-end close",
    "Fix type errors",
    "Update the changelog",
    "Handle pagination",
    "Improve test coverage",
    "Make the tests pass",
    # A name, a path, a number, a reference.
    "Fix null pointer in getUserProfile",
    "Work on issue 4711",
    "Improve performance until p95 is under 200 ms",
    "Look at commit 3fa9 and tell me if it can deadlock",
    "Deal with timeouts in src/http.py",
    "Summarize ${doc}",
    # What has to hold, what is to come out.
    "Check that all invoices have a VAT number",
    "Check the contract for indemnity clauses",
    "Sort out duplicates in customers.csv",
    "Improve the homepage: compress images, drop jQuery, inline critical CSS",
    "List things that could go wrong at launch",
    "Flag anything suspicious in the ledger",
    "Merge everything into one report",
    "Note anything a human must look at",
    "What needs to be done to renew the permit?",
    "Who handles the rest of the estate?",
    # Words that only look like fillers.
    "Stuff the envelopes for the 400 donors",
    "Rest API reference",
    "Matter 2231: draft the settlement",
    "Help text for the export dialog",
    "Update dependencies",
    "Handle timeouts in the client with three retries",
    "Monitor the error rate for one hour",
    "Resolve the merge conflicts",
    "Process the refunds in refunds.csv",
    "Help texts for the settings page",
    "Improve error messages",
    "Clean the survey data: remove duplicates and empty rows",
]


def one(prompt: str, more: str = "") -> str:
    inputs = "inputs: {doc: {default: x}}\n" if "${" in prompt else ""
    return f"{inputs}tasks:\n  t: {{prompt: {prompt!r}{more}}}\n"


@pytest.mark.parametrize(("sort", "prompt"), [(sort, prompt) for sort in VAGUE for prompt in VAGUE[sort]])
def test_a_vague_prompt_is_told_what_it_lacks(sort: str, prompt: str) -> None:
    lack = lack_of(prompt)
    assert lack is not None and lack.sort == sort
    (found,) = told_by(vague_prompts, one(prompt))
    assert (found.slug, found.severity, found.tasks) == ("vague-prompt", "warning", ("t",))
    assert prompt[:50] in found.message and "such as" in found.fix
    assert found.nusd is not None and found.nusd > 0, "it costs the task once more"


@pytest.mark.parametrize("prompt", CLEAR)
def test_a_short_prompt_may_be_clear(prompt: str) -> None:
    assert told_by(vague_prompts, one(prompt)) == []


@pytest.mark.parametrize(
    ("one_way", "other"),
    [
        ("Check the {}", "Examine the {}"),
        ("Fix the {} thing", "Repair the {} thing"),
        ("Deal with the {}", "Take care of the {}"),
        ("Do something about the {}", "pls could you do something about the {}"),
        ("Improve the {}", "Enhance the {}"),
    ],
)
@pytest.mark.parametrize("noun", ["suppliers", "frontend", "team"])
def test_synonyms_are_judged_alike(one_way: str, other: str, noun: str) -> None:
    assert lack_of(one_way.format(noun)) is not None
    assert lack_of(other.format(noun)) is not None


@pytest.mark.parametrize("names", [("auth", "ledger"), ("payment", "kettle"), ("Berlin", "Osaka")])
def test_names_do_not_matter(names: tuple[str, str]) -> None:
    for text in (
        "Fix the {} thing",
        "Do something with {}",
        "sort out the {} stuff",
        "Fix the crash in {} login",
    ):
        assert len({lack_of(text.format(name)) is None for name in names}) == 1


def test_keys_may_say_what_the_prompt_does_not() -> None:
    assert told_by(vague_prompts, one("Improve performance", ", check: [make, bench]")) == []
    assert told_by(vague_prompts, one("Check users", ', reads: ["users.csv"]')) == []
    assert told_by(vague_prompts, one("Check users", ", output: {gone: [string]}")) == []
    assert told_by(vague_prompts, one("Do something with users", ', reads: ["users.csv"]')) != []


def test_what_is_handed_over_may_be_meant() -> None:
    text = "tasks:\n  a: {prompt: List the dead links in docs/}\n  b: {prompt: Fix them, %s: [a]}\n"
    assert told_by(vague_prompts, text % "needs") == []
    assert [f.tasks for f in told_by(vague_prompts, text % "after")] == [("b",)]


def test_one_more_point_of_a_list_of_checks_is_clear() -> None:
    checks = ["spelling", "links", "citations", "users"]
    plan = "tasks:\n" + "".join(f"  {noun}: {{prompt: Check {noun}}}\n" for noun in checks)
    assert told_by(vague_prompts, plan) == []


SPECIFIC = """
tasks:
  a: {prompt: "Compare data/freight.csv with the rates agreed in contracts/lanes.xlsx and mark overcharges"}
  b: {prompt: "Write one claim letter to the carrier about the overcharges that were marked, one page"}
  c: {prompt: "%s"}
"""


@pytest.mark.parametrize(
    "prompt", ["Improve the search", "Polish the deck", "Fix the export", "Finish the handbook"]
)
def test_beside_better_prompts_a_bare_one_stands_out(prompt: str) -> None:
    assert [f.tasks for f in told_by(vague_prompts, SPECIFIC % prompt)] == [("c",)]
    assert told_by(vague_prompts, one(prompt)) == [], "in a plan of short prompts nobody can say"


def test_what_another_task_speaks_of_is_known() -> None:
    assert told_by(vague_prompts, SPECIFIC % "Polish the letter") == []


@given(st.text(alphabet=" abdegimnorstuv\n.,:'-/?\"${}", max_size=200))
def test_any_text_is_read(text: str) -> None:
    lack_of(text)


@given(
    st.lists(st.sampled_from("do the stuff with a it fix maybe something and rest of check users".split()))
)
def test_any_words_are_read(words: list[str]) -> None:
    lack_of(" ".join(words))
