"""A plan as its critic sees it: the tasks with their order, their facts and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from stretto.errors import StrettoError
from stretto.lint.ordering import Ordering
from stretto.lint.price import Prices
from stretto.models.choice import Chooser
from stretto.models.facts import Facts, facts_of
from stretto.plan.finding import Finding, Mend, Severity
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Each, Plan, Task


class Scene:
    """Everything that a rule may ask; what costs time to know is worked out when it is first asked for."""

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        *,
        bare: bool,
        on: str,
        chooser: Chooser,
        free: Callable[[str], bool],
        inputs: Mapping[str, Any],
    ):
        self.plan = plan
        self.graph = graph
        self.bare = bare
        """It was read from `Task(...)` calls that were never meant to be a whole plan."""
        self.on = on
        self.chooser = chooser
        self.catalogue = chooser.catalogue
        self.free = free
        self.inputs = inputs
        self.tasks = [element for element in graph.elements.values() if isinstance(element.part, Task)]
        self._facts: dict[Element, Facts] = {}

    @cached_property
    def ordering(self) -> Ordering:
        return Ordering(self.graph)

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.plan, self.graph, self.on, self.chooser, self.free, self.inputs)

    @cached_property
    def broken(self) -> bool:
        """Needs lead nowhere or round in a circle: what comes before what is not known."""
        return bool(self.graph.problems)

    def facts(self, element: Element) -> Facts:
        found = self._facts.get(element)
        if found is None:
            found = self._facts[element] = facts_of(
                element, self.plan.name, self.on, self.catalogue, self.inputs, self.plan.roles
            )
        return found

    def tier_of(self, element: Element) -> str:
        """The tier of the model that a task names; empty where it names none that has one."""
        task = task_of(element)
        try:
            return self.catalogue.resolve(task.model, task.agent(self.on)).tier
        except StrettoError:
            return ""

    def paid(self, element: Element) -> bool:
        """Whether a model is asked that costs money."""
        task = task_of(element)
        return task.action == "prompt" and not self.free(task.agent(self.on))

    def has(self, element: Element, key: str) -> bool:
        """Whether the author wrote this key on the part itself."""
        return key in self.plan.written.get(element.path, ())

    def at(self, element: Element) -> str:
        return self.plan.places.get(element.path) or element.path

    def finding(
        self,
        slug: str,
        severity: Severity,
        elements: list[Element],
        message: str,
        fix: str,
        *,
        nusd: float | None = None,
        seconds: float | None = None,
        mends: tuple[Mend, ...] = (),
    ) -> Finding:
        """A finding at the first of these elements; none means the plan as a whole."""
        at = self.at(elements[0]) if elements else next(iter(self.plan.places.values()), "")
        tasks = tuple(element.path for element in elements)
        return Finding(slug, severity, message, at, fix, tasks, nusd, seconds, mends)


def task_of(element: Element) -> Task:
    """The task of an element that is known to be one."""
    task = element.part
    assert isinstance(task, Task)
    return task


def around(element: Element | None) -> list[Element]:
    """The element and the groups it stands in, from the inside out."""
    found = []
    while element is not None:
        found.append(element)
        element = element.owner
    return found


def eaches_around(element: Element) -> list[Each]:
    """The lists that it is one task for each entry of, from the inside out."""
    return [above.part.each for above in around(element) if above.part.each is not None]


def has_items(element: Element, least: int) -> bool:
    """Whether one of these lists may have so many entries."""
    return any(
        each.max >= least and (isinstance(each.over, str) or len(each.over) >= least)
        for each in eaches_around(element)
    )
