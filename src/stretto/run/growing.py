"""Makes what is known at run time only: the items of a list, the calls of a reduction, a planner's tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.lint import Rule, context, findings_in, model, order, size, vague
from stretto.lint.scene import Scene
from stretto.models import Catalogue
from stretto.models.choice import Chooser
from stretto.plan.finding import Finding
from stretto.plan.graph import Element, build
from stretto.plan.model import Group, Growth, Output, Part, Plan, Task, to_data
from stretto.plan.references import only_ref
from stretto.run.outputs import Made
from stretto.run.prepare import fill
from stretto.run.values import Values, as_list
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.vertex import GroupVertex, TaskVertex, Vertex
from stretto.spec.casting import in_role
from stretto.spec.compile import compile_plan
from stretto.spec.planner import MAX_GROW_DEPTH, issued, models_for, schema_for
from stretto.spec.raw import wrap
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles

SOURCE = "the planner's answer"
MAX_PLAN_BYTES = 1_000_000
"""Of a planner's whole answer."""
MAX_PROMPT_CHARS = 50_000
"""Of one task in it."""
TOLD = 5
"""How many faults of a plan its planner is told at once, and how many hints are kept of one that is taken."""
FAULT_CHARS = 240

MENDABLE: tuple[Rule, ...] = (
    model.oversized,
    model.undersized,
    vague.vague_prompts,
    size.too_fine_grained,
    order.missing_needs,
    order.sequential_bottlenecks,
    context.floods_gatherer,
)
"""Rules of the critic about what a planner writes itself; caps, timeouts and checks are its author's."""


class Terms(NamedTuple):
    """What the plan of one planner may be: its author's words, and where it will stand."""

    planner: Task
    on: str
    """The agent of prompts that name none."""
    depth: int
    taken: frozenset[str]
    """Names that mean something else there: inputs of the plan, items of lists."""
    catalogue: Catalogue
    roles: Roles = BUILTIN_ROLES
    """Those that its tasks may name: what the plan has kept of them."""

    @property
    def allowed(self) -> Roles:
        """Roles that its tasks may name: those that its author named to it, and whatever can only read."""
        words = (*self.growth.roles, self.given.role, self.planner.role)
        named = (role for word in words if (role := self.roles.find(word)) is not None)
        return self.roles.only({role.name: role for role in (*named, *self.roles.safe())}.values())

    @property
    def growth(self) -> Growth:
        return self.planner.growth or Growth()

    @property
    def given(self) -> Task:
        """What each task gets."""
        return self.growth.task or Task(id="")


class Planned(NamedTuple):
    """A planner's answer as it was read: its tasks, or why it is refused."""

    parts: tuple[Part, ...]
    faults: list[str]
    plan: Plan | None = None


def read_plan(answer: Any, terms: Terms) -> Planned:
    """The tasks that an answer means under its terms, or everything that is wrong with it."""
    raw = wrap({"stretto": 1, "name": "grown", **issued(answer, terms.taken)}, SOURCE)
    on = terms.given.on or terms.on
    plan, findings = compile_plan(
        raw,
        source=SOURCE,
        safe=True,
        max_tasks=terms.growth.max,
        on=on,
        catalogue=terms.catalogue,
        roles=terms.allowed,
    )
    faults = [finding for finding in findings if finding.severity == "error"]
    faults += _faults(plan.tasks, terms) if plan is not None else ()
    if plan is None or faults:
        return Planned((), [_told(fault) for fault in faults])
    parts = tuple(_given(part, terms) for part in plan.tasks)
    return Planned(parts, [], replace(plan, tasks=parts))


def _told(finding: Finding) -> str:
    """A finding as one line for a prompt, a report, a screen: it may quote anything that a planner wrote."""
    fix = f" ({finding.fix})" if finding.fix else ""
    text = "".join(letter if letter.isprintable() else "?" for letter in f"{finding.message}{fix}"[:10_000])
    return f"{text if len(text) <= FAULT_CHARS else f'{text[:FAULT_CHARS]}...'} [{finding.slug}]"


def _tasks_in(parts: tuple[Part, ...]) -> Iterator[Task]:
    for part in parts:
        if isinstance(part, Group):
            yield from _tasks_in(part.tasks)
        else:
            yield part


def _faults(parts: tuple[Part, ...], terms: Terms) -> Iterator[Finding]:
    """What no author of a plan is refused, and a planner is: other people's models, too long a prompt."""
    models = models_for(terms.planner, terms.catalogue)
    for task in _tasks_in(parts):
        if len(task.prompt) > MAX_PROMPT_CHARS:
            much = f"{len(task.prompt):,} characters; at most {MAX_PROMPT_CHARS:,} are allowed"
            yield _fault("planned-too-large", f"the prompt of {task.id!r} has {much}")
        for word in filter(None, (task.model, task.climb_to)):
            if _word_for(word, models, terms.catalogue) is None:
                named = f"{task.id!r} asks for the model {word[:40]!r}"
                yield _fault("planned-model", f"{named}; allowed here: {', '.join(models)}")
        if task.output is not None and not task.grow and _has_pattern(task.output.schema):
            yield _fault(
                "unsafe-key", f"the output of {task.id!r} has a `pattern`, which a planner may not write"
            )
        if task.grow and terms.depth >= MAX_GROW_DEPTH:
            deep = f"plans are {MAX_GROW_DEPTH} levels deep here already"
            yield _fault("grown-too-deep", f"{task.id!r} cannot be a planner: {deep}")


def _has_pattern(schema: Any) -> bool:
    """Whether a schema has a regular expression in it: one can take for ever on somebody else's answer."""
    match schema:
        case dict():
            own = isinstance(schema.get("pattern"), str) or "patternProperties" in schema
            return own or any(map(_has_pattern, schema.values()))
        case list():
            return any(map(_has_pattern, schema))
        case _:
            return False


def _fault(slug: str, message: str) -> Finding:
    return Finding(slug, "error", message, SOURCE)


def _word_for(word: str, models: list[str], catalogue: Catalogue) -> str | None:
    """The allowed word that means the same model."""
    wanted = word.strip().lower()
    same = (name for name in models if name.lower() == wanted)
    alike = (name for name in models if name != "auto" and catalogue.info(name).id == catalogue.info(word).id)
    return next(same, None) or next(alike, None)


def _given(part: Part, terms: Terms) -> Part:
    """A planned part with what its author gives to each."""
    if isinstance(part, Group):
        return replace(part, tasks=tuple(_given(member, terms) for member in part.tasks))
    given = terms.planner if part.grow and terms.planner.prompt else terms.given
    models = models_for(terms.planner, terms.catalogue)
    own = {name: _word_for(getattr(part, name), models, terms.catalogue) for name in ("model", "climb_to")}
    named = {name: word or "" for name, word in own.items()} if part.model != "auto" else {}
    words = {"prompt": part.prompt, "needs": part.needs, "after": part.after, "output": part.output}
    role = terms.roles.find(part.role or given.role)
    who = role.name if role is not None else ""
    made = replace(given, id=part.id, role=who, **words, **named)  # type: ignore[arg-type]
    made = in_role(made, terms.roles.all, terms.on, models)
    if part.grow:
        made = replace(made, grow=True, growth=terms.planner.growth, usd_cap_nusd=None)
        schema = schema_for(made.growth, models_for(made, terms.catalogue), terms.allowed.all)
        made.output = Output(kind="json", schema=schema)
    return made


class Growing:
    """Answers the scheduler when the members of a group can be made, and judges planners' plans."""

    def __init__(self, scheduler: Scheduler, values: Values, free: Callable[[str], bool]):
        self._scheduler = scheduler
        self._state = scheduler.state
        self._values = values
        self._free = free

    @property
    def _chooser(self) -> Chooser:
        return self._scheduler.choices.chooser

    def grow(self) -> None:
        """Makes the members of every group whose turn it is; what cannot be made fails its group."""
        while (group := self._scheduler.next_growing()) is not None:
            try:
                self._grow_one(group)
            except StrettoError as failed:
                self._scheduler.cannot_grow(group, failed.what)
            except Exception as failed:
                self._scheduler.cannot_grow(group, f"{type(failed).__name__}: {failed}")

    def _grow_one(self, group: GroupVertex) -> None:
        element = group.element
        assert element is not None
        part = element.part
        if isinstance(part, Group) and part.each is None:
            self._grow_plan(group)
            return
        cause = self._cause(group)
        if part.each is None:
            assert isinstance(part, Task)
            ref = only_ref(part.reduce)
            assert ref is not None
            # Counted, not read: the outputs of 10,000 items are loaded by the calls that merge them.
            self._scheduler.grew(group, cause, [len(self._values.entries(group, ref))])
            return
        over = part.each.over
        items = as_list(fill(over, self._values.lookup(group)), over)
        if len(items) > part.each.max:
            raise StrettoError(
                "too-many-items", f"{over} gave {len(items):,} items; `max` is {part.each.max:,}"
            )
        self._scheduler.grew(group, cause, items)

    def _cause(self, group: GroupVertex) -> str:
        assert group.element is not None
        for need in group.element.needs:
            target = self._values.target(need, group)
            if isinstance(target, TaskVertex):
                return f"{target.id}#{target.n}"
        return ""

    # Planners

    def judged(self, vertex: TaskVertex, made: Made) -> Made:
        """What a planner returned, or why it is sent back."""
        if made.outcome == "bad_output":
            return made._replace(outcome="rejected")  # no JSON is no plan either
        if len(made.data) > MAX_PLAN_BYTES:
            size = f"{len(made.data):,} bytes; at most {MAX_PLAN_BYTES:,} are read"
            return Made(
                b"", "", "rejected", _told(_fault("planned-too-large", f"the plan it wrote has {size}"))
            )
        faults = read_plan(json.loads(made.data), self._terms(vertex)).faults
        if not faults:
            return made
        more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        return Made(b"", "", "rejected", f"the plan it wrote cannot run: {'; '.join(faults[:TOLD])}{more}")

    def _grow_plan(self, group: GroupVertex) -> None:
        planner = self._state.vertices[group.id.rpartition(".")[0] + ".plan"]
        assert isinstance(planner, TaskVertex)
        terms = self._terms(planner)
        planned = read_plan(json.loads(self._values.text(planner)), terms)
        if planned.plan is None:
            # It was taken when it came; a newer Stretto, or other settings, may see it otherwise.
            why = f"the plan of {planner.id} cannot run any more: {planned.faults[0]}"
            raise StrettoError("planned-refused", why)
        cause = f"{planner.id}#{planner.n}"
        tasks = [to_data(part) for part in planned.parts]
        hints = self._hints(planned.plan, terms)
        self._scheduler.grew_plan(group, cause, terms.depth, tasks, hints)
        paid = any(not self._free(task.agent(terms.on)) for task in _tasks_in(planned.parts))
        if paid and self._state.approved_nusd is None:
            note = f"{group.id}: {planner.id} has planned tasks that cost money, and nothing was approved"
            self._scheduler.pause("approval", note=note)

    def _terms(self, planner: TaskVertex) -> Terms:
        started, plan = self._state.started, self._state.plan
        assert started is not None
        around = list(_around(planner.element))
        items = {element.part.each.name for element in around if element.part.each is not None}
        return Terms(
            planner.task,
            started.on,
            depth_of(planner),
            frozenset({*plan.inputs, *items}),
            self._chooser.catalogue,
            Roles((), plan.roles),
        )

    def _hints(self, plan: Plan, terms: Terms) -> list[str]:
        """What the critic says of a plan that may run; none of it keeps it from running."""
        agent = terms.given.on or terms.on
        scene = Scene(
            plan, build(plan), bare=False, on=agent, chooser=self._chooser, free=self._free, inputs={}
        )
        found = [_told(f) for f in findings_in(scene, MENDABLE) if f.severity == "warning"]
        return found[:TOLD]


def depth_of(planner: Vertex) -> int:
    """1 for a planner of the plan's author, one more for each planner whose plan it stands in."""
    depth, owner = 1, planner.owner
    while owner is not None:
        depth += owner.grown and owner.inner is not None
        owner = owner.owner
    return depth


def _around(element: Element | None) -> Iterator[Element]:
    while element is not None:
        yield element
        element = element.owner
