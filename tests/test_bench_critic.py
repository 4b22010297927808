"""The bench of the critic: what counts as right, the tasks in a plan's text, mutations that keep labels."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from bench import critic
from bench.critic import (
    KEYWORDS,
    SLUGS,
    Kept,
    Score,
    Seen,
    compared,
    keywords,
    score,
    score_of_pairs,
    verdict,
)
from bench.labelled import SPLITS, Findings, Labelled, parts_of, plans_of
from bench.mutations import mutants, names_swapped, order_shuffled, verbs_paraphrased
from hypothesis import given
from hypothesis import strategies as st


def yaml_plan(tasks: str, labels: Findings | None = None) -> Labelled:
    return Labelled("made-up", "yaml", f"stretto: 1\nname: made-up\ntasks:\n{tasks}", labels or {})


def bare_plan(text: str, labels: Findings | None = None) -> Labelled:
    return Labelled("made-up", "bare", text, labels or {})


def chance() -> random.Random:
    return random.Random(1)


NEED = "missing-dependency"

# slug, labelled, told, verdict
VERDICTS: list[tuple[str, list[str], list[str], str]] = [
    ("vague-prompt", ["a"], [], "quiet"),
    ("vague-prompt", [], [], "quiet"),
    ("vague-prompt", [], ["a"], "wrong"),
    ("vague-prompt", ["a"], ["a"], "right"),
    ("vague-prompt", ["a"], ["b"], "wrong"),
    ("vague-prompt", ["a", "b"], ["a"], "right"),
    ("vague-prompt", ["a", "b", "c"], ["a"], "wrong"),
    ("vague-prompt", ["a"], ["a", "b"], "right"),
    ("vague-prompt", ["a"], ["a", "b", "c"], "wrong"),
    ("write-conflict", ["a b", "b c"], ["a b c"], "right"),
    ("over-orchestration", ["a b c d"], ["a b"], "right"),
    ("no-budget", [""], [""], "right"),
    ("no-budget", [""], ["a b"], "right"),
    ("no-budget", [], [""], "wrong"),
    ("unknown-key", [""], [""], "right"),
    ("unknown-key", [""], ["a"], "wrong"),
    ("cycle", ["b"], ["a b c"], "right"),
    ("cycle", ["b"], ["c d"], "wrong"),
    (NEED, ["b a"], ["b a"], "right"),
    (NEED, ["b a"], ["a b"], "wrong"),
    (NEED, ["b a", "c b", "d c"], ["c b"], "right"),
    (NEED, ["b a"], ["b a", "c a"], "right"),
    (NEED, ["b a"], ["b a", "c a", "c b"], "wrong"),
    (NEED, ["b a", "c a"], ["b a", "c a", "d a"], "right"),
]


def findings(slug: str, rows: list[str]) -> Findings:
    return {slug: [tuple(row.split()) for row in rows]} if rows else {}


@pytest.mark.parametrize(("slug", "labelled", "told", "expected"), VERDICTS)
def test_a_finding_is_right_if_slug_and_tasks_agree(
    slug: str, labelled: list[str], told: list[str], expected: str
) -> None:
    assert verdict(slug, findings(slug, labelled), findings(slug, told)) == expected


def test_a_finding_on_the_wrong_tasks_is_a_false_one_and_a_missed_one() -> None:
    rows = [
        Seen(bare_plan("", findings("vague-prompt", labelled)), findings("vague-prompt", told))
        for labelled, told in [(["a"], ["a"]), (["a"], ["b"]), (["a"], []), ([], ["a"]), ([], [])]
    ]
    got = score("vague-prompt", rows)
    assert got == Score(labelled=3, told=3, right=1)
    assert (got.precision, got.recall) == (1 / 3, 1 / 3)
    assert score("cycle", rows) == Score(0, 0, 0)
    assert critic.added([got, Score(1, 2, 1)]) == Score(4, 5, 2)


def test_missing_needs_are_counted_in_pairs_too() -> None:
    told = findings(NEED, ["b a", "c b", "d c", "d b"])
    rows = [Seen(bare_plan("", findings(NEED, ["b a", "c b", "e d"])), told), Seen(bare_plan(""), {})]
    assert score_of_pairs(rows) == Score(labelled=3, told=4, right=2)


def test_a_verdict_stays_if_it_is_the_same_on_the_same_tasks() -> None:
    labels: Findings = {"vague-prompt": [("task-1",)], "oversized-model": [("task-2",)], "no-budget": [()]}
    before: Findings = {"vague-prompt": [("task-1",)], "write-conflict": [("task-1", "task-2")]}
    changed: Findings = {"vague-prompt": [("task-2",)], "oversized-model": [("task-1",)], "no-budget": [()]}
    assert compared(labels, before, changed, {**before, "vague-prompt": [("task-2",)]}) == Kept(4, 4, 2, 2, 0)
    assert compared(labels, before, changed, before) == Kept(4, 3, 2, 1, 0)  # it went on saying task-1
    assert compared(labels, before, changed, {"cycle": [()]}) == Kept(4, 2, 2, 0, 1)


def test_tasks_of_bare_text_are_numbered_as_the_labels_are() -> None:
    text = """
Task("one", model="haiku")
for x in ["a", "b"]:
    Task(f"two of {x}")
    Task(prompt="three")
for x in unknown:
    Task("four")
plans = [Task("five") for n in range(1, 3)]
"""
    parts = parts_of("bare", text)
    assert [part.id for part in parts] == [f"task-{n}" for n in range(1, 9)]
    prompts = ["one", "two of {...}", "three", "two of {...}", "three", "four", "five", "five"]
    assert [part.prompt for part in parts] == prompts
    assert parts[0].source == 'Task("one", model="haiku")'


def test_tasks_of_yaml_have_their_own_words_and_not_those_of_their_members() -> None:
    text = """stretto: 1
tasks:
  group:
    max: 5
    tasks:
      first: {prompt: "Do a", model: opus}
      second:
        prompt: |
          Do b
  last: {run: [ls]}
"""
    parts = {part.id: part for part in parts_of("yaml", text)}
    assert list(parts) == ["group", "group.first", "group.second", "last"]
    assert "max" in parts["group"].source
    assert "opus" not in parts["group"].source
    assert parts["group.first"].source == 'first: {prompt: "Do a", model: opus}'
    assert parts["group.second"].prompt == "Do b\n"


# --- names ---


def test_names_are_swapped_everywhere_and_labels_follow() -> None:
    plan = yaml_plan(
        '  siemens: {prompt: "Read data/siemens.csv of Siemens"}\n'
        '  abb: {prompt: "Compare ABB with Siemens: ${siemens}", needs: [siemens]}\n',
        {"oversized-model": [("siemens",)]},
    )
    changed = names_swapped(plan, chance())
    assert changed is not None
    assert "iemens" not in changed.text
    assert "ABB" not in changed.text
    first, second = (part.id for part in parts_of("yaml", changed.text))
    assert first != second
    assert changed.labels == {"oversized-model": [(first,)]}
    assert f"data/{first}.csv" in changed.text
    assert f"${{{first}}}" in changed.text
    assert f"needs: [{first}]" in changed.text
    assert re.search(rf"Compare (\w+) with {first}", changed.text, re.I)


@pytest.mark.parametrize(
    "text",
    [
        'Task("Search the logs for timeouts")',
        'Task("Scoping search for cardiology")',
        'Task("Send the payment orders")',
        'Task("Summarise the authors")',
        'Task("Read the Javadoc")',
    ],
)
def test_ordinary_words_are_no_names(text: str) -> None:
    assert names_swapped(bare_plan(text), chance()) is None


def test_a_word_is_a_name_where_it_stands_in_a_path_or_a_list() -> None:
    for text in ('Task("Fix src/billing/tax.py")', 'for m in ["auth", "billing"]:\n    Task(f"Read {m}")'):
        changed = names_swapped(bare_plan(text), chance())
        assert changed is not None
        assert "billing" not in changed.text
    assert names_swapped(yaml_plan("  a: {run: [gh, search, issues]}\n"), chance()) is None


def test_when_a_group_has_no_other_names_they_change_places() -> None:
    rows = "\n".join(f'Task("Translate it into {name}")' for name in languages())
    changed = names_swapped(bare_plan(rows), chance())
    assert changed is not None
    assert Counter(re.findall(r"into (\w+)", changed.text)) == Counter(languages())


def languages() -> list[str]:
    return ["German", "Dutch", "Swedish", "Italian", "Spanish", "Polish", "Portuguese", "Finnish", "Czech"]


# --- order ---


def test_parts_of_yaml_change_places_with_their_comments_and_members() -> None:
    plan = yaml_plan(
        "  a: {prompt: one}\n  b:\n    order: serial\n    tasks:\n      c: {prompt: two}\n"
        "      d: {prompt: three}\n"
        "  # about e\n  e:\n    prompt: |\n      four\n\n      five\nlimits: {usd: 1}\n",
        {"vague-prompt": [("b.c",)]},
    )
    changed = order_shuffled(plan, chance())
    assert changed is not None
    assert yaml.safe_load(changed.text) == yaml.safe_load(plan.text)
    assert list(yaml.safe_load(changed.text)["tasks"]) != ["a", "b", "e"]
    assert changed.labels == plan.labels
    assert len(changed.text.splitlines()) == len(plan.text.splitlines())


def test_what_the_order_of_the_text_decides_stays() -> None:
    serial = "stretto: 1\norder: serial\ntasks:\n  a: {prompt: one}\n  b: {prompt: two}\n"
    assert order_shuffled(Labelled("s", "yaml", serial, {}), chance()) is None
    assert order_shuffled(yaml_plan("  a: {prompt: one}\n"), chance()) is None
    for text in (
        'Task("a")\n# Wait\nTask("b")\n',
        'Task("a")  # then\nTask("b")\n',
        '# Build -> Test\nTask("a")\nTask("b")\n',
        '# one after the other\nTask("a")\nTask("b")\n',
        'names = ["a"]\nTask("a")\n',
        'Task("a"); Task("b")\n',
    ):
        assert order_shuffled(bare_plan(text), chance()) is None, text


LINES = st.sampled_from(
    [
        "# Step 2",
        "# Wait",
        "# the docs",
        "",
        "Task({})",
        "Task({})  # then",
        "Task({})  # cheap",
        "LOOP",
        "x = 1",
    ]
)


@given(st.lists(LINES, max_size=14), st.integers(0, 99))
def test_bare_tasks_stay_in_their_stage_and_keep_their_labels(lines: list[str], seed: int) -> None:
    loop = 'for x in ["a", "b"]:\n    Task({})'
    rows = [line.replace("LOOP", loop).format(f'"prompt {at}"') for at, line in enumerate(lines)]
    text = "\n".join(rows) + "\n"
    prompts = {part.id: part.prompt for part in parts_of("bare", text)}
    plan = bare_plan(text, {"vague-prompt": [(id,) for id in prompts]})
    changed = order_shuffled(plan, random.Random(seed))
    if changed is None:
        return
    after = {part.id: part.prompt for part in parts_of("bare", changed.text)}
    assert [after[id] for (id,) in changed.labels["vague-prompt"]] == list(prompts.values())
    assert [Counter(stage) for stage in stages(changed.text)] == [Counter(stage) for stage in stages(text)]
    assert Counter(changed.text.split("\n")[:-1]) == Counter(text.rstrip("\n").split("\n"))


def stages(text: str) -> list[list[str]]:
    """The prompts between what orders them."""
    return [re.findall("prompt [0-9]+", stage) for stage in re.split("Step|Wait|then|x = 1", text)]


# --- verbs ---


@pytest.mark.parametrize(
    ("prompt", "first"),
    [
        ("Write the report", {"Compose", "Produce"}),
        ("write the report", {"compose", "produce"}),
        ("Please write the report", {"Please"}),
        ("Test the checkout", {"Run", "Do"}),
        ("Test checkout.py", {"Run", "Do"}),
        ("Deploy 3 services", {"Ship", "Release", "Do"}),
        ("Summarise ${doc}", {"Summarize", "Give", "Write"}),
    ],
)
@pytest.mark.parametrize("form", ["bare", "yaml", "block"])
def test_the_verb_that_begins_a_prompt_becomes_another(prompt: str, first: set[str], form: str) -> None:
    plan = in_form(prompt, form)
    changed = verbs_paraphrased(plan, chance())
    assert changed is not None
    said = parts_of(plan.form, changed.text)[0].prompt
    assert said.split()[0] in first
    assert said.split()[-1] == prompt.replace("${doc}", "{...}" if form == "bare" else "${doc}").split()[-1]


@pytest.mark.parametrize(
    "prompt",
    [
        "Write",
        "Write to the customer",
        "Check whether the build passes",
        "Read and sum up the log",
        "Test coverage of the parser",
        "Design document for the store",
        "Plan: first the store",
        "Rewriting the store",
        "The team will write the report",
    ],
)
@pytest.mark.parametrize("form", ["bare", "block"])
def test_words_that_are_no_order_to_do_something_stay(prompt: str, form: str) -> None:
    assert verbs_paraphrased(in_form(prompt, form), chance()) is None


def in_form(prompt: str, form: str) -> Labelled:
    match form:
        case "bare":
            return bare_plan(f'Task(f"""{prompt}""", model="haiku")'.replace("${doc}", "{doc}"))
        case "yaml":
            return yaml_plan(f"  a: {{prompt: {json.dumps(prompt)}}}\n")
        case _:
            return yaml_plan(f"  a:\n    prompt: |-\n      {prompt}\n")


# --- the whole ---


def test_mutations_are_the_same_every_time() -> None:
    plan = bare_plan(
        'Task("Write the ABB report")\nTask("Read the log")\nTask("Check the totals of Bosch")\n'
    )
    assert [name for name, _ in mutants(plan)] == ["names", "order", "verbs"]
    assert list(mutants(plan)) == list(mutants(plan))


@pytest.mark.parametrize("split", SPLITS)
def test_labels_name_tasks_of_their_plan_also_in_every_mutant(split: str) -> None:
    plans, _ = plans_of(split)
    per_slug = Counter(slug for plan in plans for slug in plan.labels)
    assert set(per_slug) <= set(SLUGS)
    if split in ("open", "held"):
        assert min(per_slug[slug] for slug in SLUGS) >= 10
    for plan in plans:
        for changed in (plan, *(mutant for _, mutant in mutants(plan))):
            ids = {part.id for part in parts_of(plan.form, changed.text)}
            assert {task for rows in changed.labels.values() for row in rows for task in row} <= ids, plan.id
            assert Counter(changed.labels.keys()) == Counter(plan.labels.keys())


def test_the_baseline_has_twenty_keywords_and_looks_at_tasks() -> None:
    assert len(KEYWORDS) == 20
    text = 'Task("Write notes/a.md")\nTask("Deploy the site", model="opus")\nTask("Do something with auth")\n'
    assert keywords(bare_plan(text)) == {NEED: [("task-2", "task-1")], "vague-prompt": [("task-3",)]}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    plans = [
        yaml_plan("  a: {prompt: one, needs: [b]}\n  b: {prompt: two, needs: [a]}\n", {"cycle": [("b",)]}),
        yaml_plan("  a: {prompt: Count the files in src/, modle: haiku}\n", {"unknown-key": [("a",)]}),
        yaml_plan("  a: {prompt: Count the files in src/ and list their sizes, model: haiku}\n"),
    ]
    for split in SPLITS:
        rows = [
            {
                "id": f"made-up-{at}",
                "domain": "code",
                "form": plan.form,
                "text": plan.text,
                "findings": [
                    {"slug": slug, "tasks": list(tasks)}
                    for slug, rows in plan.labels.items()
                    for tasks in rows
                ],
            }
            for at, plan in enumerate(plans)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"plans-{split}.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, corpus: Path) -> Run:
    def with_words(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["critic", "--corpus", str(corpus), *words])
        critic.main()

    return with_words


def test_the_table_counts_what_check_says(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("--mutations")
    out = capsys.readouterr().out
    assert re.search(r"held: 3 plans, sha256 [0-9a-f]{64}", out)
    for slug in ("cycle", "unknown-key"):
        assert re.search(rf"^{slug} +1  1/1 = 1.000 \(0.207-1.000\) +1/1 = 1.000 ", out, re.M)
    assert re.search(r"^  order +2 plans  2/2 = 1.000 ", out, re.M)


def test_rules_cannot_learn_from_the_held_half(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--wrong", "held")
    assert "must not learn" in capsys.readouterr().err
    run("--wrong", "open", "vague-prompt")
    run("--wrong", "held", "vague-prompt", "--yes-i-am-done")


def test_what_is_told_wrong_is_shown_with_its_plan(
    run: Run, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = corpus / "plans-open.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"cycle"', '"vague-prompt"'), encoding="utf-8")
    run("--wrong", "open")
    out = capsys.readouterr().out
    assert "made-up-0 cycle: labelled no, told [('a', 'b')]" in out
    assert "made-up-0 vague-prompt: labelled [('b',)], told no" in out
    assert "  b: {prompt: two, needs: [a]}" in out
    assert "made-up-1" not in out
