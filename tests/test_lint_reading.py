"""What a prompt says: its files and what becomes of them, its verbs, its things, what it makes and wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.lint.acts import participle, root
from stretto.lint.makes import trade_of
from stretto.lint.paths import find, overlap, path_of
from stretto.lint.phrases import Mention
from stretto.lint.reading import Clause, read, reading_of
from stretto.plan.model import Task

# --- paths ---


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("Read data/raw.csv, then `docs/a b`", ["data/raw.csv"]),
        ("See ./notes/may.md.", ["./notes/may.md"]),
        ("Put it into out/${name}.md", ["out/${name}.md"]),
        ("Every file of src/**/*.py", ["src/**/*.py"]),
        ('The table "prices.xlsx" of the dealer', ["prices.xlsx"]),
        ("Fix docker/Makefile and ./Dockerfile", ["docker/Makefile", "./Dockerfile"]),
        ("Add FOO to .env.example", [".env.example"]),
        ("Move everything from src/api to src/web", ["src/api", "src/web"]),
        (r"Open reports\2024\q3.docx", [r"reports\2024\q3.docx"]),
        ("Fill templates/<client>/offer.docx", ["templates/<client>/offer.docx"]),
        ("Write to /tmp/out.json", ["/tmp/out.json"]),
        ("Refactor src/core/ and test it", ["src/core/"]),
    ],
)
def test_paths_are_found(text: str, paths: list[str]) -> None:
    assert [path.text for path in find(text)[1]] == paths


@pytest.mark.parametrize(
    "text",
    [
        "Compare the build and/or the tests",
        "Watch it 24/7 over TCP/IP",
        "Set up CI/CD for the shop",
        "Is 3.5 better than 2.9?",
        "Port the page to Next.js and Node.js",
        "Call GET /v2/orders and POST /v2/refunds",
        "Read https://example.org/a/b.html",
        "e.g. the price in EUR/kWh, i.e. net",
        "Mail it to anna@example.org.",
        "Plan A/B tests with him/her",
    ],
)
def test_what_only_looks_like_a_path(text: str) -> None:
    assert find(text)[1] == []


def test_paths_leave_words_of_their_own_behind() -> None:
    plain, paths = find("Merge a.csv and `b.csv` into c.csv.")
    assert plain.split() == ["Merge", "p_0", "and", "p_1", "into", "p_2", "."]
    assert [path.norm for path in paths] == ["a.csv", "b.csv", "c.csv"]


def test_one_file_has_one_name() -> None:
    names = {
        path.norm for text in ("./src/a/", "src/a/", "src/a", r"src\a") if (path := path_of(text)) is not None
    }
    assert names == {"src/a"}


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a.md", "a.md", True),
        ("a.md", "b.md", False),
        ("out/*.md", "out/a.md", True),
        ("out/*.md", "out/a.txt", False),
        ("out/*.md", "out/deep/a.md", False),
        ("out/**/*.md", "out/deep/er/a.md", True),
        ("out/**/*.md", "out/a.md", True),
        ("out/a*.md", "out/*b.md", True),
        ("out/a*.md", "out/b*.md", False),
        ("out/a?.md", "out/ab.md", True),
        ("**", "any/thing", True),
        ("a/*", "*/b", True),
    ],
)
def test_patterns_meet(one: str, other: str, meet: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is meet


_NAMES = st.lists(st.sampled_from(["a", "ab", "b*", "*", "a?", "**"]), min_size=1, max_size=4).map("/".join)


@given(_NAMES, _NAMES)
def test_meeting_is_mutual(one: str, other: str) -> None:
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, one)


# --- what becomes of files ---

FILES = {
    "new": """Export the open claims of May as {}
        Dump the table claims into {}
        Compute the averages per site; result in {}
        Compute the averages per site. Output: {}
        Collect the addresses and keep them in {}
        Summarise the interviews to {}
        Create a file {} that has all the part numbers
        Generate {} from the schema
        Download the tariff tables to {}
        Translate the form, result goes to {}
        Write {}, the price list for dealers
        Work out the rota for June and publish it as {}
        Extract all clauses on liability from the lease, save under {}
        Save the cleaned rows in {}
        The hits you put please in {}
        Put revenue, margin and headcount of the Ltd into {}""",
    "read": """Check {} for gaps
        Draw a map from {}
        Compare {} with the forecast
        Base the letter to the council on {}
        Load {} into the warehouse
        Using {}, write the paragraph on trends
        Which entries of {} are implausible?
        Write a summary of {}
        Translate {} into French
        Email {} to the board
        Apply the rules in {} to the new cases
        Mark the rows that are listed in {}
        Write the notice to the people named in {}
        For each row of {} write one sentence
        Summarise what stands in {}
        Make with {} a chart of the hits
        Carry out {}
        Build the skeleton the way {} lays down
        The results of the test are in {}: where is the knee?""",
    "edit": """Fix the typos in {}
        Deduplicate {} by name and city
        Proofread {}
        Rename the columns of {}
        Anonymise {}""",
    "add": """Append the new prices to {}
        Add a row for Oslo to {}
        Put the new dishes into {}""",
    "named": """Do not touch {}
        Build the parser, but leave the tests alone and never edit {}""",
    "aside": """Follow the manual ({})
        Answer the questions of the auditors (see {})""",
}


@pytest.mark.parametrize(
    ("role", "text"), [(role, line.strip()) for role, lines in FILES.items() for line in lines.splitlines()]
)
def test_what_becomes_of_a_file(role: str, text: str) -> None:
    for file in ("out/may.csv", "notes/may.md"):
        assert [use.role for use in read(text.format(file)).paths] == [role]


def test_files_in_a_row_are_used_alike() -> None:
    said = read("Write the board paper on the basis of q3/a.md, q3/b.md and q3/c.md")
    assert [use.role for use in said.paths] == ["read"] * 3


def test_declared_files_come_with_those_of_the_words() -> None:
    task = Task(id="t", prompt="Chart a.csv", reads=("b.csv",), writes=("out/*.png",))
    uses = [(use.path.norm, use.role, use.declared, use.written) for use in reading_of(task).paths]
    assert uses == [
        ("b.csv", "read", True, False),
        ("out/*.png", "new", True, True),
        ("a.csv", "read", False, False),
    ]


def test_files_of_a_command() -> None:
    task = Task(id="t", run=("python", "chart.py", "in.csv", "--out=a.png", "-o", "b.png", "--fast"))
    uses = [(use.path.text, use.role) for use in reading_of(task).paths]
    assert uses == [("chart.py", "read"), ("in.csv", "read"), ("a.png", "new"), ("b.png", "new")]


# --- clauses ---


def said(text: str) -> list[tuple[str, str]]:
    """What is done, and to what, clause by clause."""
    return [(c.act, " ".join(m.said for m in c.objects)) for c in read(text).clauses]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Draft the letter", [("make", "letter")]),
        ("Please could you check the letter?", [("judge", "letter")]),
        ("Read the logs, find the cause and write a report", None),
        ("Type up the notes", [("tell", "notes")]),
        ("Lay the manual out", [("alter", "manual")]),
        ("Run a scan of the office network", [("judge", "scan office network")]),
        ("Do an audit of the ledger", [("judge", "audit ledger")]),
        ("Write a summary of the calls", [("tell", "summary calls")]),
        ("Have a lawyer review the draft", [("judge", "draft")]),
        ("Get the letter checked by legal", [("judge", "letter")]),
        ("In the header replace the logo", [("alter", "logo")]),
        ("Take a backup of the shop", [("make", "backup")]),
        ("Order the drinks", [("get", "drinks")]),
        ("Agree on the venue with the board", [("decide", "venue")]),
        ("Hand the keys over", [("send", "keys")]),
        ("Security audit of the ledger", [("judge", "security audit ledger")]),
    ],
)
def test_orders(text: str, expected: list[tuple[str, str]] | None) -> None:
    if expected is None:
        assert [act for act, _ in said(text)] == ["read", "get", "make"]
    else:
        assert said(text) == expected


def test_what_must_not_be_done_is_not_read() -> None:
    assert said("Fix the parser. Do not change the schema.") == [("alter", "parser")]


def test_passives_are_orders() -> None:
    [_, told] = read("Read the notes. The answers are to be coded by theme.").clauses
    assert (told.verb, [mention.said for mention in told.objects]) == (root("code"), ["answers"])


def only(text: str) -> Mention:
    """The last thing that a text speaks of."""
    clauses: list[Clause] = [clause for clause in read(text).clauses if clause.mentions]
    return clauses[-1].mentions[-1]


@pytest.mark.parametrize(
    ("text", "article"),
    [
        ("Check the letter", "the"),
        ("Check this letter", "this"),
        ("Check each letter", "each"),
        ("Check all letters", "all"),
        ("Check our letter", "our"),
        ("Check another letter", "a"),
        ("Check letters", ""),
        ("Check both letters", "the"),
    ],
)
def test_articles(text: str, article: str) -> None:
    assert only(text).article == article


@pytest.mark.parametrize(
    ("text", "lead", "head", "marks", "done"),
    [
        ("Check the job ad", "", "ad", {"job"}, ""),
        ("Send it to the night nurse", "to", "nurse", {"night"}, ""),
        ("Chart the cleaned survey answers", "", "answer", {"survey"}, "clean"),
        ("Fix the overcharges that were marked", "", "overcharge", set(), "mark"),
        ("Order the drinks as agreed", "as", "", set(), "agree"),
        ("Report what was loaded", "what is", "", set(), "load"),
        ("Write a reply based on the notes", "based", "note", set(), ""),
        ("Write a reply on the basis of the guide", "based", "guide", set(), ""),
        ("Write a reply in line with the guide", "based", "guide", set(), ""),
        ("Check the pricing-page copy", "", "copy", {"pricing-page", "price", "page"}, ""),
    ],
)
def test_mentions(text: str, lead: str, head: str, marks: set[str], done: str) -> None:
    found = only(text)
    assert (found.lead, found.head, found.done) == (
        lead,
        root(head) if head else "",
        root(done) if done else "",
    )
    assert {root(mark) for mark in marks} == found.marks


def test_numbers_and_many() -> None:
    assert (only("Merge the three exports").number, only("Merge the three exports").many) == (3, True)
    assert (only("Merge the 12 exports").number, only("Check the export").many) == (12, False)
    assert only("Write about 900 words").number == 900


def test_what_a_name_or_reference_stands_beside_is_filled_in() -> None:
    assert only("Check the letter: ${letter}").filled or only("Check the letter ${letter}").filled
    assert not only("Check the letter").filled


def test_parentheses_are_left_out() -> None:
    assert said("Check the letter (not the invoice)") == said("Check the letter")


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("cleaned", "clean"),
        ("written", "write"),
        ("built", "build"),
        ("agreed", "agree"),
        ("planned", "plan"),
        ("shown", "show"),
    ],
)
def test_participles(word: str, verb: str) -> None:
    assert participle(word) == root(verb)


@pytest.mark.parametrize("word", ["speed", "need", "shed", "related", "embed", "red", "hundred"])
def test_no_participles(word: str) -> None:
    assert participle(word) == ""


# --- what is made and what is wanted ---


def goods(text: str) -> set[tuple[str, str]]:
    return {(good.head, good.kind) for good in trade_of(read(text)).goods}


def wants(text: str) -> set[str]:
    return {want.head for want in trade_of(read(text)).wants if want.act not in ("get", "shape")}


@pytest.mark.parametrize(
    ("text", "head", "kind"),
    [
        ("Draft the letter to the tenants", "letter", "made"),
        ("Find the cause of the outage", "cause", "got"),
        ("Clean the survey data", "data", "altered"),
        ("Review the contract", "review", "said"),
        ("Merge the exports into a table", "table", "made"),
        ("Choose a venue", "venue", "got"),
        ("Write the first draft of the speech", "speech", "made"),
        ("Scan the shop for cookies", "cookie", "got"),
        ("Interview the tenants", "answer", "said"),
        ("Export the vendors to out/vendor-list.csv", "list", "got"),
    ],
)
def test_goods(text: str, head: str, kind: str) -> None:
    assert (root(head), kind) in goods(text)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("Mail the letter", "letter"),
        ("Write a report based on the interviews", "interview"),
        ("Chart the results by region", "finding"),
        ("Answer each complaint", "complaint"),
        ("Proofread the guide and mail it", "guide"),
    ],
)
def test_wants(text: str, head: str) -> None:
    assert root(head) in wants(text)


def test_what_a_text_brings_up_itself_it_does_not_want() -> None:
    assert root("report") not in wants("Write a report. Then check the report and mail it.")


def test_times_are_wanted_of_nobody() -> None:
    assert wants("Mail it this week") == set()


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    trade_of(read(text))


_WORDS = st.lists(
    st.sampled_from(
        "the a each this write check letter letters of in to with from and , . : ( ) out/a.md ${a} not it "
        "that was cleaned as agreed two 12 what which run based on".split()
    ),
    max_size=25,
).map(" ".join)


@given(_WORDS)
def test_any_words_can_be_read(text: str) -> None:
    reading = read(text)
    trade_of(reading)
    assert len(reading.paths) == len(find(text)[1])
