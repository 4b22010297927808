"""Who gets what from whom: the goods of all tasks of a plan held against their wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

from stretto.lint.acts import root
from stretto.lint.commands import words_of
from stretto.lint.fits import SURE, fit, kin
from stretto.lint.makes import CALLED, NOTHING, Good, Trade, Want, trade_of
from stretto.lint.nouns import WEAK, sense
from stretto.lint.phrases import KNOWN, Mention
from stretto.lint.reading import declared_of, reading_of
from stretto.lint.scene import Scene, task_of
from stretto.lint.shelf import Shelf
from stretto.lint.sketch import sketch_of
from stretto.lint.stages import Place, dangling, place_of
from stretto.lint.ties import MOST, Ties
from stretto.lint.vague import lack_of
from stretto.plan.graph import Element

_CONTAINERS = frozenset(
    sense(root(word)) for word in "data detail feature figure functionality information list number".split()
)
"""What holds the thing that it is named after: the spend data, the gift card feature."""
_CHANGED: frozenset[str] = frozenset(("alter", "join"))
_FOUND: frozenset[str] = frozenset(("get", "judge", "decide", "make", "tell"))
_DONE_BY_ANY: dict[str, frozenset[str]] = {
    **dict.fromkeys(map(root, ("clean", "correct", "edit", "prepare", "process", "revise")), _CHANGED),
    **dict.fromkeys(map(root, ("collect", "detect", "find", "flag", "identify", "name", "note")), _FOUND),
}
"""What is said to have been done without saying it exactly: whoever harmonised the codes has cleaned them."""
_BUILD = root("build")
"""There is one build of a plan, whatever the program that makes it is called."""
_STUFF = frozenset(map(root, "data dataset entry figure file list page record row sheet table text".split()))
"""Heads that may be anything that was changed."""
_IT = Want("", NOTHING, NOTHING, NOTHING, NOTHING, (), "read", "", Mention("", "", NOTHING, ""))
_FEW = 8
"""Tasks of a plan in which the only one that nothing ties to the others is worth a guess."""
READ_MOST = 2_000
"""Prompts that a person may have written; of a plan with more only the declared files are looked at."""
_CROWD = 40
"""More goods under one head noun are looked at only where another word fits too."""
_MOST = 50_000
"""Goods that are looked at for one plan; then it is a list of like tasks, in which nobody means one."""
LIKELY = 0.8
"""Odds from which the texts alone say that a task uses what another makes."""
UNLIKELY = 0.05
"""Odds below which the things that two tasks speak of are not believed to be one."""

Offers = dict[Element, tuple[int, Good]]
"""Who could fill a want, how surely, and with what."""


class Source(NamedTuple):
    """Where a task gets something from, and what says so."""

    element: Element
    score: int
    kind: Literal["made", "got", "altered", "said", "file", "stage", "likely"]
    said: str
    """The thing in the words of the task that uses it: "collected questions", "data/raw.csv"."""


Sources = dict[Element, dict[Element, Source]]


class Market:
    """The goods and wants of all tasks with a prompt, and what follows from them."""

    def __init__(self, scene: Scene, *, ordered: bool = True) -> None:
        self._order = scene.ordering
        self._ordered = ordered
        """Whether what the plan orders counts: then it fills wants, and nothing comes from later."""
        prompted = [element for element in scene.tasks if task_of(element).prompt]
        self.elements = prompted if len(prompted) <= READ_MOST else []
        """The tasks whose words are read, in the order of the plan."""
        few = bool(self.elements) or not prompted
        self._place = {element: number for number, element in enumerate(self.elements)}
        self.readings = {e: reading_of(task_of(e)) if few else declared_of(task_of(e)) for e in scene.tasks}
        self.trades: dict[Element, Trade] = {e: trade_of(self.readings[e]) for e in self.elements}
        self._by_head: dict[str, list[tuple[Element, Good]]] = {}
        self._by_verb: dict[str, set[Element]] = {}
        self._by_command: dict[str, list[tuple[Element, frozenset[str]]]] = {}
        self._by_mark: dict[str, dict[str, list[tuple[Element, Good]]]] = {}
        self._left = _MOST
        for element, trade in self.trades.items():
            for clause in self.readings[element].clauses:
                if clause.verb:
                    self._by_verb.setdefault(kin(clause.verb), set()).add(element)
            for good in trade.goods:
                self._by_head.setdefault(good.head, []).append((element, good))
        for element in scene.tasks if few else ():
            words = words_of(task_of(element).run)
            for verb in words:
                self._by_command.setdefault(kin(verb), []).append((element, words))

    @cached_property
    def sources(self) -> Sources:
        """Of each task the tasks that it uses something of, directly."""
        asked, ties = self._asked()
        found: Sources = {element: {} for element in self.readings}
        for user, wants in asked.items():
            for want, offers in wants:
                for maker, (score, good) in self._chosen(user, want, offers, ties):
                    source = Source(maker, score, good.kind, want.mention.said)
                    self._keep(found, user, source)
        for taken in Shelf(self.readings).taken():
            if self._may_come(taken.maker, taken.user):
                self._keep(found, taken.user, Source(taken.maker, 9, "file", taken.path))
        self._one_way(found)
        self._complete(found)
        self._weigh(found)
        return found

    @cached_property
    def places(self) -> dict[Element, Place]:
        return {element: place_of(self.readings[element], self.trades[element]) for element in self.elements}

    @cached_property
    def ties(self) -> Ties:
        """How likely the tasks whose words are read need each other, by their places in `elements`."""
        few = self.elements if len(self.elements) <= MOST else []
        return Ties([sketch_of(task_of(e).prompt, self.readings[e], self.trades[e]) for e in few])

    def may_use(self, user: Element, maker: Element) -> bool:
        """Whether anything at all says that a task uses what another makes."""
        ours, theirs = self.trades[user], self.trades[maker]
        heads: dict[str, list[Good]] = {}
        for good in theirs.goods:
            heads.setdefault(good.head, []).append(good)
        return any(
            fit(want, ours, good, theirs) > 1 for want in ours.wants for good in heads.get(want.head, ())
        )

    # Who could fill a want

    def _asked(self) -> tuple[dict[Element, list[tuple[Want, Offers]]], dict[Element, set[Element]]]:
        """The wants with those who could fill them, and which tasks are surely tied to which."""
        asked = {user: list(self._offers(user)) for user in self.elements}
        ties: dict[Element, set[Element]] = {element: set() for element in self.readings}
        ties |= {
            user: {maker for _, offers in wants for maker, (score, _) in offers.items() if score >= SURE}
            for user, wants in asked.items()
        }
        for user in self.elements:
            done = list(self._done(user, ties))
            known = [want for want, _ in done]
            asked[user] = [*((want, offers) for want, offers in asked[user] if want not in known), *done]
            ties[user] |= {maker for _, offers in done for maker in offers}
        for user, wants in asked.items():
            asked[user] = [
                (want, kept) for want, offers in wants if (kept := self._kept(user, want, offers, ties))
            ]
        return asked, ties

    def _kept(self, user: Element, want: Want, offers: Offers, ties: dict[Element, set[Element]]) -> Offers:
        """The offers without mere hints, where nothing else speaks for these."""
        if want.mention.number > 2 and want.mention.number == len(offers):
            return offers  # "All three sets of notes."
        return {m: o for m, o in offers.items() if o[0] >= SURE or self._alone(user, m, ties)}

    def _offers(self, user: Element) -> Iterator[tuple[Want, Offers]]:
        for want in self.trades[user].wants:
            offers = self._best(user, want, self._goods(want))
            if not offers and want.head in _CONTAINERS:
                for mark in want.marks - WEAK:
                    inner = want._replace(head=sense(mark), marks=want.marks - {mark})
                    held = [(m, good) for m, good in self._goods(inner) if good.kind in ("made", "got")]
                    offers |= self._best(user, inner, held)
            if offers:
                yield want, offers

    def _goods(self, want: Want) -> list[tuple[Element, Good]]:
        """The goods under the head of a want; of a crowd, those that share the rarest of its other words."""
        goods = self._by_head.get(want.head, [])
        if want.head.endswith(("er", "or")):
            # Limiting makes a limiter.
            goods = [*goods, *self._by_head.get(root(want.head[:-2]), ())]
        if len(goods) > _CROWD:
            if want.marks:
                marked = self._by_mark.get(want.head)
                if marked is None:
                    marked = self._by_mark[want.head] = {}
                    for maker, good in goods:
                        for mark in good.marks:
                            marked.setdefault(mark, []).append((maker, good))
                goods = min((marked.get(mark, []) for mark in want.marks), key=len)
            elif not want.mention.many:
                return []
        self._left -= len(goods)
        return goods if self._left > 0 else []

    def _best(self, user: Element, want: Want, goods: Iterable[tuple[Element, Good]]) -> Offers:
        """The best good of each maker, where it is at least a hint."""
        ours = self.trades[user]
        offers: Offers = {}
        for maker, good in goods:
            if maker is not user:
                score = fit(want, ours, good, self.trades[maker])
                if score >= SURE - 1 and (maker not in offers or offers[maker][0] < score):
                    offers[maker] = score, good
        return offers

    def _done(self, user: Element, ties: dict[Element, set[Element]]) -> Iterator[tuple[Want, Offers]]:
        """Wants that only say what was done: "as agreed", "the restored database", "the risks identified"."""
        other = self._other(user)
        if other is not None:
            yield _IT, {other: (SURE, _thing_of(self.trades[other]))}
        for want in self.trades[user].wants:
            mention = want.mention
            known = mention.article in KNOWN or not mention.head
            if not mention.done or not known or (want.act == "get" and mention.head):
                continue
            makers = self._who(mention.done) - {user}
            if not makers and mention.head:
                yield from self._run(want)
            near = {m for m in makers if not mention.head or self._has_to_do(m, want, ties)}
            last = near - set().union(*(ties[m] for m in near)) if len(near) > 1 else near
            if len(makers) > 1 and (mention.done not in _DONE_BY_ANY or len(self.elements) > _FEW):
                continue
            if len(last) == 1 and not last <= ties[user]:
                (maker,) = last
                yield want, {maker: (SURE, _thing_of(self.trades[maker]))}

    def _run(self, want: Want) -> Iterator[tuple[Want, Offers]]:
        """The one command that does what was done to a thing: "the built image" comes of `make image`."""
        done, mention = kin(want.mention.done), want.mention
        makers = [m for m, words in self._by_command.get(done, ()) if done == _BUILD or mention.head in words]
        if len(makers) == 1:
            good = Good(want.head, NOTHING, "made", "make", mention.done, mention.said)
            yield want, {makers[0]: (SURE, good)}

    def _other(self, user: Element) -> Element | None:
        """The one other task, where this one begins with "it": "cut them to 80 words"."""
        clauses = self.readings[user].clauses
        first = next((clause for clause in clauses if clause.act), None)
        if len(self.elements) != 2 or first is None or not first.pronoun:
            return None
        return next(element for element in self.elements if element is not user)

    def _who(self, done: str) -> set[Element]:
        """Who does what was done: who cleans, or, for words that many verbs end in, who changes or finds."""
        acts = _DONE_BY_ANY.get(done)
        if acts is None or self._by_verb.get(kin(done)):
            return set(self._by_verb.get(kin(done), ()))
        return {e for e in self.elements if any(c.act in acts for c in self.readings[e].clauses)}

    def _has_to_do(self, maker: Element, want: Want, ties: dict[Element, set[Element]]) -> bool:
        """Whether the head of the want is among the words of a task, or of those it uses something of."""
        words = set(self.trades[maker].words).union(*(self.trades[other].words for other in ties[maker]))
        head = want.mention.head
        if head in _STUFF and want.mention.done in _DONE_BY_ANY and len(self.elements) <= _FEW // 2:
            return True
        alike = len(head) > 3 and any(word[:4] == head[:4] for word in words)  # who calls is a caller
        return want.head in words or alike or bool(want.marks & self.trades[maker].words)

    def _alone(self, user: Element, maker: Element, ties: dict[Element, set[Element]]) -> bool:
        """Whether the user is the only task that nothing ties to the others, so that a hint will do."""
        if len(self.elements) > _FEW or ties[user] or any(user in makers for makers in ties.values()):
            return False
        tied, more = {maker}, {maker}
        while more:
            more = {
                e
                for e in self.elements
                if e not in tied and (ties[e] & tied or any(e in ties[t] for t in tied))
            }
            tied |= more
        return len(tied) == len(self.elements) - 1

    # Which of them is meant

    def _may_come(self, maker: Element, user: Element) -> bool:
        return not self._ordered or not self._order.before(user, maker)

    def _chosen(
        self, user: Element, want: Want, offers: Offers, ties: dict[Element, set[Element]]
    ) -> list[tuple[Element, tuple[int, Good]]]:
        """The makers that are meant: the latest version of what is wanted, and all of several only where the
        words are of several."""
        offers = {maker: offer for maker, offer in offers.items() if self._may_come(maker, user)}
        behind = [ties[other] - {other} for other in offers if user not in ties[other]]
        superseded = offers.keys() & set().union(*behind)
        last = {maker: offer for maker, offer in offers.items() if maker not in superseded} or offers
        if self._ordered and any(self._order.before(maker, user) for maker in last):
            return []
        top = max((score for score, _ in last.values()), default=0)
        best = [(maker, offer) for maker, offer in last.items() if offer[0] == top]
        mention = want.mention
        if len(best) > 1 and not mention.many and not _is_one_file([good for _, (_, good) in best]):
            return []
        if len(best) == 1 and mention.many and best[0][1][1].fresh and not best[0][1][1].many:
            return []  # "A contract" is not "the contracts".
        if mention.number > 1 and mention.number != len(best) and not (len(best) == 1 and best[0][1][1].many):
            return []
        return best

    def _keep(self, found: Sources, user: Element, source: Source) -> None:
        before = found[user].get(source.element)
        if before is None or before.score < source.score:
            found[user][source.element] = source

    def _one_way(self, found: Sources) -> None:
        """Of two tasks that seem to use each other, the surer use stands."""
        for user, sources in found.items():
            for maker in list(sources):
                back = found[maker].get(user)
                if back is not None and back.score >= sources[maker].score:
                    if back.score == sources[maker].score:
                        del found[maker][user]
                    del sources[maker]

    def _complete(self, found: Sources) -> None:
        """Adds the tasks that only name a stage of work: in a plan so small that one can be meant."""
        if len(self.elements) > _CROWD:
            return
        makers = {user: set(sources) for user, sources in found.items()}
        for user, maker in dangling(self.places, self.trades, makers):
            if not self._ordered or not self._order.waits(user):
                self._keep(found, user, Source(maker, SURE, "stage", self.places[user].stage))

    # What both texts say as a whole

    def _weigh(self, found: Sources) -> None:
        """Drops what is most unlikely by all that two texts show, and adds what is most likely."""
        if not 2 <= len(self.elements) <= MOST:
            return
        for user, sources in found.items():
            for maker, source in list(sources.items()):
                odds = self.odds(user, maker)
                if source.kind != "file" and odds is not None and odds < UNLIKELY:
                    del sources[maker]
        for user, maker in self._likely([e for e in self.elements if not found[e]]):
            if user not in found[maker] and not _leads(found, user, maker):
                self._keep(found, user, Source(maker, 1, "likely", ""))

    def _likely(self, users: Iterable[Element]) -> list[tuple[Element, Element]]:
        """Those of the users that wait for nothing, with a maker above them, the likeliest first."""
        pairs: list[tuple[float, int, int]] = []
        for user in users:
            if self._order.waits(user):
                continue  # What it points to is handed over already.
            mine, vague = self._place[user], lack_of(task_of(user).prompt) is not None
            for theirs, maker in enumerate(self.elements[:mine]):
                odds = self.ties.odds(mine, theirs)
                if (
                    odds >= LIKELY
                    and self._may_come(maker, user)
                    and self.ties.evident(mine, theirs, vague=vague)
                ):
                    pairs.append((-odds, mine, theirs))
        return [(self.elements[mine], self.elements[theirs]) for _, mine, theirs in sorted(pairs)]

    def odds(self, user: Element, maker: Element) -> float | None:
        """How likely a task uses what another makes, by all that the two texts show; None of long plans."""
        if user not in self._place or maker not in self._place or len(self.elements) > MOST:
            return None
        mine, theirs = self._place[user], self._place[maker]
        return self.ties.odds(mine, theirs, moved=theirs > mine)


def _leads(found: Sources, user: Element, maker: Element) -> bool:
    """Whether a task uses something of the maker already, directly or by others."""
    open_, seen = [user], {user}
    while open_:
        for other in found[open_.pop()]:
            if other is maker:
                return True
            if other not in seen:
                seen.add(other)
                open_.append(other)
    return False


def _is_one_file(goods: list[Good]) -> bool:
    """Whether these are one file that several tasks write."""
    return goods[0].verb == CALLED and len({good.said for good in goods}) == 1


def _thing_of(trade: Trade) -> Good:
    """What a task works on, for want of the thing itself."""
    nothing = Good("", frozenset(), "altered", "", "", "")
    return next((good for good in trade.goods if good.kind != "said"), nothing)


_MARKETS: WeakKeyDictionary[Scene, Market] = WeakKeyDictionary()


def market_of(scene: Scene) -> Market:
    """The market of a plan, set up once for all rules."""
    market = _MARKETS.get(scene)
    if market is None:
        market = _MARKETS[scene] = Market(scene)
    return market
