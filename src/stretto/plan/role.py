"""Who does the work: a role's instructions, tools and default model, and its tools in the words of agents."""

from __future__ import annotations

from dataclasses import dataclass

READS = {"Read": "read", "Grep": "search", "Glob": "list", "LS": "list"}
"""Tools of Claude Code that look at files, with their counterparts for agents of an API."""

WRITES = ("Edit", "MultiEdit", "Write", "NotebookEdit")
"""Those that change files; a task has to say `writes` before an agent gets them."""

TRUSTED = ("Bash",)
"""Those that nothing confines: they have the rights of the user."""

STARTS = ("Task", "Agent")
"""Those that start sub-agents."""

NOTHING = ("none",)
"""A list of tools that allows nothing. An empty one says that the role allows what the task does."""

CLAUDE = "claude"
"""The one agent that has these tools by these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as a plan keeps it: what it was when the plan was compiled, whatever becomes of its file."""

    name: str
    instructions: str = ""
    """What the agent is told before the prompt."""
    tools: tuple[str, ...] | None = None
    """Names as Claude Code has them, `Bash(git:*)` too. None: it lists none, and the task decides."""
    model: str = ""
    """A tier, an alias or an id; empty: whatever the task gets without a role."""
    agents: tuple[str, ...] = ()
    """Roles that its sub-agents may have; empty: it starts none."""
    description: str = ""
    source: str = ""
    """The file it was read from; empty for a built-in one, and in a plan."""


def bare(tool: str) -> str:
    """The name of a tool without what it is restricted to: `Bash` of `Bash(git:*)`."""
    return tool.partition("(")[0].strip()


def tools_on(agent: str, role: Role, own: tuple[str, ...]) -> tuple[str, ...]:
    """What a task with these tools of its `own` may use in this role, in the words of its agent.

    Where the task and the role both list some, it is what both have.
    """
    if role.tools is None:
        return own
    if agent.partition(":")[0] != CLAUDE:
        given = tuple(dict.fromkeys(READS[tool] for tool in map(bare, role.tools) if tool in READS))
        return tuple(tool for tool in own if tool in given) if own else given
    kept = role.tools if not own else tuple(tool for tool in role.tools if _is_among(tool, own))
    return kept or NOTHING


def _is_among(tool: str, own: tuple[str, ...]) -> bool:
    return tool in own or bare(tool) in own or READS.get(bare(tool)) in own


def reading(tools: tuple[str, ...]) -> tuple[str, ...]:
    """Those of them, in any agent's words, that only look: all that a judge may use."""
    return tuple(tool for tool in tools if bare(tool) in READS or tool in READS.values())


def missing_on(agent: str, role: Role) -> tuple[str, ...]:
    """Tools that the role lists and that no agent of this sort has."""
    if agent.partition(":")[0] == CLAUDE:
        return ()
    return tuple(dict.fromkeys(tool for tool in map(bare, role.tools or ()) if tool not in READS))
