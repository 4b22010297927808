"""Who carries out the next attempt of a task: agent, model, effort and rung, as declared or as chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from stretto.events import AttemptEnded
from stretto.models.choice import Chooser, Decision, Switch
from stretto.models.facts import Facts, facts_of
from stretto.models.figures import figure
from stretto.models.history import Outcome
from stretto.plan.graph import Element
from stretto.plan.model import Task, canonical
from stretto.scheduler.branches import bases
from stretto.scheduler.invalidate import is_reduce
from stretto.scheduler.policy import JUDGE_TRIES
from stretto.scheduler.state import State
from stretto.scheduler.vertex import CHECKING, SETTLED, Meter, TaskVertex, Vertex, target_of

MODELLESS = ("function", "command", "local")
"""Agents that know no models by name (a local one serves the file it was given): one pool each."""
UNCHOSEN = (*MODELLESS, "openai")
"""Agents for which no model is chosen: a server's own models have no tiers that we know of."""
EVIDENCE = frozenset({"refused", "cut_off", "bad_output", "check_failed", "rejected"})
"""Outcomes that speak against the model that had them; an error or a timeout speaks against the world."""


class Choice(NamedTuple):
    """Who carries out an attempt."""

    agent: str
    model: str
    effort: str
    rung: int
    role: str
    why: str
    expected_nusd: int | None = None
    """What the attempt is expected to cost; None where nothing is known, 0 where nobody sends a bill."""
    guess: bool = False
    """What is expected is neither declared nor learned: it may make a task wait, but stops nothing."""
    decision: Decision | None = None
    """The record of the choice; None where there was nothing to choose."""


class Choices:
    """The choices of one run. The first of a task is shared by all items of its template while nothing new
    is known; a later one keeps to the rung that was recorded when the climb was decided.
    """

    def __init__(
        self,
        state: State,
        chooser: Chooser,
        free: Callable[[str], bool],
        others: Mapping[str, Chooser] | None = None,
    ):
        self.chooser = chooser
        self.others = others or {}
        """Choosers for tasks on another sort of agent than the run's."""
        self.learns = True
        """False where a run is only played through: nothing that chance decides is kept or learned from."""
        self._state = state
        self._free = cache(free)
        self._digests: dict[str, str] = {}
        self._facts: dict[Element, Facts] = {}
        self._known: dict[tuple[Element, int, tuple[int, ...], str], tuple[int, Choice]] = {}

    def of(self, vertex: TaskVertex, role: str) -> Choice:
        """The choice for an attempt of this role."""
        if role == "mend":
            return self._mender(vertex)
        key = (vertex.element, vertex.rung, vertex.failed_rungs, role)
        version, found = self._known.get(key, (-1, None))
        if found is not None and found.decision is None and found.expected_nusd is None:
            return found
        now = self.chooser_of(vertex).version
        met = vertex.rung < 0 and role == "work" and self._met(vertex)
        if found is not None and version == now and not met:
            return found
        found = self._choose(vertex, role)
        if not met:
            self._known[key] = (now, found)
        return found

    def share(self, other: Choices) -> None:
        """Looks up and remembers where another does: for plays of one plan in which nothing is learned."""
        self._facts, self._known = other._facts, other._known

    def pool_of(self, vertex: TaskVertex, role: str) -> tuple[str, str]:
        """Agent and model alone; where the model is fixed, without asking what it is expected to cost."""
        if role == "work" and _is_fixed(vertex.task):
            agent = vertex.task.agent(self._on)
            return agent, self._id(agent, vertex.task.model)
        choice = self.of(vertex, role)
        return choice.agent, choice.model

    def also(self, vertex: TaskVertex, choice: Choice) -> list[Choice]:
        """The other rungs whose kept result would do as well: whoever gave it, it was accepted."""
        if choice.decision is None or choice.role != "work":
            return []
        ladder = enumerate(self.facts(vertex).ladder)
        models = [(rung, self._id(choice.agent, name)) for rung, name in ladder]
        return [choice._replace(rung=rung, model=model) for rung, model in models if model != choice.model]

    def climb(self, vertex: TaskVertex) -> int | None:
        """The rung to try after the last one failed; None where the task may not climb."""
        task = vertex.task
        if (task.check is None and not task.climb_to) or kind_of_agent(task.agent(self._on)) in UNCHOSEN:
            return None
        facts = self.facts(vertex)
        if len(facts.ladder) < 2:
            return None
        decision = self.chooser_of(vertex).decide(facts, (*vertex.failed_rungs, vertex.rung))
        return None if decision is None else decision.rung

    def audits(self, vertex: TaskVertex) -> bool:
        """Whether the result that has just passed its check is judged once more."""
        task = vertex.task
        chooser = self.chooser_of(vertex)
        if not chooser.shadow or kind_of_agent(task.agent(self._on)) in UNCHOSEN or not task.prompt:
            return False
        facts = self.facts(vertex)
        decision = self.of(vertex, "work").decision or chooser.decide(facts, vertex.failed_rungs)
        if decision is None or vertex.meter is None:
            return False
        # The sample goes by the task and not by its template, the model is the one that really did it.
        done = decision._replace(model=vertex.meter.model)
        return chooser.audits(facts._replace(path=vertex.id), done, vertex.rung)

    def learn(self, outcome: Outcome) -> Switch | None:
        """Tells whoever chooses for such agents; tells when that switches a tier off (or on)."""
        return self.others.get(sort_of(outcome.agent), self.chooser).learn(outcome)

    def chooser_of(self, vertex: TaskVertex) -> Chooser:
        """Who chooses for a task, by the sort of agent that carries it out."""
        return (
            self.others.get(sort_of(vertex.task.agent(self._on)), self.chooser)
            if self.others
            else self.chooser
        )

    def facts(self, vertex: TaskVertex) -> Facts:
        """What is known of a task; with the signature of this very item where history has met it."""
        facts = self._facts.get(vertex.element)
        if facts is None:
            plan, catalogue = self._state.plan, self.chooser.catalogue
            facts = facts_of(vertex.element, plan.name, self._on, catalogue, self._inputs_of_run, plan.roles)
            self._facts[vertex.element] = facts
        return facts._replace(signature=self.signature_of(vertex)) if self._met(vertex) else facts

    def signature_of(self, vertex: TaskVertex) -> str:
        """The same for the same words about the same item and inputs, whoever answers, in any run."""
        items = vertex.scope.items()
        if vertex.owner.grown and is_reduce(vertex.owner):
            items = {**items, "": vertex.scope.item}
        return signature(vertex.task.prompt, items, self._inputs(vertex))

    def _inputs(self, vertex: TaskVertex) -> list[str]:
        """What the task and the groups around it were given, by hash."""
        found: list[str] = []
        here: Vertex | None = vertex
        while here is not None and here.element is not None:
            for need in here.element.needs:
                target = self._state.vertices.get(target_of(need, here.scope)) if need.used else None
                if target is not None:
                    found.append(self._digest(target))
            here = here.owner
        return found

    def _digest(self, vertex: Vertex) -> str:
        if isinstance(vertex, TaskVertex):
            return vertex.output
        digest = self._digests.get(vertex.id)
        if digest is None:
            outputs = "".join(self._digest(member) for member in vertex.members)
            digest = hashlib.blake2b(outputs.encode(), digest_size=12).hexdigest()
            if vertex.state >= SETTLED:
                self._digests[vertex.id] = digest
        return digest

    def outcome(self, vertex: TaskVertex, meter: Meter, role: str, *, ok: bool, verified: bool) -> Outcome:
        """What later choices learn from an attempt."""
        facts = self.facts(vertex)
        work = vertex.meter if role == "shadow" and vertex.meter is not None else meter
        tokens = meter.tokens
        return Outcome(
            signature=self.signature_of(vertex),
            family=facts.family,
            kind=facts.kind.name,
            model=work.model,
            tier=self.chooser.catalogue.info(work.model).tier,
            effort=work.effort,
            role=role,
            ok=ok,
            verified=verified,
            cost_nusd=meter.cost_nusd,
            seconds=meter.seconds,
            calls=meter.calls,
            input_tokens=tokens.get("input", 0),
            cache_read_tokens=tokens.get("cache_read", 0),
            cache_write_tokens=tokens.get("cache_write_5m", 0) + tokens.get("cache_write_1h", 0),
            output_tokens=tokens.get("output", 0),
            agent=kind_of_agent(facts.agent),
            size=facts.input_tokens,
        )

    # One choice

    @property
    def _inputs_of_run(self) -> Mapping[str, Any]:
        started = self._state.started
        assert started is not None
        return started.inputs

    @property
    def _on(self) -> str:
        started = self._state.started
        assert started is not None
        return started.on

    def _met(self, vertex: TaskVertex) -> bool:
        """Whether this very task was tried before, where that can change its model."""
        if _is_fixed(vertex.task):
            return False
        chooser = self.chooser_of(vertex)
        return chooser.version > 0 and chooser.knows(self.signature_of(vertex))

    def _choose(self, vertex: TaskVertex, role: str) -> Choice:
        task, check = vertex.task, vertex.task.check
        if role == "check":
            assert check is not None
            agent = check.agent(self._on)
            if task.isolation and kind_of_agent(doer := task.agent(self._on)) == "simulated":
                agent = doer  # what was never made cannot be looked at
            why = "declared" if check.model != "auto" else "default"
            model = self._id(agent, check.model)
            rung, nusd = max(0, vertex.rung), self._judge_nusd(vertex, agent, model)
            return Choice(agent, model, task.effort, rung, role, why, nusd, guess=True)
        agent = task.agent(self._on)
        if role == "shadow":
            ladder = self.facts(vertex).ladder
            name = ladder[-1] if len(ladder) > 1 else self.chooser.catalogue.auto_tiers[-1]
            return Choice(agent, self._id(agent, name), "", max(0, vertex.rung), role, "a random sample")
        if kind_of_agent(agent) in UNCHOSEN or not task.prompt:
            why = "declared" if task.model != "auto" else "default"
            return Choice(agent, self._id(agent, task.model), task.effort, 0, role, why)
        return self._work(vertex, task, agent)

    def _work(self, vertex: TaskVertex, task: Task, agent: str) -> Choice:
        fixed = _is_fixed(task)
        if fixed and (not self._counts_money() or self._free(agent)):
            return Choice(agent, self._id(agent, task.model), task.effort, 0, "work", "declared")
        facts = self.facts(vertex)
        decision = self.chooser_of(vertex).decide(facts, vertex.failed_rungs)
        rung, effort = max(0, vertex.rung), task.effort
        expected: int | None = None
        why = "declared" if fixed else "climbed"
        if decision is not None and (vertex.rung < 0 or decision.rung == vertex.rung):
            rung, effort, expected = decision.rung, decision.effort, decision.expected_nusd
            if not fixed and not vertex.failed_rungs:
                why = decision.reasons[0] if decision.reasons else "chosen"
        if self._free(agent):
            expected = 0
        model = self._id(agent, facts.ladder[min(rung, len(facts.ladder) - 1)])
        guess = decision is None or decision.expected_from == "prior"
        return Choice(agent, model, effort, rung, "work", why, expected, guess, None if fixed else decision)

    def _mender(self, vertex: TaskVertex) -> Choice:
        """Who resolves what collides: a tier above the strongest of the tasks whose work it is."""
        catalogue, rung = self.chooser.catalogue, max(0, vertex.rung)
        order = catalogue.tiers
        strongest, doer = -1, vertex
        for other in (vertex, *bases(self._state, vertex)):
            tier = catalogue.info(other.meter.model).tier if other.meter is not None else ""
            place = order.index(tier) if tier in order else -1
            if other.task.prompt and (place > strongest or not doer.task.prompt):
                strongest, doer = place, other
        agent, why = doer.task.agent(self._on), "the branches it starts from collide"
        if kind_of_agent(agent) in UNCHOSEN:
            return Choice(agent, self._id(agent, doer.task.model), "", rung, "mend", why)
        # As for all choices, what is above the last of `auto` has to be asked for.
        top = order.index(catalogue.auto_tiers[-1])
        place = top if strongest < 0 else max(strongest, min(strongest + 1, top))
        model = self._id(agent, order[place])
        nusd = self._verdict_nusd(vertex, agent, model)
        return Choice(agent, model, "", rung, "mend", why, nusd, guess=True)

    def _judge_nusd(self, vertex: TaskVertex, agent: str, model: str) -> int | None:
        """What a judge is expected to cost; None where nothing asks for it."""
        check = vertex.task.check
        return self._verdict_nusd(vertex, agent, model) if check is not None and check.prompt else None

    def _verdict_nusd(self, vertex: TaskVertex, agent: str, model: str) -> int | None:
        if not self._counts_money() or self._free(agent):
            return None
        chooser = self.chooser_of(vertex)
        info = chooser.catalogue.info(model)
        nusd = figure(self.facts(vertex), info, chooser.catalogue, chooser.history, role="check").nusd
        return None if nusd is None else int(nusd)

    def _counts_money(self) -> bool:
        """Whether anything is held against what attempts are expected to cost."""
        state = self._state
        return state.ledger.cap_nusd is not None or state.approved_nusd is not None

    def _id(self, agent: str, name: str) -> str:
        """The model id that the run has frozen for a name."""
        kind = kind_of_agent(agent)
        started = self._state.started
        assert started is not None
        return "" if kind in MODELLESS else started.models.get(f"{kind}/{name}", name)


def _is_fixed(task: Task) -> bool:
    """The author has named the model."""
    return task.model != "auto" and not task.climb_to


def next_role(vertex: TaskVertex) -> str:
    """What the next attempt of a task is for."""
    if vertex.state != CHECKING:
        return "mend" if vertex.conflict else "work"
    return "shadow" if vertex.passed else "check"


def kind_of_agent(agent: str) -> str:
    """`openai` of `openai:http://...`."""
    return agent.partition(":")[0]


def sort_of(agent: str) -> str:
    """Agents that ask the same models learn from each other: Claude is Claude, a pretender is none."""
    kind = kind_of_agent(agent)
    return "claude" if kind in ("messages", "claude") else kind


def signature(prompt: str, items: dict[str, Any], inputs: Sequence[str] = ()) -> str:
    """By the words of a prompt, what stands for its item by name, and the hashes of what it was given."""
    text = canonical([prompt, items, list(inputs)] if inputs else [prompt, items])
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def learned(
    choices: Choices,
    vertex: TaskVertex,
    ended: AttemptEnded,
    role: str,
    meter: Meter | None,
    *,
    audited: bool,
    final: bool,
) -> list[Outcome]:
    """What an ended attempt teaches; of a task with a check only once all of its judges have spoken.

    An end for want of money (class `run`, or final) says nothing about the model, nor one before any call.
    """
    if meter is None or not vertex.task.prompt or not choices.learns or role == "mend":
        return []
    said_no = ended.outcome in EVIDENCE
    if said_no and (final or ended.cls == "run" or (ended.outcome == "cut_off" and not meter.calls)):
        return []
    found: list[Outcome] = []
    if role != "work" and meter.model and (said_no or ended.outcome == "ok"):
        found.append(choices.outcome(vertex, meter, role, ok=not said_no, verified=True))
    work = vertex.meter
    if work is None:
        return found
    checked = vertex.task.check is not None
    if role == "work":
        settled = ended.outcome == "ok" and not checked
    else:
        unanswered = role == "shadow" and vertex.judged >= JUDGE_TRIES
        settled = unanswered or (ended.outcome == "ok" and not audited)
    if said_no or settled:
        found.append(choices.outcome(vertex, work, "work", ok=not said_no, verified=checked))
    return found
