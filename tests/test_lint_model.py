"""The critic on models: too strong for what is asked, too weak for it, and quiet where that is arguable."""

from __future__ import annotations

import pytest

from stretto.lint.model import oversized, undersized
from stretto.plan.finding import Finding, Mend
from tests.critics import told_by

MECHANICAL = [
    "Find every place in docs/ that names the old price list",
    "List the contracts in dataroom/ that end in 2026",
    "Count the tickets of June with the tag refund",
    "Extract the VAT numbers from invoices/",
    "Rename the scans in inbox/ to supplier-date.pdf",
    "Convert data/landing/*.csv to Parquet",
    "Format the bibliography of chapter 3 in APA style",
    "Read the meter values out of logs/meters.txt",
    "Sort the subscriber list by country",
    "Copy the figures of Q2 into templates/q2.md",
    "Alphabetise the glossary",
    "Bump the version to 2.1.0 in package.json",
    "Download the annual reports that are listed in links.txt",
    "Number the exhibits from A1 on",
    "Deploy the built image to staging",
]
STRATEGY = [
    "Design the architecture of our multi-region order platform: data ownership, failover, consistency",
    "Evaluate Kafka, Pulsar and a managed queue for the next five years and recommend one",
    "Create the disaster recovery strategy for the hospital's patient records",
    "Plan the migration of 2 million accounts from the old identity provider",
    "Decide whether we enter the Polish market by partners, by our own shops or not at all",
    "Work out the group's litigation strategy against the three competitors",
    "Devise a five-year roadmap for the data platform",
    "Choose the technology stack on which our helpdesk should stand for the next decade",
    "Redesign the storage layer so that tenants are isolated",
    "Develop the content strategy of all our brands for 2027",
    "Assess which of our four ERP systems should survive the merger, and how the others go",
    "Set out our negotiating strategy for the whole supplier portfolio",
    "Design a consensus algorithm for devices that are offline for days",
    "Plan the migration of three hospital laboratories onto one platform, without a day of standstill",
    "Propose a target architecture for the whole payments landscape",
]
DEVELOPMENT = [
    "Fix the memory leak in the cache",
    "Analyze the auth module",
    "Review the lease for break clauses that favour the landlord",
    "Write integration tests for the importer",
    "Summarize the interview for the newsletter",
    "Draft a reply to the complaint about the late parcel",
    "Translate the leaflet into Spanish for patients",
    "Refactor the parser so that it streams",
    "Implement the password reset",
    "Create database migrations for the new columns",
    "Compare the two removal offers",
    "Find the cause of the flaky login test",
    "Explain why churn rose in May",
    "Write the release notes",
    "Edit chapter 4 for tone",
]


def one(prompt: str, model: str) -> str:
    return f"tasks:\n  t: {{prompt: {prompt!r}, model: {model}}}\n"


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


@pytest.mark.parametrize("model", ["opus", "fable", "claude-opus-5-5"])
@pytest.mark.parametrize("prompt", MECHANICAL)
def test_mechanical_work_on_a_tier_for_strategy(prompt: str, model: str) -> None:
    found = told_by(oversized, one(prompt, model))
    assert [(f.slug, f.severity, f.tasks) for f in found] == [("oversized-model", "warning", ("t",))]
    assert found[0].mends == (Mend("set-model", "t", "haiku"),)
    assert found[0].nusd is not None and found[0].nusd > 0


@pytest.mark.parametrize("prompt", MECHANICAL)
def test_mechanical_work_on_the_tier_of_development_is_a_hint_at_most(prompt: str) -> None:
    assert set(severities(told_by(oversized, one(prompt, "sonnet")))) <= {"info"}
    assert told_by(oversized, one(prompt, "haiku")) == []


@pytest.mark.parametrize("prompt", STRATEGY)
def test_strategy_on_the_cheapest_tier(prompt: str) -> None:
    found = told_by(undersized, one(prompt, "haiku"))
    assert [(f.slug, f.severity) for f in found] == [("undersized-model", "warning")]
    assert found[0].mends == (Mend("set-model", "t", "opus"),)
    assert severities(told_by(undersized, one(prompt, "sonnet"))) == ["info"]
    assert told_by(undersized, one(prompt, "opus")) == told_by(oversized, one(prompt, "opus")) == []


@pytest.mark.parametrize("prompt", DEVELOPMENT)
def test_of_development_nothing_is_said_on_any_tier(prompt: str) -> None:
    for model in ("haiku", "sonnet", "opus"):
        assert told_by(oversized, one(prompt, model)) == told_by(undersized, one(prompt, model)) == []


@pytest.mark.parametrize("model", ["auto", "{from: haiku, to: opus}"])
@pytest.mark.parametrize("prompt", [MECHANICAL[0], STRATEGY[0]])
def test_who_leaves_the_choice_open_is_told_nothing(prompt: str, model: str) -> None:
    assert told_by(oversized, one(prompt, model)) == told_by(undersized, one(prompt, model)) == []


def test_what_asks_no_model_and_what_nobody_knows_is_left_alone() -> None:
    text = "tasks:\n  a: {run: [ls]}\n  b: {prompt: List the files, model: qwen3, on: local}\n"
    assert told_by(oversized, text) == told_by(undersized, text) == []


def test_who_splits_the_work_for_others_plans_and_who_lists_it_does_not() -> None:
    text = """
tasks:
  first: {prompt: "%s", model: opus, output: [string]}
  rest: {each: "${first}", max: 9, prompt: "Write ${item}"}
"""
    assert told_by(oversized, text % "Split the handbook into parts that can be written apart") == []
    assert severities(told_by(oversized, text % "List the chapters of handbook.md")) == ["warning"]
