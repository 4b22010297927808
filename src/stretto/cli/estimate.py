"""The verb `estimate`: what a plan will cost and how long it will take, before anything is spent."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from stretto.cli.forecast import estimate_lines, headline
from stretto.cli.locking import folder_of, lock_path, lock_plan, opened
from stretto.cli.project import (
    DEFAULT_AGENT,
    catalogue_of,
    check_agent,
    journal_of,
    plan_folder,
    plan_of,
    root_of,
)
from stretto.cli.sample import Sample, sample
from stretto.errors import EXIT_OK
from stretto.estimate import Estimate
from stretto.estimate.against import with_comparisons
from stretto.live.words import many, plain, usd
from stretto.plan.graph import build
from stretto.plan.model import Plan
from stretto.report import dollars
from stretto.run import NO_CAP, Options
from stretto.run.before import forecast
from stretto.spec.load import inputs_from
from stretto.spec.lock import is_lock
from stretto.spec.roles import read_roles


def estimate(args: Namespace) -> int:
    """Prints what a plan will cost; 0 also above the cap. After --sample the code is that of its run."""
    root = root_of(args)
    catalogue = catalogue_of(root)
    folder = args.plan.absolute().parent
    if args.lock is not None:
        lock_path(args)  # a wrong name is said before anything is sampled
    if is_lock(args.plan):
        args, lock = opened(args)
        plan, folder = lock.plan, folder_of(args.plan, lock)
    else:
        plan = plan_of(args.plan, args.plan_name, args.on or DEFAULT_AGENT, catalogue, read_roles(root))
    on = args.on or DEFAULT_AGENT
    check_agent(on, root)
    options = Options(
        on=on,
        inputs=inputs_from(plan, args.inputs, root),
        cap_nusd=args.usd,
        parallel=args.parallel,
        seed=args.seed,
        folder=plan_folder(folder, root),
        catalogue=catalogue,
        signals=True,
    )
    with journal_of(args) as journal:
        found = before = forecast(plan, options, journal, root)
        taken = None
        if args.sample is not None:
            taken = sample(args, plan, options, journal, root)
            found = forecast(plan, options, journal, root)
    path = lock_plan(args, plan, options, found, root) if args.lock is not None else None
    _print(args, plan, options, found, before if taken else None, taken, path)
    return taken.outcome.code if taken is not None else EXIT_OK


def _print(
    args: Namespace,
    plan: Plan,
    options: Options,
    found: Estimate,
    before: Estimate | None,
    taken: Sample | None,
    path: Path | None,
) -> None:
    cap = cap_of_words(plan, options)
    if args.json:
        data = with_comparisons(found)
        data["usd_cap"] = dollars(cap)
        data["above_cap"] = _is_above(found, cap)
        if before is not None and taken is not None:
            was = before.data()
            data["before"] = {name: was[name] for name in ("usd", "seconds", "tokens")}
            data["sample"] = taken.data()
        if path is not None:
            data["lock"] = str(path)
        print(json.dumps(data))
        return
    lines = []
    if before is not None and taken is not None:
        parts = many(len(taken.cut.items), "fan-out")
        lines = [f"before    {headline(before)}", f"now       {headline(found)}, with {parts} sampled", ""]
    lines += estimate_lines(build(plan), found, cap)
    print(plain("\n".join(lines)))
    if path is not None:
        high = "nothing, because its cost is unknown" if found.nusd is None else usd(round(found.nusd.high))
        print(plain(f"locked in {path}, approved up to {high}; to run exactly this: stretto run {path}"))
        sys.stdout.flush()


def cap_of_words(plan: Plan, options: Options) -> int | None:
    """The cap that a run would have, by its flag or its plan; None where nothing sets one."""
    if options.cap_nusd == NO_CAP:
        return None
    return options.cap_nusd if options.cap_nusd is not None else plan.limits.usd_nusd


def _is_above(found: Estimate, cap_nusd: int | None) -> bool | None:
    """Whether the run may stop at its cap; None where that is not known."""
    if cap_nusd is None:
        return None
    if found.nusd is None:
        return True if found.nusd_at_least > cap_nusd else None
    return found.nusd.high > cap_nusd
