"""The fields of the plan format as data: what may stand where, of which type, and what it means.

The compiler refuses what is not here (and says what was meant), and the JSON Schema for editors is generated
from the same tables, so the two cannot drift apart. A key that starts with `x-` is free everywhere.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from stretto.plan.model import MAX_TOKENS

Type = Literal[
    "version",  # the number 1
    "text",  # a string that is not empty
    "word",  # one of `choices`
    "id",  # [a-z][a-z0-9_-]{0,63}
    "flag",  # true or false
    "whole",  # an integer, at least `least`
    "time",  # 30m, 90s, 1h30m, 500ms, or a number of seconds
    "money",  # 5.00 or "$5", in US dollars
    "cap",  # money, or none
    "argv",  # a list of strings, never a shell line
    "function",  # module:function
    "list",  # a literal list, or one reference to a list
    "reference",  # one reference
    "needs",  # a list of ids; a dot leads into a group
    "paths",  # a list of paths or globs inside the root
    "names",  # a list of strings
    "roles",  # a list of names of roles
    "growth",  # plan, or a table of `grow`
    "tools",  # a list of `choices`
    "share",  # a count, or a percentage such as 5%
    "quorum",  # a count, or {count, then: cancel}
    "agent",  # an agent by name, with an argument after a colon
    "model",  # a model, or {from, to}
    "output",  # text, lines, json, a short form or a JSON Schema
    "check",  # argv, module:function, or a table of `check`
    "slots",  # a mapping of an agent, or agent/model, to a count
    "reasons",  # a mapping from the slug of a finding to why it stands
    "mapping",  # any mapping with strings as keys
    "any",  # any value
    "table",  # a mapping with the keys of the table `of`
    "tables",  # a mapping from a name to a table `of`
    "parts",  # a mapping from an id to a task or a group
]


class Field(NamedTuple):
    """One key: the type of its value and one line on what it is for."""

    type: Type
    says: str
    of: str = ""
    """For `table` and `tables`: the name of the table of its keys."""
    choices: tuple[str, ...] = ()
    least: int = 0
    """For `whole`; for `time` 1 says that it must be more than 0."""
    default: Any = None
    """What holds where the key is left out; for people and editors, the compiler has its own."""


Table = dict[str, Field]

ALIASES = {"agent": "role", "subagent_type": "role"}
"""Other words for a key of a task, as Claude Code and the documents write it."""

AGENTS = ("claude", "messages", "openai", "local", "command", "function", "simulated")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
TOOLS = ("read", "search", "list")

ACCEPT = Field("reasons", "Findings that are known and left so: the slug, and why.")

PLAN: Table = {
    "stretto": Field("version", "Version of the plan format; always 1."),
    "name": Field("text", "What the plan is called; by default the name of its file."),
    "inputs": Field("tables", "Values asked for at launch: --in name=value.", of="input"),
    "limits": Field("table", "Bounds of the whole run.", of="limits"),
    "tasks": Field("parts", "Tasks and groups by id."),
    "baselines": Field("tables", "Declared figures of other ways to do the same.", of="baseline"),
    "accept": ACCEPT,
}

EACH: Table = {
    "each": Field("list", "One copy per entry of a list; inside, ${item} is the entry."),
    "as": Field("id", "The name of the entry inside an each.", default="item"),
    "max": Field("whole", "More entries than this are an error.", least=1, default=100),
}

QUORUM: Table = {
    "tolerate": Field("share", "How many members may fail: a count, or a percentage.", default=0),
    "min_ok": Field("quorum", "How many members must succeed; {count: k, then: cancel} stops the rest."),
}

ORDER: Table = {
    "needs": Field("needs", "Must succeed before; their outputs are handed over."),
    "after": Field("needs", "Must succeed before; nothing is handed over."),
    "optional": Field("flag", "A failure does not fail the run; its reference is then null.", default=False),
    "expect": Field("table", "Declared figures, printed as declared.", of="expect"),
    "accept": ACCEPT,
}

TASK: Table = {
    "prompt": Field("text", "What a model is asked; ${task} stands for that task's output."),
    "run": Field("argv", "A command as a list of arguments; never a shell line."),
    "call": Field("function", "A Python function, as module:function."),
    "reduce": Field("reference", "Merges a list by a tree of calls until one value is left."),
    "fan_in": Field("whole", "How many values one call of a reduce merges.", least=2, default=20),
    "args": Field("mapping", "Arguments of `call` by name: values or ${references}."),
    **EACH,
    **QUORUM,
    **ORDER,
    "model": Field("model", "A tier, a model's id, auto, or {from: haiku, to: opus}.", default="auto"),
    "effort": Field("word", "How hard the model is told to think.", choices=EFFORTS),
    "family": Field("text", "Tasks of one family learn from each other which model does."),
    "on": Field("agent", "The agent that carries it out.", choices=AGENTS),
    "role": Field("text", "Who does it: the name of a role."),
    "tools": Field("tools", "Read-only tools the model may use.", choices=TOOLS),
    "output": Field("output", "What it returns: text, lines, json, a short form or a JSON Schema."),
    "check": Field("check", "The verifier: a command, module:function, or a judging prompt.", of="check"),
    "attempts": Field("whole", "How often it is tried.", least=1, default=3),
    "timeout": Field("time", "The longest one attempt may take.", least=1),
    "idle": Field("time", "The longest one attempt may be silent.", least=1),
    "max_tokens": Field("whole", "The most tokens of one answer.", least=1, default=MAX_TOKENS),
    "min_tokens": Field("whole", "How far max_tokens may be shrunk when the money runs out.", least=1),
    "turns": Field("whole", "The most model calls of one attempt that uses tools.", least=1, default=20),
    "usd": Field("cap", "The most that each instance of this task may spend, in dollars."),
    "reads": Field("paths", "Files it reads: paths or globs inside the root."),
    "writes": Field("paths", "Files it writes: paths or globs inside the root."),
    "env": Field("names", "Environment variables that a command may see."),
    "isolation": Field("word", "Where it works: a git worktree of its own.", choices=("worktree",)),
    "reuse": Field(
        "word", "Whether a kept result may stand for a new run.", choices=("always", "run", "never")
    ),
    "pure": Field("flag", "A command or function without effects: its result may be kept.", default=False),
    "grow": Field("growth", "The output is a plan, and its tasks join the run.", of="grow"),
}

GIVEN = (
    *("model", "effort", "family", "on", "role", "tools", "check", "attempts", "timeout", "idle"),
    *("max_tokens", "min_tokens", "turns", "usd", "reads", "writes", "isolation", "reuse"),
)
"""What an author may give to every task of a planner's plan (`grow: {...}`)."""

GROUP: Table = {
    "tasks": Field("parts", "The members by id."),
    "order": Field(
        "word",
        "serial: each member needs the one before.",
        choices=("parallel", "serial"),
        default="parallel",
    ),
    **EACH,
    **QUORUM,
    **ORDER,
    "usd": Field("cap", "The most that all inside may spend together, in dollars."),
    "merge": Field("table", "How the members' worktrees come together.", of="merge"),
}

LIMITS: Table = {
    "usd": Field("cap", "The most the run may spend, in dollars; none: no cap."),
    "time": Field("time", "The longest the run may take.", least=1),
    "parallel": Field("whole", "How many tasks run side by side.", least=1, default=8),
    "slots": Field("slots", "How many of one agent, or agent/model, run side by side.", choices=AGENTS),
    "soft": Field("flag", "Allows agents whose spending can only be measured afterwards.", default=False),
}

CHECK: Table = {
    "prompt": Field("text", "What the judge is asked."),
    "run": Field("argv", "A command that succeeds when the output is good."),
    "call": Field("function", "A Python function that says whether the output is good."),
    "model": Field("model", "The judge's model.", default="auto"),
    "on": Field("agent", "The judge's agent.", choices=AGENTS),
}

STRONGEST: Table = {
    "usd": Field("money", "Dollars on the strongest model."),
    "time": Field("time", "Time on the strongest model."),
}

EXPECT: Table = {
    "usd": Field("money", "Dollars; on a group: in total."),
    "time": Field("time", "Time; on a group: of one member."),
    "tokens": Field("whole", "Tokens."),
    "strongest": Field("table", "The same on the strongest model.", of="strongest"),
}

BASELINE: Table = {
    "usd": Field("money", "Dollars of the other way."),
    "time": Field("time", "Time of the other way."),
}

INPUT_TYPES = ("string", "path", "int", "number", "bool", "list", "json")

INPUT: Table = {
    "type": Field("word", "The type of the value.", choices=INPUT_TYPES, default="string"),
    "default": Field("any", "What holds where --in does not give it; without one it is required."),
    "required": Field("flag", "true: it must be given, whatever the default.", default=False),
}

MODEL: Table = {
    "from": Field("text", "The first model tried."),
    "to": Field("text", "The strongest model it may climb to."),
}

MIN_OK: Table = {
    "count": Field("whole", "How many must succeed.", least=1),
    "then": Field("word", "cancel: the rest is stopped.", choices=("cancel",)),
}

GROW: Table = {
    "max": Field("whole", "The most tasks that the plan may have.", least=1, default=100),
    "roles": Field("roles", "Roles that its tasks may name, beside those that can only read."),
    **{key: TASK[key] for key in GIVEN},
}

MERGE: Table = {
    "check": Field("argv", "A command that must succeed on the merged work."),
}

TABLES: dict[str, Table] = {
    "plan": PLAN,
    "task": TASK,
    "group": GROUP,
    "limits": LIMITS,
    "check": CHECK,
    "expect": EXPECT,
    "strongest": STRONGEST,
    "baseline": BASELINE,
    "input": INPUT,
    "model": MODEL,
    "min_ok": MIN_OK,
    "merge": MERGE,
    "grow": GROW,
}

SAFE_TASK = frozenset({"prompt", "role", *ALIASES, "model", "needs", "after", "output", "grow"})
"""What a task may have that a planner wrote (`grow: plan`): nothing that runs, spends or reaches out."""

SAFE_GROUP = frozenset({"tasks", "order", "needs", "after"})
