"""What happens when something fails, and what must not be done twice."""

from __future__ import annotations

import pytest

from stretto.lint import faults
from stretto.lint.effects import effect_of
from stretto.plan.model import Limits, Plan, Task
from tests.test_lint_files import beside, scene_of, slugs

EFFECTS = (
    "Send the welcome letter to every new tenant",
    "E-mail the minutes to the board",
    "Email Ana Ferreira the decision",
    "Write the reply to the complaint and send it to the customer",
    "Notify the on-call engineer of the outage",
    "Text the drivers the new route",
    "Refund 20 euros to the card of order 4411",
    "Pay the invoices in inbox/ that are approved",
    "Charge the customer's card for the renewal",
    "Transfer 1,200 EUR to the landlord",
    "Buy ten licences of the editor",
    "Order 40 chairs from the office supplier",
    "Order new toner through the portal, delivery to room 12",
    "Book a meeting room for Tuesday at ten",
    "Book two seats on the 8:15 train to Leeds",
    "Reserve a table for six at the Greek restaurant",
    "Post the summary to the Slack channel",
    "Publish the article on the blog",
    "Submit the tax return through the portal",
    "File a claim with the insurer",
    "Open a Jira ticket for every failing test",
    "Create a GitHub issue with the stack trace",
    "Insert a row for each supplier into supplier_country",
    "Append the new rows to the orders table",
    "Reply to the review in a friendly tone",
    "Comment on the pull request with the findings",
    "Tweet the release announcement",
    "Invite the eight finalists to an interview",
    "Remind the authors of the deadline",
    "Forward the contract to legal",
    "Issue a credit note for the overcharge",
    "Place an order for 20 laptops",
    "Raise a support case with the vendor",
    "Announce the outage in the #status channel",
    "Message each applicant that the position is filled",
    "Submit the application form for the grant",
    "Find out who owes money, then send each a reminder",
    "Check the balance of ${account} and pay the outstanding amount",
    "Please e-mail the results to the team",
    "Send ${letter} to ${person}",
    "Leave a comment on issue ${n} with the workaround",
    "Process the refund for booking 7712",
    "Donate 50 dollars to the food bank",
    "Log a ticket with IT about the broken printer",
    "Write a polite answer. Send it.",
    "To all customers should be sent by e-mail the news that the branch closes",
    "The matched invoices are to be paid by SEPA transfer",
    "A letter should be written and sent to the tenants",
    "Insert the rows of tmp/fix.csv into prod.ledger_entries",
)
NONE = (
    "Text for the sign on the door of the cloakroom",
    "Message for the answering machine, 20 seconds",
    "Draft an e-mail to the tenants about the lift",
    "Write the refund policy",
    "Review the email templates of the shop",
    "Order the findings by severity",
    "Order the list alphabetically",
    "Describe how to send the newsletter",
    "Decide whether to refund the customer and notify them",
    "Work out how to detect fraud and notify users",
    "Implement an endpoint that charges the card and sends a receipt",
    "Send the reminder to ${person}, only if sent.log has no line for them yet",
    "Book review: summarise chapter 3",
    "Email templates: list those without a footer",
    "Post-mortem of the outage",
    "Summarise the posts of the forum",
    "Write tests for the payment service",
    "Refund flow: audit the code for race conditions",
    "Count the open tickets per team",
    "Open the ticket and read the last comment",
    "Open ticket 4411 and tell me what it says",
    "Charge codes of the hospital: list those that changed",
    "Pay attention to the footnotes and list the sources",
    "Save the mail as a draft in the outbox",
    "Do not send anything; write the letter to out/letter.md",
    "List the invoices that were paid twice",
    "File the scans into the folder of their year",
    "Add a row to the table in README.md",
    "Transfer the domain settings to the new registrar's format",
    "Text of the article: check the spelling",
    "Message queue: compare Kafka and RabbitMQ",
    "Publish date of each article: extract it",
    "Upsert the rows into supplier_country",
    "Create an issue template for bug reports",
    "Move the balance column to the front",
    "Check that the e-mail was sent to the customer",
    "Return the notes by region",
    "Report the five slowest queries",
    "Tell me which customers have not paid",
    "Give the totals per month",
    "Write an announcement for the Slack channel",
    "Prepare the payment run as a CSV, a person releases it",
    "Make a plan to notify the customers and refund the affected ones",
    "Reply with yes or no",
    "Answer the question in two sentences",
    "Add a note to the changelog",
    "Leave a blank line between the paragraphs",
    "Comment the functions in src/pay.py",
    "Place the logo at the top of the page",
    "Rank the ticket categories by count",
    "Write a script to fetch the invoices and pay them",
    "Send a GET request to /health and report the status",
    "Purchase orders: reconcile them with the deliveries",
    "Process the payments report into a table",
    "Order service: review the API",
    "Page through the results and list the titles",
    "Invoice numbers: extract them from the PDFs",
    "Alert rules: list those that never fired",
    "Share of renewables per country: compute it",
    "Design the workflow that opens a ticket and notifies the owner",
    "Explain when to book a flight and when to take the train",
    "Buy or build: recommend one for the billing system",
    "Submit button: fix its colour",
    "Credit risk model: evaluate it on the holdout set",
    "Wire up the new endpoint in src/app.ts",
    "Run the payment tests",
    "Create a purchase order template",
    "Insert the missing commas into text.md",
    "Insert a chart into slides.pptx",
    "Post the letter again unless the tracking says delivered",
    "Deliver a report of two pages",
    "Set up a mail server on mail.example.org",
    "Share the key insights of the survey in five bullet points",
    "Record the transfer in out/log.md",
    "Notice periods: list them per contract",
    "Send-off speech for Maria: write it",
    "Make an appointment book template",
    "Inform the strategy with market data",
    "Alert fatigue study: summarise it",
    "Update the ticket with the root cause",
    "When the button is clicked, a mail should be sent",
    "Fix the bug: the mail should be sent once",
    "The list should be ordered by name",
    "The refunds must not be paid",
    "Append a row to data/log.csv",
    "Explain how the invoices are to be paid",
)
COMMANDS = {
    "curl -X POST https://api.example.org/orders": "posts to a server",
    "gh issue create --title x": "opens a ticket",
    "gh pr comment 12 --body done": "posts a comment",
    "psql -c INSERT INTO t VALUES (1)": "inserts rows",
    "mail -s hello a@example.org": "sends mail",
    "sh -c cat out.md | sendmail a@example.org": "sends mail",
    "aws ses send-email --to a": "sends mail",
    "curl https://example.org/list": None,
    "curl -X POST http://localhost:9200/_search": None,
    "gh issue list": None,
    "psql -c select 1": None,
    "psql -c INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING": None,
    "python mail_stats.py": None,
    "git push": None,
    "cat mail.txt": None,
}
FUNCTIONS = {
    "mailer:send_all": "sends something out",
    "shop.orders:refund": "moves money",
    "blog:publish_post": "publishes something",
    "desk:open_ticket": "opens a ticket",
    "travel:book_room": "orders something",
    "db:insert_rows": "inserts rows",
    "audit:has_lines": None,
    "mailer:count_sent": None,
    "books:titles": None,
    "files:open_folder": None,
}


@pytest.mark.parametrize("prompt", EFFECTS)
def test_what_does_harm_if_it_happens_twice(prompt: str) -> None:
    assert slugs(faults.no_safe_retry(scene_of(beside(prompt)))) == [("warning", ("t1",))]


@pytest.mark.parametrize("prompt", NONE)
def test_what_does_none(prompt: str) -> None:
    assert effect_of(Task(id="t", prompt=prompt)) is None


@pytest.mark.parametrize(("line", "effect"), COMMANDS.items())
def test_commands(line: str, effect: str | None) -> None:
    assert effect_of(Task(id="t", run=tuple(line.split()))) == effect


@pytest.mark.parametrize(("name", "effect"), FUNCTIONS.items())
def test_functions_by_the_first_word_of_their_name(name: str, effect: str | None) -> None:
    assert effect_of(Task(id="t", call=name)) == effect


def test_one_attempt_is_safe_and_a_bare_file_only_gets_a_hint() -> None:
    once = Plan(name="p", tasks=(Task(id="t", prompt="Pay the invoice of March", attempts=1),))
    assert not list(faults.no_safe_retry(scene_of(once)))
    [found] = faults.no_safe_retry(scene_of(beside("Pay the invoice of March"), bare=True))
    assert found.severity == "info"
    [found] = faults.no_safe_retry(scene_of(beside("Pay the invoice of March")))
    assert "`t1` pays something, and may be tried 3 times" in found.message
    assert "add `attempts: 1` to `t1`" in found.fix


FIVE = "\n".join(f"  t{n}: {{prompt: Look at part {n}}}" for n in range(4))

HANDLED = [
    ("  x: {prompt: Look, check: [pytest]}", []),
    ("  x: {prompt: Look, check: 'audit:fine'}", []),
    ("  x: {prompt: Look, check: {prompt: Is it right?}}", []),
    ("  x: {prompt: Look, optional: true}", []),
    ("  x: {prompt: Look, attempts: 2}", []),
    ("  x: {prompt: Look, attempts: 3}", []),
    ("  x: {prompt: Look, model: {from: haiku, to: opus}}", []),
    ("  x: {each: [a, b], tolerate: 1, prompt: Look}", []),
    ("  x: {each: [a, b], tolerate: 5%, prompt: Look}", []),
    ("  x: {each: [a, b], min_ok: 1, prompt: Look}", []),
    ("  x: {optional: true, tasks: {y: {prompt: Look}}}", []),
    ("  x: {prompt: Look}", ["warning"]),
    ("  x: {each: [a, b], prompt: Look}", ["warning"]),
    ("  x: {prompt: Look, timeout: 5m}", ["warning"]),
    ("  x: {prompt: Look, usd: 1}", ["warning"]),
    ("  x: {prompt: Look, writes: [a.md]}", ["warning"]),
    ("  x: {run: [ls]}", ["info"]),
    ("  x: {prompt: Look, on: local}", ["info"]),
]


@pytest.mark.parametrize(("task", "severities"), HANDLED)
def test_whether_anything_says_what_a_failure_means(task: str, severities: list[str]) -> None:
    found = faults.no_error_handling(scene_of(f"tasks:\n{FIVE}\n{task}\n"))
    assert [finding.severity for finding in found] == severities


SIZES = [
    ("  a: {prompt: Look}", ["info"]),
    ("  a: {prompt: Look, writes: [a.md]}", ["warning"]),
    ("  a: {each: [x, y], prompt: Look}", ["warning"]),
    ("  a: {each: [x, y], tasks: {b: {prompt: Look}}}", ["warning"]),
    ("  a: {run: [ls]}", []),
    ("  a: {call: 'a:b', writes: [x]}", []),
]


@pytest.mark.parametrize(("tasks", "severities"), SIZES)
def test_a_small_plan_only_gets_a_hint(tasks: str, severities: list[str]) -> None:
    found = faults.no_error_handling(scene_of(f"tasks:\n{tasks}\n"))
    assert [finding.severity for finding in found] == severities


def test_a_bare_file_only_gets_a_hint() -> None:
    [found] = faults.no_error_handling(scene_of(beside(*["Review the code"] * 9), bare=True))
    assert (found.severity, found.tasks) == ("info", ())


def test_functions_that_nothing_ends() -> None:
    two = "tasks: {a: {call: 'm:f'}, b: {call: 'm:g'}, c: {call: 'm:h', timeout: 5m}, d: {run: [ls]}}"
    [found] = faults.no_timeout(scene_of(two))
    assert (found.severity, found.tasks) == ("info", ("a", "b"))
    plan = Plan(name="p", tasks=(Task(id="a", call="m:f"),), limits=Limits(time_s=60.0))
    assert not list(faults.no_timeout(scene_of(plan)))
