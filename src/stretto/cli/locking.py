"""From an estimate to a lock file, and from a lock file back to the run that was approved."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

import stretto
from stretto.errors import StrettoError
from stretto.estimate import Estimate
from stretto.models import Catalogue
from stretto.models.facts import ladder_of
from stretto.models.prices import CLASSES
from stretto.plan.model import Plan
from stretto.run import Options, models_used, parts_of
from stretto.spec.load import inputs_from
from stretto.spec.lock import SUFFIX, Lock, check_drift, is_lock, read_lock, write_lock
from stretto.spec.sources import hashes_of


def lock_path(args: Namespace) -> Path:
    """Where `--lock` writes: beside the plan, or what was named. Raises `usage`."""
    if is_lock(args.plan):
        raise StrettoError("usage", f"{args.plan} is a lock file", next="name the plan that it was made from")
    path = Path(args.lock) if args.lock else args.plan.with_suffix(SUFFIX)
    if not is_lock(path):
        raise StrettoError(
            "usage", f"{path} would not be known as a lock file", next=f"let its name end in {SUFFIX}"
        )
    return path


def lock_plan(args: Namespace, plan: Plan, options: Options, found: Estimate, root: Path) -> Path:
    """Writes the lock file of a plan that was priced. Raises `usage`, `cannot-write`."""
    path = lock_path(args)
    data = found.data()
    lock = _today(
        plan,
        on=options.on,
        catalogue=options.catalogue,
        folders=(args.plan.absolute().parent, root),
        approved_nusd=approved(found),
        inputs=dict(args.inputs),
        cap_nusd=args.usd,
        parallel=args.parallel,
        seed=args.seed,
        folder=Path(os.path.relpath(args.plan.absolute().parent, path.absolute().parent)).as_posix(),
        # Not the time: how many plays of the scheduler stand behind it depends on the machine.
        estimate={name: data[name] for name in ("usd", "tokens", "sequential_seconds", "worst_case")},
    )
    write_lock(path, lock)
    return path


def with_kept(approved_nusd: int | None, found: Estimate) -> int | None:
    """What a run may be expected to cost before it asks, counted as the run counts: a list that has become
    known is priced as if all of it were done anew, also what kept results will stand for.
    """
    kept = found.covered.nusd
    return None if approved_nusd is None or kept is None else approved_nusd + ceil(kept)


def approved(found: Estimate) -> int | None:
    """What somebody agrees to who saw an estimate: its high end, in nano-dollars."""
    return None if found.nusd is None else ceil(found.nusd.high)


def opened(args: Namespace) -> tuple[Namespace, Lock]:
    """The words of a command about a lock file, with what the lock says filled in."""
    lock = read_lock(args.plan)
    words = {**vars(args), "on": args.on or lock.on, "seed": args.seed or lock.seed}
    words["inputs"] = [*{**lock.inputs, **dict(args.inputs)}.items()]
    words["parallel"] = args.parallel if args.parallel is not None else lock.parallel
    words["usd"] = args.usd if args.usd is not None else lock.cap_nusd
    return Namespace(**words), lock


def unlocked(args: Namespace, root: Path, catalogue: Catalogue) -> tuple[Namespace, Lock]:
    """The words of `run LOCK`, if nothing differs from what was approved. Raises `lock-drift`, `bad-lock`."""
    for name in ("only", "until", "plan_name"):
        if getattr(args, name):
            flag = "--plan" if name == "plan_name" else f"--{name}"
            raise StrettoError(
                "usage", f"{flag} does not go with a lock file: it is run as it is", next=f"leave {flag} out"
            )
    given, lock = opened(args)
    folders = (folder_of(args.plan, lock), root)
    now = _today(
        lock.plan, on=lock.on, catalogue=catalogue, folders=folders, approved_nusd=lock.approved_nusd
    )
    changed: dict[str, tuple[Any, Any]] = {}
    for name, before in (("on", lock.on), ("parallel", lock.parallel), ("seed", lock.seed)):
        after = getattr(given, name)
        if after != before:
            changed[f"--{name}"] = (before, after)
    before_inputs = inputs_from(lock.plan, lock.inputs, root)
    after_inputs = inputs_from(lock.plan, given.inputs, root)
    for name, value in after_inputs.items():
        if value != before_inputs[name]:
            changed[f"input {name}"] = (before_inputs[name], value)
    check_drift(args.plan, lock, now, changed)
    return given, lock


def folder_of(path: Path, lock: Lock) -> Path:
    """Where the functions of a locked plan stand: the folder that its plan's file was in."""
    return Path(os.path.normpath(path.absolute().parent / lock.folder))


def _today(
    plan: Plan,
    *,
    on: str,
    catalogue: Catalogue,
    folders: Iterable[Path],
    approved_nusd: int | None,
    **rest: Any,
) -> Lock:
    models = _models(plan, on, catalogue)
    return Lock(
        plan=plan,
        on=on,
        models=models,
        catalogue={id: _facts(catalogue, id) for id in sorted(set(models.values()))},
        approved_nusd=approved_nusd,
        sources=hashes_of(plan, folders),
        stretto=stretto.__version__,
        **rest,
    )


def _models(plan: Plan, on: str, catalogue: Catalogue) -> dict[str, str]:
    """The ids of the models that the plan asks, of those that a run of it would freeze."""
    frozen = models_used(plan, on, catalogue)
    asked: set[tuple[str, str]] = set()
    for task in parts_of(plan.tasks):
        if task.grow:
            return frozen  # its tasks may ask any
        if task.action == "prompt":
            asked.update((task.agent(on), name) for name in ladder_of(task, catalogue))
        if task.check is not None and task.check.prompt:
            asked.add((task.check.agent(on), task.check.model))
    keys = {f"{agent.partition(':')[0]}/{name}" for agent, name in asked}
    return {key: id for key, id in frozen.items() if key in keys}


def _facts(catalogue: Catalogue, id: str) -> dict[str, Any]:
    """What is known of a model and matters to a run, with its price per million tokens in nano-dollars."""
    model = catalogue.info(id)
    price = catalogue.price_of(id)
    facts: dict[str, Any] = {"tier": model.tier, "context": model.context, "max_output": model.max_output}
    facts["efforts"] = None if model.efforts is None else list(model.efforts)
    if price is None:
        return {**facts, "price": None}
    of = {name: price.of(name) for name in CLASSES}
    for above, long in price.steps:
        of |= {f"{name} above {above} tokens": long.of(name) for name in CLASSES}
    return {**facts, "price": of}
