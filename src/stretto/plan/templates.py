"""What a task is given, and which of it all items of a template have in common."""

from __future__ import annotations

from stretto.plan.graph import Element, Need
from stretto.plan.model import Group, Task
from stretto.plan.references import Ref, split


def template_of(element: Element) -> Element | None:
    """The nearest part, itself or around it, that is done once per entry: an `each` or a reduction.

    What a planner wrote for one item is nobody else's, so it belongs to no template outside of its plan.
    """
    here: Element | None = element
    while here is not None:
        part = here.part
        if part.each is not None or (isinstance(part, Task) and part.reduce):
            return here
        if isinstance(part, Group) and not part.tasks:
            return None
        here = here.owner
    return None


def handed_needs(element: Element) -> list[Need]:
    """What is handed over to a task: its own needs, and those of the groups around it whose entry it is."""
    found = [need for need in element.needs if need.handed]
    here = element
    while here.owner is not None and not any(need.base is here.owner for need in here.needs):
        here = here.owner
        found += [need for need in here.needs if need.handed]
    return found


def is_shared(need: Need, template: Element | None) -> bool:
    """Whether a need means the same vertex for all items of a template; never where there is none."""
    if template is None:
        return False
    here = need.base
    while here is not None:
        if here is template:
            return False
        here = here.owner
    return True


def shared_pieces(text: str, element: Element, template: Element) -> int:
    """How many pieces of a text (see `references.split`) come before the first that differs by item."""
    if "${" not in text:
        return 1
    each = template.part.each
    item = each.name if each is not None else ""
    pieces = split(text)
    for number, piece in enumerate(pieces):
        if isinstance(piece, Ref) and (piece.name == item or _differs(piece, element, template)):
            return number
    return len(pieces)


def _differs(ref: Ref, element: Element, template: Element) -> bool:
    words = (ref.name, *ref.path)
    meant = [need for need in element.needs if words[: need.tail.count(".") + 1] == (*need.tail.split("."),)]
    return any(not is_shared(need, template) for need in meant)
