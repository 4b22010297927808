"""The verb `roles`: who a task can be given to, and where that is written."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stretto.cli.findings import finding_data, finding_lines
from stretto.cli.project import root_of
from stretto.errors import EXIT_OK
from stretto.live.words import line, plain
from stretto.plan.role import Role
from stretto.spec.roles import Roles, read_roles

SCHEMA = "stretto/roles/1"
WIDE = 98
TOOLS = 30
"""Columns of the tools; the whole list is in --json."""


def roles(args: Namespace) -> int:
    """Prints the roles of this project; what is to be said of their files goes to stderr."""
    root = root_of(args)
    found = read_roles(root)
    if args.json:
        print(json.dumps(roles_data(found)))
    else:
        print(plain("\n".join(roles_lines(found, root))))
        for note in found.notes:
            print(plain("\n".join(finding_lines(note))), file=sys.stderr)
    return EXIT_OK


def roles_data(found: Roles) -> dict[str, Any]:
    """The roles as JSON; `tools` is null where a role lists none."""
    return {
        "schema": SCHEMA,
        "roles": [_data(role) for role in _sorted(found)],
        "findings": [finding_data(note) for note in found.notes],
    }


def _data(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "source": role.source or None,
        "model": role.model or None,
        "tools": None if role.tools is None else list(role.tools),
        "agents": list(role.agents),
        "description": role.description,
        "instructions_chars": len(role.instructions),
    }


def _sorted(found: Roles) -> list[Role]:
    """Built-in ones first, then by their names."""
    return sorted(found.all.values(), key=lambda role: (bool(role.source), role.name.casefold(), role.name))


def roles_lines(found: Roles, root: Path) -> Iterator[str]:
    """A line for each role, and below it the beginning of its description."""
    for role in _sorted(found):
        tools = "as the task says" if role.tools is None else ", ".join(role.tools) or "none"
        facts = [line(role.model) or "any model", f"tools: {line(tools, TOOLS)}", _place(role, root)]
        yield f"{line(role.name)}  ({'; '.join(facts)})"
        if said := line(role.description.replace("\\n", "\n").strip().partition("\n")[0], WIDE - 4):
            yield f"    {said}"


def _place(role: Role, root: Path) -> str:
    if not role.source:
        return "built in"
    path = Path(role.source)
    return line(str(path.relative_to(root) if path.is_relative_to(root) else path))
