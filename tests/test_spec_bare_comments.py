"""What the comments around bare tasks say: stages, halves, figures, and findings that are accepted."""

import pytest

from stretto.plan.model import Expect, Group
from stretto.spec.bare import read_bare
from stretto.spec.bare.comments import label_of
from stretto.spec.bare.figures import alternative, figures_behind, figures_below, product
from tests.bare import only, read, shown, slugs, staged, tasks_of


class TestStages:
    """Comments are evidence of order."""

    @pytest.mark.parametrize(
        "comment",
        [
            "Step 2",
            "--- Step 2: the tests ---",
            "## STEP TWO",
            "Phase II - rollout",
            "Level 2 (parallel)",
            "second stage",
            "Now step 2:",
            "✅ Step 2",
            "- Step 2: test",
            "Wait",
            "wait for both...",
            "⏳ Wait for completion",
            "Must wait for the build",
            "then",
            "Then, in parallel:",
            "After that",
            "Next: the tests",
            "Finally, the report",
            "Once the build is done",
            "When everything has passed:",
            "After all reviews",
            "This depends on the build",
            "Depends on task 1",
            "Uses the output of the step above",
            "Gather",
            "Gather: one action plan",
            "Synthesize the findings",
            "Merge:",
            "Combine results",
            "Final step",
            "↓",
        ],
    )
    def test_what_begins_a_stage(self, comment: str) -> None:
        assert staged(f'Task("A")\n# {comment}\nTask("B")') == "1 > 2"

    @pytest.mark.parametrize(
        "comment",
        [
            "All launched in parallel → WILL FAIL!",
            "In parallel with step 1",
            "Step 1b, in parallel with step 1a",
            "Meanwhile, then some",
            "No need to wait",
            "Don't wait for it",
            "Nothing depends on this",
            "These do not depend on each other",
            "Result: each step waits for the one before",
            "Time: 3 min, then 5 min",
            "Problems: no waiting",
            "- waits for nothing",
            "payment module",
            "next.js pages",
            "after-sales mails",
            "mergers and acquisitions",
            "auth.py -> auth.ts",
            "stage door opening times",
            "the 12 steps of the handbook",
        ],
    )
    def test_what_does_not(self, comment: str) -> None:
        assert staged(f'Task("A")\n# {comment}\nTask("B")') == "1-2"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('Task("A")  # Wait\nTask("B")', "1 > 2"),
            ('Task("A")  # wait for it...\nTask("B")\nTask("C")  # Wait', "1 > 2-3"),
            ('Task("A")\nTask("B")  # Step 2', "1 > 2"),
            ('Task("A")\nTask("B")  # depends on A', "1 > 2"),
            ('Task("A")  # Creates SQL files\nTask("B")  # Needs SQL files to exist', "1-2"),
            ('Task("A")  # no need to wait\nTask("B")  # waits a lot', "1-2"),
            (
                'Task(\n    "A",\n    model="haiku",  # cheap\n)  # Wait\nTask("B", model="haiku")',
                "1 haiku > 2 haiku",
            ),
            ('await gather(\n    Task("A"),\n    Task("B"),\n)  # Wait for both\nTask("C")', "1-2 > 3"),
            ('x = [\n    Task("A"),\n    # then\n    Task("B"),\n]', "1 > 2"),
        ],
    )
    def test_behind_a_call(self, text: str, expected: str) -> None:
        assert staged(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("# Step 1|A|B|# Wait|# Step 2: C (depends on B)|C", "1-2 > 3"),
            ("# Step 1|A|# Step 1|B|# Step 2|C", "1-2 > 3"),
            ("# Step 1a|A|# Step 1b|B|# Step 2|C", "1-2 > 3"),
            ("# Phase 1|# Step 1|A|# Step 2|B|# Phase 2|# Step 1|C|# Step 2|D", "1 > 2 > 3 > 4"),
            ("# Step 1: A|A|# Wait|# Wait|B|# Wait", "1 > 2"),
            ("# Wait|A|B", "1-2"),
        ],
    )
    def test_several_comments_together(self, text: str, expected: str) -> None:
        lines = (part if part.startswith("#") else f'Task("{part}")' for part in text.split("|"))

        assert staged("\n".join(lines)) == expected

    def test_a_number_that_comes_again_goes_on_with_its_stage(self) -> None:
        plan = only('# Step 1\nTask("A")\n# Step 2\nTask("B")\n# Step 1\nTask("C")\n# Step 2\nTask("D")')

        assert [task.needs for task in tasks_of(plan)] == [(), ("task-1", "task-3")] * 2

    @pytest.mark.parametrize(
        ("heading", "calls", "expected"),
        [
            ("Build → Test → Deploy", "x y z", "1 > 2 > 3"),
            ("Task: Build => Test => Deploy", "x y z", "1 > 2 > 3"),
            ("Draft -> Publish", "draft-it publish-it", "1 > 2"),
            ("Draft, then publish", "draft-it publish-it", "1 > 2"),
            ("Research -> Draft -> Edit", "research-a research-b draft edit", "1-2 > 3 > 4"),
            ("Draft -> Publish", "x y", "1-2"),
            ("en -> fr", "translate-a translate-b", "1-2"),
            ("Build -> Test", "x y z", "1-3"),
            ("One after the other", "x y z", "1 > 2 > 3"),
            ("Run sequentially:", "x y", "1 > 2"),
            ("BAD: sequential execution", "x y", "1 > 2"),
            ("2 min in parallel, 10 sequentially", "x y", "1-2"),
            ("Result: faster than sequential", "x y", "1-2"),
        ],
    )
    def test_headings_that_name_an_order(self, heading: str, calls: str, expected: str) -> None:
        lines = [f"# {heading}", *(f'Task("{call.replace("-", " ")}")' for call in calls.split())]

        assert staged("\n".join(lines)) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('for m in ["a", "b"]:\n    Task(f"{m}")  # Wait\nTask("C")', "1 > 2 > 3"),
            ('for m in ["a", "b"]:\n    Task(f"{m}")\n    # Wait for it\n', "1 > 2"),
            ('for m in ["a", "b"]:\n    Task(f"{m}")\n# Wait for all\nTask("C")', "1-2 > 3"),
            ('# One at a time\nfor m in ["a", "b"]:\n    Task(f"{m}")', "1 > 2"),
        ],
    )
    def test_loops(self, text: str, expected: str) -> None:
        assert staged(text) == expected
        assert slugs(text)[0][0] == "inferred-structure"

    def test_stages_inside_a_loop_are_those_of_all_its_turns(self) -> None:
        plan = only('for m in ["a", "b"]:\n    Task(f"scan {m}")\n    # then\n    Task(f"mend {m}")')

        assert [(t.prompt, t.needs) for t in tasks_of(plan)] == [
            ("scan a", ()),
            ("mend a", ("task-1", "task-3")),
            ("scan b", ()),
            ("mend b", ("task-1", "task-3")),
        ]

    def test_wide_stages_become_groups(self) -> None:
        text = 'for n in range(300):\n    Task(f"A {n}")\n# Wait\nfor n in range(300):\n    Task(f"B {n}")'
        plan = only(text)

        first, second = plan.tasks
        assert isinstance(first, Group) and isinstance(second, Group)
        assert (second.needs, first.tasks[0].id, second.tasks[-1].id) == (("stage-1",), "task-1", "task-600")


class TestHalves:
    """Labels cut a block into plans."""

    @pytest.mark.parametrize(
        ("comment", "word"),
        [
            ("❌ BAD: all at once", "bad"),
            ("✅ Respect the order", ""),
            ("BAD", "bad"),
            ("Good:", "good"),
            ("**WRONG** way", "wrong"),
            ("=== OPTIMIZED ($1.60) ===", "optimized"),
            ("Better approach", "better"),
            ("✅ **GOOD**: x", "good"),
        ],
    )
    def test_labels(self, comment: str, word: str) -> None:
        label = label_of(comment)
        assert label is not None
        assert label.word == word

    @pytest.mark.parametrize(
        "comment", ["Good idea to", "right model for each", "✅ Step 1: x", "the best", ""]
    )
    def test_no_labels(self, comment: str) -> None:
        assert label_of(comment) is None

    def test_halves_are_plans_of_their_own(self) -> None:
        text = 'Task("A")\n# Wait\nTask("B")\n# ❌ Problems: slow\n# ✅ GOOD\nTask("C")\nTask("D")  # ✅ fast'
        bare, _ = read_bare(text, "some/plan.py", page=False)
        plans, _ = read(text)

        assert [entry.name for entry in bare] == ["plan", "good"]
        assert [shown(plan) for plan in plans if plan is not None] == ["1 auto > 2 auto", "3-4 auto"]

    def test_names_come_from_headings_labels_or_the_file(self) -> None:
        block = '```\n# BAD\nTask("A")\n# GOOD\nTask("B")\n```\n'
        text = f"# Ship *it*, now!\n{block}\n{block}\n#### **2.** ✅ Über\n```py\nTask('C')\n```"

        assert [entry.name for entry in read_bare(text, "x.md", page=True)[0]] == [
            "ship-it-now-bad",
            "ship-it-now-good",
            "ship-it-now-bad-2",
            "ship-it-now-good-2",
            "2-ber",
        ]
        assert [entry.name for entry in read_bare('Task("A")', "dir/my.plan.py", page=False)[0]] == [
            "my.plan"
        ]


class TestFigures:
    """Figures in comments are declared figures, where nothing about them is in doubt."""

    @pytest.mark.parametrize(
        ("comment", "usd", "seconds"),
        [
            ("$1.00", "1.00", None),
            ("$1,200.50", "1200.50", None),
            ("$3.00, 20 minutes", "3.00", 1200),
            ("~3 min", None, 180),
            ("about 90 sec / $0.10", "0.10", 90),
            ("cost: $0.05 (cheap)", "0.05", None),
            ("$0.10 each", "0.10", None),
            ("1.5 hours", None, 5400),
        ],
    )
    def test_behind_a_call(self, comment: str, usd: str | None, seconds: int | None) -> None:
        found = figures_behind(f" {comment}")
        assert found is not None
        assert (found.usd and str(found.usd), found.seconds) == (usd, seconds)

    @pytest.mark.parametrize(
        "comment",
        [
            "$1.00-$2.00",
            "$1-2",
            "2-3 min",
            "2 min or 3 min",
            "$1.00 vs $3.00",
            "$5 refund for all",
            "10 minutes timeout",
            "retry after 5 min",
            "needs Opus ($1.50)",
            "up to $5",
            "$3k",
            "10%",
            "3",
            "12 minor bugs",
            "$1.00 $2.00",
        ],
    )
    def test_what_is_in_doubt_is_left_out(self, comment: str) -> None:
        assert figures_behind(comment) is None

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ("A|# (3 min, $0.20)", "1 $0.2 3m"),
            ("A|B|# (5 min parallel, $0.60)|# Step 2|C", "1-2 $0.3 5m > 3"),
            ("A|B|# Wait for all... (5 min, $0.60)|C|# (1 min)", "1-2 $0.3 5m > 3 1m"),
            ("A|B|# (5 min, $0.60)", "1-2"),
            ("A|# (1 min)|B|# (2 min)", "1 1m, 2 2m"),
            ("A  # $1.00|B|# (5 min parallel, $0.60)", "1 $1 5m, 2 5m"),
            ("A|# then|B  # 5 min parallel|C", "1 > 2-3 5m"),
            ("A|B|# Cost: 2 * $0.10 = $0.20", "1-2 $0.1"),
            ("A|B|# 2 x $0.10", "1-2 $0.1"),
            ("A|B|# Cost: 3 * $0.10 = $0.30", "1-2"),
            ("A  # $1|B|# Cost: 2 * $0.10", "1 $1, 2"),
            ("A|B|# Total: $3.90|# Time: ~2 min|# Result: (3 min, $5)", "1-2"),
            ("A|B|C|# (parallel)", "1-3"),
            ("A|B|C|# (1 min parallel, $1.00)", "1-3 $0.333333 1m"),
        ],
    )
    def test_of_tasks_and_stages(self, lines: str, expected: str) -> None:
        code = []
        for line in lines.split("|"):
            word, _, comment = line.partition("  ")
            code.append(line if line.startswith("#") else f'Task("{word}")  {comment}')

        assert staged("\n".join(code)) == expected

    def test_of_an_unknown_list_only_where_its_length_is_said(self) -> None:
        text = 'for x in {}:\n    Task(f"{{x}}")\n# (7 min parallel, $2.00)'

        assert staged(text.format("top_10_files")) == "1 $0.2 7m"
        assert staged(text.format("files")) == "1 7m"
        assert staged(text.format("files").replace(" parallel", "")) == "1"

    def test_other_ways_are_baselines(self) -> None:
        plan = only('Task("A")\n# Alternative (all Opus): $7.50, 25 minutes\n# Alternative: 3 hours\n')

        assert plan.baselines == {
            "all-opus": Expect(nusd=7_500_000_000, time_s=1500),
            "alternative": Expect(time_s=10800),
        }
        assert alternative("Alternative (manual): 2-3 days") is None

    def test_a_product_is_read_whole(self) -> None:
        assert product(" Cost: 5 * $0.10 = $0.50") is not None
        assert product("5 * $0.10 + 2 * $1.00") is None
        assert figures_below("after 5 minutes (5 min)") is None

    def test_expect_as_a_keyword_wins(self) -> None:
        (task,) = tasks_of(only('Task("A", expect={"usd": 2})  # $1.00'))

        assert task.expect == Expect(nusd=2_000_000_000)


class TestAccept:
    """`# stretto: accept SLUG: reason` says that a finding is known."""

    def test_on_the_line_of_a_call_or_alone_above_it(self) -> None:
        first, second, third = tasks_of(
            only(
                'Task("A")  # stretto: accept vague-prompt: it is a joke\n'
                "# stretto: accept oversized-model: the contract\n# stretto: accept vague-prompt: known\n"
                'Task("B",\n     model="opus",  # $1.00\n)\n'
                "# stretto: accept vague-prompt: too far away\n\n"
                'Task("C")'
            )
        )

        assert first.accept == {"vague-prompt": "it is a joke"}
        assert second.accept == {"oversized-model": "the contract", "vague-prompt": "known"}
        assert second.expect == Expect(nusd=1_000_000_000)
        assert third.accept == {}

    def test_it_says_nothing_about_order(self) -> None:
        assert staged('Task("A")\n# stretto: accept write-conflict: they wait\nTask("B")') == "1-2"
