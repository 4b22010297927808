"""Small jobs under too many hands, and pieces too small to hand out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from stretto.lint.price import Change, Figures
from stretto.lint.scene import Scene, has_items, task_of
from stretto.lint.shares import Share, share_of
from stretto.lint.words import duration, many
from stretto.models.kind import kind_of
from stretto.models.money import usd
from stretto.plan.finding import Finding
from stretto.plan.graph import Element

FEWEST = 4
"""Tasks of a small job that are too many."""

MOST = 12
"""A job of more tasks is not small, whatever its words say."""

LARGEST = 1_000
"""Tasks of a plan; nobody puts more around small jobs, and it takes time to look."""

FOCUS = 0.5
"""The least part of a job's tasks that speak of the same thing."""

SAME = 0.6
"""As much of it, where nothing says by itself that the thing is small."""

DENSE = 0.6
"""How small the tasks must be on average, where not all of them say that they speak of the same thing."""

ONE_THING = 0.75
"""As much of it, where all tasks stand around one thing."""


def errands(shares: Sequence[Share], edges: Sequence[tuple[int, int]] = ()) -> list[list[int]]:
    """The small, coupled jobs that some tasks do together, each as the indices of its tasks.

    Tasks belong together that share a word or a name, that hand something over (`edges`), or that only point
    at what others make.
    """
    jobs = _together(shares, edges)
    fitting = [job for job in jobs if FEWEST <= len(job) <= MOST]
    found = [job for job in fitting if _is_small([shares[index] for index in job])]
    if not found and FEWEST <= len(shares) <= MOST // 2 and _is_small(shares):
        # A short plan is one job, whatever its tasks call the thing.
        found = [list(range(len(shares)))]
    return found


def _together(shares: Sequence[Share], edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    root = list(range(len(shares)))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = index = root[root[index]]
        return index

    by_word: defaultdict[str, list[int]] = defaultdict(list)
    for index, share in enumerate(shares):
        for word in share.about:
            by_word[word].append(index)
    for indices in by_word.values():
        for index in indices[1:] if len(indices) <= MOST else ():
            root[find(index)] = find(indices[0])
    for one, other in edges:
        root[find(other)] = find(one)
    sizes = Counter(map(find, range(len(shares))))
    largest = max(sizes.values(), default=0)
    there = [index for index in range(len(shares)) if sizes[find(index)] == largest]
    if largest == 1:
        # Nothing is spoken of twice: then the one that opens the job stands for it, wherever it was written.
        there = [index for index in there if shares[index].role in ("plan", "study")][:1]
    for index, share in enumerate(shares):
        others = [other for other in there if other != index]
        pointing = share.role in ("join", "part") or (share.role == "verify" and not share.about)
        if sizes[find(index)] == 1 and pointing and others:
            # It points at what others make: at the largest job, of two at the one said just before.
            root[find(index)] = find(min(others, key=lambda other: (other > index, abs(other - index))))
    jobs: defaultdict[int, list[int]] = defaultdict(list)
    for index in range(len(shares)):
        jobs[find(index)].append(index)
    return list(jobs.values())


def _is_small(job: Sequence[Share]) -> bool:
    """Whether most of its tasks only lead, check or collect the others, around one small thing."""
    roles = _roles(job)
    led = 0 < roles["plan"] <= max(2, len(job) // 3)
    parted, joined = roles["part"] >= 2, roles["join"] > 0
    checked = roles["verify"] > 0 or any(share.checks for share in job)
    if (len(job) - roles["do"]) * 2 < len(job) or not (checked or joined) or _fans_out(job):
        return False
    small, focus, dense = _measures(job)
    if sum(share.large for share in job) * 3 > small or focus < FOCUS:
        return False
    found = roles["seek"] > 0 and small > 0
    # One does it, and two look whether it is right: too much only for what is known to be small.
    twice = small >= 2 and roles["verify"] >= 2 and roles["do"] == 1
    if focus >= ONE_THING and (led or found or parted or twice) and checked + joined + parted + twice >= 2:
        # Everything around one thing: that is small unless a word says that it is not.
        return small >= 2 or not any(share.weighty for share in job if share.role not in ("verify", "join"))
    tiny = any(share.small == 2 for share in job)
    if led or parted:
        return dense >= DENSE and (tiny or (led and (parted or focus >= SAME)))
    return dense >= DENSE and tiny and focus >= SAME and found and checked and joined


def _roles(job: Sequence[Share]) -> Counter[str]:
    roles: Counter[str] = Counter(share.role for share in job)
    if studied := roles["study"]:
        # The one that opens the job plans it; the others look at what came out.
        roles["plan" if not roles["plan"] else "verify"] += 1
        roles["verify"] += studied - 1
    return roles


def _measures(job: Sequence[Share]) -> tuple[int, float, float]:
    """How much of it is small, how many of its tasks speak of the same thing, and the first for each task."""
    about = Counter(word for share in job for word in share.about)
    top = max(sorted(about), key=lambda word: about[word], default="")
    # Who is handed something need not say once more what the job is about.
    speaking = sum(1 for share in job if share.about and (top in share.about or not share.points)) or 1
    small = sum(share.small for share in job)
    functions = [count for word, count in about.items() if word.endswith("()")]
    if max(functions, default=0) * 4 >= speaking * 3:
        small += 2
    return small, max(about.values(), default=0) / speaking, small / speaking


def _fans_out(job: Sequence[Share]) -> bool:
    """Three tasks that begin alike do the same to different things."""
    alike = Counter(share.start for share in job if share.role in ("do", "plan", "seek", "study"))
    return max(alike.values(), default=0) >= 3


def over_orchestration(scene: Scene) -> Iterator[Finding]:
    """The rule `over-orchestration`: a small job under planners, part-workers, verifiers and collectors."""
    elements = [element for element in scene.tasks if task_of(element).action == "prompt"]
    if not FEWEST <= len(elements) <= LARGEST:
        return
    number = {element: index for index, element in enumerate(elements)}
    edges = [
        (number[need.target], number[element])
        for element in elements
        for need in element.needs
        # In a bare file needs were read from comments: a stage waits for all of the one before.
        if not scene.bare and need.target in number
    ]
    shares = [share_of(task_of(element).prompt) for element in elements]
    for job in errands(shares, edges):
        if not any(_changes_many(elements[index]) for index in job):
            yield _under_one(scene, [(elements[index], shares[index]) for index in job])


def _changes_many(element: Element) -> bool:
    """Whether it stands for more tasks than a small job has, each of which changes files of its own."""
    task = task_of(element)
    return bool(task.writes or task.isolation) and has_items(element, FEWEST)


_DOES = {
    "plan": "plans",
    "study": "studies",
    "seek": "looks for it",
    "part": "does a part",
    "verify": "checks",
    "join": "collects",
}


def _under_one(scene: Scene, job: list[tuple[Element, Share]]) -> Finding:
    elements = [element for element, _ in job]
    told = [f"`{element.path}` {_DOES[share.role]}" for element, share in job if share.role in _DOES]
    shown = ", ".join(told[:4]) + (", ..." if len(told) > 4 else "")
    doing = [element for element, share in job if share.role in ("do", "part")]
    now, one = _figures(scene, elements, doing or elements[:1])
    nusd = _spared(now.nusd, one.nusd)
    seconds = _spared(now.seconds, one.seconds)
    priced = ""
    if nusd and now.nusd and one.nusd is not None:
        priced = f" for {usd(round(one.nusd))} instead of {usd(round(now.nusd))}"
    if seconds and now.seconds and one.seconds is not None:
        priced += f" in {duration(one.seconds)} instead of {duration(now.seconds)}"
    return scene.finding(
        "over-orchestration",
        "warning",
        elements,
        f"{many(len(job), 'task')} share one small job, and most of them only lead, check or collect "
        f"({shown}); one agent would do it{priced}",
        f"make one task of `{elements[0].path}` to `{elements[-1].path}`: say what has to be right at the "
        "end, and let a `check` test it",
        nusd=nusd,
        seconds=seconds,
    )


def _figures(scene: Scene, job: list[Element], doing: list[Element]) -> tuple[Figures, Figures]:
    """What the job takes now, and what one agent takes that does the work and nothing around it.

    Time is known where the plan is nothing but this job.
    """
    if scene.broken:
        return Figures(None, None), Figures(None, None)
    prices = scene.prices
    nusd = _sum([prices.of(element).nusd for element in job])
    work = _sum([prices.of(element).nusd for element in doing])
    saved = prices.without(Change(merged=doing)).nusd if len(doing) > 1 else 0.0
    alone = None if work is None or saved is None else work - saved
    whole = len(job) == len(scene.tasks)
    seconds = _sum([prices.of(element).seconds for element in doing]) if whole else None
    return Figures(nusd, prices.whole().seconds if whole else None), Figures(alone, seconds)


def _sum(amounts: list[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _spared(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else max(now - then, 0.0)


FINE = 8
"""Tasks of one kind over parts of one thing that are too many."""

_CRUMBS = frozenset(
    """attribute bullet cell character column comma comment entry field footnote heading item key label
    letter line name number option paragraph placeholder price property record row sentence setting
    string tag title token value variable verse word""".split()
)


def too_fine_grained(scene: Scene) -> Iterator[Finding]:
    """The rule `too-fine-grained`: a task for each line, field or sentence."""
    alike: defaultdict[tuple[Element | None, str], list[Element]] = defaultdict(list)
    for element in scene.tasks:
        task = task_of(element)
        if task.action == "prompt" and len(task.prompt) <= 120 and (key := _crumb(task.prompt)):
            alike[element.owner, key].append(element)
    for crumbs in alike.values():
        kinds = [kind_of(task_of(element).prompt).name for element in crumbs[:FINE]]
        if len(crumbs) < FINE or any(kind != "mechanical" for kind in kinds):
            continue
        saved = Figures(None, None) if scene.broken else scene.prices.without(Change(merged=crumbs))
        yield scene.finding(
            "too-fine-grained",
            "info",
            crumbs,
            f"{many(len(crumbs), 'task')} from `{crumbs[0].path}` to `{crumbs[-1].path}` each do the same "
            "small thing to one part of a whole, and every one of them pays for its own start",
            f"give `{crumbs[0].path}` the whole list, and ask for one line of answer for each entry",
            nusd=_spared(saved.nusd, 0.0),
            seconds=_spared(saved.seconds, 0.0),
        )


def _crumb(prompt: str) -> str:
    """The beginning of a prompt up to the small part that it is about: "translate line"."""
    words = prompt.lower().split()
    for index, word in enumerate(words[:6]):
        if word.strip("`'\"") in _CRUMBS and index + 1 < len(words):
            return " ".join(words[: index + 1])
    return ""
