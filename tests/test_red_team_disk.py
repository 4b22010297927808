"""The red team: secrets on their way to a disk or a screen, and what others have put where a run writes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stretto.cli.bug import report
from stretto.errors import StrettoError, render
from stretto.journal import lock
from stretto.journal.private import open_file, refuse_strange
from stretto.workspace.redact import Redactor
from stretto.workspace.worktrees import Repository
from tests.driving import Answer, Project
from tests.redteam import CANARY, Attack, Table, holds, outside, written
from tests.worktree_stage import git, new_repository

attack = Table()

SECRET = "pw-8f3kd92mzq1x"
NUMBER = "4711471147114711"


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def project(root: Path, *tasks: str) -> Project:
    return Project(root, "\n".join(["stretto: 1", "name: red", "limits: {usd: 5}", "tasks:", *tasks]) + "\n")


def on_disk(root: Path, text: str) -> bool:
    return any(text.encode() in data for data in written(root / ".stretto"))


# Secrets


@attack
def a_key_of_the_environment_is_printed(place: Path, guarded: bool) -> bool:
    """By an output, on stderr and by an error; what the variable is called says whether it is a secret."""
    name = "SERVICE_KEY" if guarded else "SERVICE_NAME"
    found = project(
        place,
        f"  leak: {{run: [sh, -c, 'echo \"it is ${name}\"; echo ${name} >&2'], env: [{name}]}}",
        f"  fails: {{run: [sh, -c, 'echo ${name} >&2; exit 3'], env: [{name}], attempts: 1, optional: true}}",
        '  next: {prompt: "Use ${leak}", needs: [fails]}',
    )
    env = {name: SECRET}
    ran = found("run", "plan.yaml", "--on", "simulated:latency=0", env=env)
    assert ran.code == 0, ran.err
    shown = [found("show", "last", "--task", task, env=env) for task in ("leak", "fails", "next")]
    shown += [found("show", "last", "--task", "leak", "--output"), found("show", "last", "--json")]
    return on_disk(place, SECRET) or any(SECRET in said.out + said.err for said in [ran, *shown])


@attack
def a_key_hides_in_data(place: Path, guarded: bool) -> bool:
    """As a number and as a name in a JSON value; which stays JSON and reaches the next task."""
    name = "PIN_TOKEN" if guarded else "PIN_CODE"
    (place / "leak.py").write_text(
        f"import os; pin = os.environ['{name}']\nprint('{{\"a\": [%s], \"%s\": 1}}' % (pin, pin))"
    )
    found = project(
        place,
        f"  leak: {{run: [{sys.executable}, leak.py], env: [{name}], output: json}}",
        "  next: {run: [cat], needs: [leak]}",
    )
    ran = found("run", "plan.yaml", env={name: NUMBER})
    assert ran.code == 0, ran.err
    value = found("show", "last", "--task", "leak", "--output").json
    assert guarded is (value == {"a": [f"[redacted:{name}]"], f"[redacted:{name}]": 1})
    return on_disk(place, NUMBER)


@attack
def a_key_by_its_shape_is_printed(place: Path, guarded: bool) -> bool:
    start, rest = "ghp_" if guarded else "ghx_", "A1b2" * 9
    found = project(place, f"  leak: {{run: [printf, '%s%s', {start}, {rest}]}}")
    assert found("run", "plan.yaml").code == 0
    return on_disk(place, start + rest)


@attack
def an_output_makes_the_search_for_keys_endless(place: Path, guarded: bool) -> bool:
    """Beginnings of keys that never end; the control searches few of them as one would at first."""
    texts = {
        "-----BEGIN PRIVATE KEY-----": r"-----BEGIN PRIVATE KEY-----[^\"]*?-----END",
        "eyJ": r"eyJ[\w-]{8,}\.eyJ",
    }
    for start, naive in texts.items():
        began = time.process_time()
        if guarded:
            Redactor({}).redact(start * 60_000)
        else:
            re.search(naive, start * 1_000)
        if time.process_time() - began > (1 if guarded else 0.001):
            return True
    return False


@attack
def a_key_stands_in_an_error(place: Path, guarded: bool) -> bool:
    found = project(place, "  a: {run: [echo, x]}")
    found("run", "plan.yaml")
    said = found("show", SECRET, env={"A_TOKEN" if guarded else "A_WORD": SECRET})
    assert said.code == 2
    return SECRET in said.out + said.err


@attack
def a_key_stands_in_the_report_of_a_bug(place: Path, guarded: bool) -> bool:
    with environment(**{"A_TOKEN" if guarded else "A_WORD": SECRET}):
        try:
            raise ValueError(f"cannot log in with {SECRET}")
        except ValueError as failed:
            told = report(failed)
    path = Path(told.next.partition("report it with ")[2].partition(" and ")[0])
    try:
        assert path.stat().st_mode & 0o077 == 0
        return SECRET in path.read_text()
    finally:
        path.unlink()


@attack
def a_command_looks_at_the_environment(place: Path, guarded: bool) -> bool:
    declared = "" if guarded else ", env: [A_WORD]"
    found = project(place, f"  a: {{run: [env]{declared}}}")
    found("run", "plan.yaml", env={"A_WORD": CANARY})
    return CANARY in found("show", "last", "--task", "a", "--output").out


# What may be looked at


LOOK = (
    "import os; print([p for f, d, n in os.walk('.stretto') for p in [f, *(os.path.join(f, x) for x in n)]"
    " if os.stat(p).st_mode & 0o077])"
)


@attack
def everything_is_open_by_default(place: Path, guarded: bool) -> bool:
    """A umask of 000, looked at while the run is under way and after it."""
    with umask(0):
        if not guarded:
            (place / "naive").write_text("x")
            return bool((place / "naive").stat().st_mode & 0o077)
        found = project(
            place,
            "  large: {run: [sh, -c, 'head -c 9000 /dev/zero | tr \"\\\\0\" a; echo x >&2']}",
            f'  look: {{run: ["{sys.executable}", -c, "{LOOK}"], needs: [large]}}',
        )
        assert found("run", "plan.yaml").code == 0
        seen = found("show", "last", "--task", "look", "--output").out
        assert found("show", "last", "--json").code == 0  # writes the outputs as files
        assert len(list((place / ".stretto").rglob("output.txt"))) == 2
    after = [place / ".stretto", *(place / ".stretto").rglob("*")]
    return seen.strip() != "[]" or any(path.stat().st_mode & 0o077 for path in after)


# What others have put there


def refused(answer: Answer) -> bool:
    return answer.code == 2 and "[unsafe-journal]" in answer.err


@attack
def the_journal_s_folder_is_a_link(place: Path, guarded: bool) -> bool:
    root, _ = outside(place)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (root / ".stretto").symlink_to(elsewhere)
    if guarded:
        assert refused(project(root, "  a: {run: [echo, x]}")("run", "plan.yaml"))
    else:
        (root / ".stretto").mkdir(exist_ok=True)
        (root / ".stretto" / "stretto.db").write_text("x")
    return bool(list(elsewhere.iterdir()))


def a_part_is_a_link(place: Path, guarded: bool, name: str) -> bool:
    root, _ = outside(place)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (root / ".stretto").mkdir()
    (root / ".stretto" / name).symlink_to(elsewhere)
    if guarded:
        assert refused(project(root, "  a: {run: [echo, x]}")("run", "plan.yaml"))
    else:
        (root / ".stretto" / name / "x").write_text("x")
    return bool(list(elsewhere.iterdir()))


@attack
def the_folder_of_runs_is_a_link(place: Path, guarded: bool) -> bool:
    return a_part_is_a_link(place, guarded, "runs")


@attack
def the_folder_of_outputs_is_a_link(place: Path, guarded: bool) -> bool:
    return a_part_is_a_link(place, guarded, "blobs")


@attack
def the_database_is_a_link_to_another_project_s(place: Path, guarded: bool) -> bool:
    root, _ = outside(place)
    other = project(place, "  a: {run: [echo, x]}")
    assert other("run", "plan.yaml").code == 0
    (root / ".stretto").mkdir()
    database = root / ".stretto" / "stretto.db"
    database.symlink_to(place / ".stretto" / "stretto.db")
    if guarded:
        assert refused(project(root, "  a: {run: [echo, x]}")("run", "plan.yaml"))
    else:
        with sqlite3.connect(database) as db:
            db.execute("INSERT INTO runs VALUES (9, 'x', 'x', 0, 'failed', 0, 0)")
        db.close()
    return len(other("ls", "--json").json["runs"]) > 1


@attack
def a_run_s_lock_is_a_link(place: Path, guarded: bool) -> bool:
    """Who takes a lock writes a pid over whatever lies there."""
    root, secret = outside(place)
    path = root / "runs" / "r" / "lock"
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    if guarded:
        with pytest.raises(OSError, match="symbolic link"):
            lock.claim(path)
    else:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    return secret.read_text() != CANARY


@attack
def a_command_puts_a_link_where_a_transcript_goes(place: Path, guarded: bool) -> bool:
    root, _ = outside(place)
    plant = f"cd .stretto/runs/*/ && mkdir -p tasks && ln -s {place} tasks/second"
    found = project(
        root,
        f"  first: {{run: [sh, -c, '{plant}']}}",
        "  second: {run: [sh, -c, 'echo said >&2'], after: [first]}",
    )
    assert found("run", "plan.yaml").code == 0
    if not guarded:
        (folder,) = (root / ".stretto" / "runs").glob("*/tasks/second")
        (folder / "transcript.jsonl").write_text("x")
    found("show", "last", "--json")
    return bool(list(place.glob("transcript*")) + list(place.glob("output*")))


@attack
def a_transcript_is_a_link(place: Path, guarded: bool) -> bool:
    _, secret = outside(place)
    path = place / "transcript.jsonl"
    path.symlink_to(secret)
    try:
        handle = open_file(path, os.O_WRONLY | os.O_APPEND) if guarded else os.open(path, os.O_WRONLY)
    except OSError:
        return False
    os.write(handle, b"x")
    os.close(handle)
    return secret.read_text() != CANARY


@attack
def a_journal_comes_with_the_repository(place: Path, guarded: bool) -> bool:
    """Its kept results would be believed, and `resume last` would carry out its plan."""
    found = project(place, "  a: {prompt: Is it safe}")
    assert found.run().code == 0
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    if guarded:
        subprocess.run(["git", "add", "-f", ".stretto"], cwd=place, check=True)
    again = found.run()
    assert guarded is refused(again)
    assert guarded is refused(found("resume", "last"))
    return "used again" in again.out


@attack
def a_journal_belongs_to_somebody_else(place: Path, guarded: bool) -> bool:
    folder = place / ".stretto"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 4711, 4711)
    owner = folder.stat().st_uid
    try:
        refuse_strange(folder, (), owner + 1 if guarded else owner)
    except StrettoError as strange:
        assert strange.slug == "unsafe-journal" and "uid" in render(strange)
        return False
    return True


@attack
def a_large_output_is_changed_on_disk(place: Path, guarded: bool) -> bool:
    found = project(place, "  a: {run: [sh, -c, 'head -c 9000 /dev/zero | tr \"\\\\0\" a']}")
    found("run", "plan.yaml")
    blob = next(path for path in (place / ".stretto" / "blobs").rglob("*") if path.is_file())
    blob.write_text(CANARY)
    if not guarded:
        return CANARY in blob.read_text()
    said = found("show", "last", "--task", "a", "--output")
    assert "[damaged-blob]" in said.err
    return CANARY in said.out


@attack
def a_small_output_is_changed_in_the_database(place: Path, guarded: bool) -> bool:
    found = project(place, "  a: {run: [echo, 'the tests fail']}")
    found("run", "plan.yaml")
    with sqlite3.connect(place / ".stretto" / "stretto.db") as db:
        db.execute("UPDATE blobs SET content = ? WHERE content = ?", (CANARY.encode(), b"the tests fail"))
        assert db.total_changes == 1
        (content,) = db.execute("SELECT content FROM blobs WHERE content = ?", (CANARY.encode(),)).fetchone()
    db.close()
    said = found("show", "last", "--task", "a", "--output")
    assert "[damaged-blob]" in said.err
    return CANARY in said.out if guarded else CANARY.encode() == content


@attack
def a_run_in_the_journal_is_called_like_a_path(place: Path, guarded: bool) -> bool:
    """`gc` removes the folders of runs by their names."""
    root, _ = outside(place)
    found = project(root, "  a: {run: [echo, x]}")
    found("run", "plan.yaml")
    victim, name = place / "victim", "../../../victim"
    victim.mkdir()
    with sqlite3.connect(root / ".stretto" / "stretto.db") as db:
        db.execute("UPDATE runs SET run = ?", (name,))
    db.close()
    if guarded:
        found("gc", "--older", "0s")
        assert "[bad-run-name]" in found("resume", name, "--redo", "a").err
    else:
        shutil.rmtree(root / ".stretto" / "runs" / name)
    return not victim.exists() or bool(list(victim.iterdir()))


@attack
def an_event_in_the_journal_is_another(place: Path, guarded: bool) -> bool:
    """Somebody changes what a task has said by naming another blob; its hash is that of what is read."""
    found = project(place, "  a: {run: [echo, good]}", "  b: {run: [echo, bad]}")
    found("run", "plan.yaml")
    with sqlite3.connect(place / ".stretto" / "stretto.db") as db:
        db.execute("UPDATE events SET body = '[\"a\"' WHERE kind = 'TaskSucceeded'")
        kinds = [row[0] for row in db.execute("SELECT kind FROM events WHERE body = '[\"a\"'")]
    db.close()
    said = found("show", "last")
    assert "[damaged-journal]" in said.err
    return "succeeded" in said.out if guarded else "TaskSucceeded" in kinds


# Worktrees


def worked(place: Path, guarded: bool, change: Callable[[Path], None]) -> Path:
    """A repository in whose worktree a task has changed something before its work is committed.

    It can write files and nothing else. Without the guard the plain commands are run there.
    """
    root = new_repository(place, start__txt="start\n")
    (root / "staged.txt").write_text("the user's own")
    git(root, "add", "staged.txt")
    folder = root / ".stretto" / "worktrees" / "r" / "a"

    async def scenario() -> None:
        repository = await Repository.find(root)
        (root / ".stretto").mkdir()
        await repository.checkout(folder, await repository.head())
        (folder / "new.txt").write_text("new")
        change(folder)
        if guarded:
            with pytest.raises(StrettoError, match="changed by its task"):
                await repository.keep(folder, "work")
            return
        for words in (["add", "--all"], ["commit", "-q", "-m", "work"]):
            subprocess.run(
                ["git", "-c", "user.name=x", "-c", "user.email=x@y", *words], cwd=folder, check=False
            )

    asyncio.run(scenario())
    return root


@attack
def a_worktree_names_settings_that_run_a_program(place: Path, guarded: bool) -> bool:
    """By a `.git` and a `.gitattributes` of its own, which git obeys when the work is committed."""

    def change(folder: Path) -> None:
        fake = folder / "fake"
        for name in ("objects", "refs"):
            (fake / name).mkdir(parents=True)
        (fake / "HEAD").write_text("ref: refs/heads/x\n")
        (fake / "config").write_text(f'[filter "x"]\n\tclean = touch {place}/PWNED; cat\n')
        (folder / ".gitattributes").write_text("*.txt filter=x\n")
        (folder / ".git").write_text(f"gitdir: {fake}\n")

    worked(place, guarded, change)
    return (place / "PWNED").exists()


@attack
def a_worktree_forgets_what_it_is(place: Path, guarded: bool) -> bool:
    """Without its `.git` it is a folder of the user's own checkout, whose index would be committed."""
    root = worked(place, guarded, lambda folder: (folder / ".git").unlink())
    return "staged.txt" in git(root, "ls-tree", "--name-only", "HEAD")


@pytest.mark.parametrize(("attack", "guarded"), attack.rows())
def test_red_team(attack: Attack, guarded: bool, tmp_path: Path) -> None:
    holds(attack, guarded, tmp_path)
