"""The goal's own words, cut out of it again for prompts, and ids made of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Sequence

from stretto.draft.words import singular
from stretto.models.clauses import EMPTY, LEAD, NAMED, STOP
from stretto.models.words import Word

ID_CHARACTERS = 32
_WORDS = re.compile(r"[a-z0-9]+")


def spoken(text: str, words: Sequence[Word]) -> tuple[int, int] | None:
    """Where these words of the reader stand in the text, from the first letter to behind the last."""
    if not words:
        return None
    parts = [
        r".{1,300}?" if word.text == NAMED else re.escape(word.text).replace("'", "['’]") for word in words
    ]
    found = re.search(r"[^\w]{0,8}?".join(parts), text, re.IGNORECASE | re.DOTALL)
    return found.span() if found else None


def sentence(text: str) -> str:
    """The words as a sentence: a capital in front, a full stop behind, on one line."""
    flat = " ".join(text.split()).strip(" ,;:-–—")
    flat = re.sub(r"^(?:and|then|but|so|or|also)\s+(?=\w)", "", flat, flags=re.IGNORECASE)
    if not flat:
        return ""
    end = "" if flat[-1] in ".!?\"'”)" else "."
    return f"{flat[0].upper()}{flat[1:]}{end}"


def safe(text: str) -> str:
    """The text as a literal in a prompt: no reference begins in it, and nothing that a plan may not have."""
    clean = "".join(letter if letter in "\n\t" or _is_text(letter) else " " for letter in text)
    return clean.replace("${", "$${")


def _is_text(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cs", "Cn", "Co") and letter not in "\u2028\u2029\ufeff"


def id_of(text: str, taken: Container[str], otherwise: str = "part") -> str:
    """An id made of the first words that say something, unlike all that are taken."""
    flat = unicodedata.normalize("NFKD", text.replace("$${", "")).encode("ascii", "ignore").decode().lower()
    words = _WORDS.findall(flat.replace("'", ""))
    telling = [word for word in words if word not in STOP and word not in EMPTY and word not in LEAD] or words
    made = ""
    for word in telling[:4]:
        longer = f"{made}-{word}" if made else word[:ID_CHARACTERS]
        if len(longer) > ID_CHARACTERS:
            break
        made = longer
    made = made.strip("-")
    if not made[:1].isalpha():
        made = f"{otherwise}-{made}" if made else otherwise
    chosen, number = made, 2
    while chosen in taken:
        chosen, number = f"{made}-{number}", number + 1
    return chosen


def one_of(noun: str, otherwise: str = "item") -> str:
    """The name of one entry of a list of these: an id."""
    name = id_of(singular(noun), (), otherwise) if noun else otherwise
    return name.rpartition("-")[2] if not name.rpartition("-")[2].isdigit() else otherwise


def narrowed(text: str, names: Sequence[str], one: str, noun: str = "") -> str:
    """The text with one name where several stood in a row; unchanged where they do not stand in it."""
    first, last = (r"\W+".join(map(re.escape, name.split())) for name in (names[0], names[-1]))
    behind = rf"(?:\W+{re.escape(noun)})?" if noun else ""
    found = re.search(rf"\b{first}\b.{{0,2000}}?\b{last}(?!\w){behind}", text, re.DOTALL | re.IGNORECASE)
    return text[: found.start()] + one + text[found.end() :] if found and len(names) > 1 else text
