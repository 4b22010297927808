"""The files and folders that a text names, and whether two names can mean the same file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

TOKEN = "p_"
"""Stands in a text for a path that was found there: `p_0` for the first."""

_CANDIDATE = re.compile(
    r"(?:[\w~./*]|\$?\{[^{}\n]{0,80}\}|<[\w ]{1,40}>)"
    r"(?:[\w./~*?@%+=:\\-]|\$?\{[^{}\n]{0,80}\}|<[\w -]{1,40}>)*"
)
_HOLES = re.compile(r"\$?\{[^{}]*\}|<[\w -]*>|\[[^\[\]]*\]")
_CLOSING = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_EXTENSIONS = frozenset(
    """adoc avi avro bib bicep c cc cfg cjs conf cpp cs css csv cypher dart db dbf diff doc docx dot drawio
    dta dump ear eml env epub erl ex exs feather fig geojson gif go gpx gql gradle graphql gz h hbs hcl
    hpp hs htm html ics ini ipynb jar java jinja jpeg jpg js json json5 jsonc jsonl jsx kml kt kts less
    lock log lua md mdx mjs mmd mov mp3 mp4 mpp msg mts ndjson numbers odp ods odt onnx orc pages
    parquet pas patch pbix pcap pdf pem php pickle pkl pl png po pot potx ppt pptx prisma properties
    proto ps1 psd psv pt puml py pyi qmd r rb rds ris rmd rs rst rtf sas sav scala scss sh shp sln sol
    sql sqlite srt stl strings styl sub svelte svg swift tar tbl tex tf tfvars tgz tif tiff toml tpl ts
    tsv tsx ttl txt vb vsdx vtt vue war wasm wav webm webp xcf xhtml xls xlsm xlsx xmind xml xsd xsl
    xslt yaml yml zip zsh""".split()
)
_PRODUCTS = frozenset(
    "alpine angular backbone chart d3 deno ember express gatsby moment nest next node nuxt p5 react socket "
    "solid svelte three vue".split()
)
"""What ends like a file of JavaScript and is a framework."""
_FILES = frozenset(
    "authors changelog codeowners containerfile contributing dockerfile gemfile jenkinsfile license makefile "
    "procfile rakefile readme vagrantfile".split()
)
_DOTTED = re.compile(r"\.[a-z]+(?:rc|ignore|attributes|version|config|modules|profile)|\.env(?:\.\w+)?")
_ROOTS = frozenset(
    "bin data dev etc home lib media mnt opt private root run srv tmp users usr var volumes".split()
)
"""Where a path from the root begins; anything else is an address of a web service ("/v2/orders")."""
_INTO = re.compile(
    r"(?:\b(?:in|into|under|from|to|inside|below|at|of|on|over|folders?|director(?:y|ies)|paths?|packages?"
    r"|modules?|services?|and|through|for|read|open|scan|clean|edit|delete|review|audit|test|refactor)|,)\s+[`'\"]?$",
    re.IGNORECASE,
)


class Path(NamedTuple):
    """A file or folder as it is written, and in the form in which paths are compared."""

    text: str
    norm: str
    """Without `./` and a last `/`; `*` where something is filled in later."""
    folder: bool

    @property
    def varies(self) -> bool:
        """It names another file each time: a pattern, or with a name that is filled in."""
        return "*" in self.norm


def find(text: str) -> tuple[str, list[Path]]:
    """The text with each path replaced by a word, and the paths: `p_2` is the third of them."""
    if "/" not in text and "." not in text:
        return text, []
    found: list[Path] = []
    pieces: list[str] = []
    at = 0
    for match in _CANDIDATE.finditer(text):
        word = match.group()
        if "/" not in word and "." not in word[:-1]:
            continue
        word = word.rstrip(".,:;!?-")
        start, end = match.start(), match.start() + len(word)
        path = path_of(word)
        if path is not None and path.folder and not _INTO.search(text, max(0, start - 16), start):
            path = path_of(word, False)
        if path is None:
            continue
        if start and text[start - 1] in _CLOSING and text[end : end + 1] == _CLOSING[text[start - 1]]:
            start, end = start - 1, end + 1
        pieces += (text[at:start], f" {TOKEN}{len(found)} ")
        at = end
        found.append(path)
    return "".join([*pieces, text[at:]]), found


@lru_cache(maxsize=8192)
def path_of(word: str, placed: bool = True) -> Path | None:
    """The word as a path; `placed`: it stands where a place is named ("in src/api"), so two words will do."""
    norm = _HOLES.sub("*", word.replace("\\", "/"))
    folder = norm.endswith("/")
    norm = norm.removeprefix("./").rstrip("/")
    if not norm.strip("*./~-") or norm.startswith(("http:", "https:", "//")):
        return None
    last = norm.rpartition("/")[2]
    stem, dot, ending = last.rpartition(".")
    if stem and dot and ending.lower() in _EXTENSIONS:
        if ending == "js" and "/" not in norm and stem.lower() in _PRODUCTS:
            return None
        return Path(word, norm, False)
    if last.lower() in _FILES and ("/" in norm or last != last.lower()):
        return Path(word, norm, False)
    if _DOTTED.fullmatch(last):
        return Path(word, norm, False)
    if ("/" not in norm and not folder) or (norm[0] == "/" and norm.split("/")[1] not in _ROOTS):
        return None
    sure = folder or norm[0] in ".~/" or norm.count("/") > 1 or not _HARMLESS.fullmatch(norm)
    return Path(word, norm, True) if sure or (placed and norm.islower()) else None


def declared_path(text: str) -> Path:
    """What `reads` or `writes` names: a path, whatever it looks like."""
    plain = _HOLES.sub("*", text).removeprefix("./").rstrip("/")
    return path_of(text) or Path(text, plain, text.endswith("/"))


_HARMLESS = re.compile(r"[A-Za-z'-]+/[A-Za-z'-]+|[\d.]+/[\d.]+|[A-Z0-9]+/[A-Z0-9]+|\w+/[a-z]{1,3}")
"""and/or, 24/7, CI/CD, EUR/kWh: what is no path unless it stands where a place is named."""


@lru_cache(maxsize=8192)
def overlap(one: str, other: str) -> bool:
    """Whether some file fits both patterns: `*` and `?` within a name, `**` across folders."""
    if one == other:
        return True
    if "*" not in one + other and "?" not in one + other:
        return False
    return _parts_meet(tuple(one.split("/")), tuple(other.split("/")))


def _parts_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Row by row of the table "the first m parts fit the first n"."""
    row = [True, *_run(other)]
    for part in one:
        fits = [row[0] and part == "**"]
        for n, facing in enumerate(other):
            if part == "**" or facing == "**":
                # `**` takes in nothing, one more folder, or goes on.
                fits.append(row[n + 1] or fits[n] or row[n])
            else:
                fits.append(row[n] and _names_meet(part, facing))
        row = fits
    return row[-1]


def _run(parts: tuple[str, ...]) -> Iterator[bool]:
    alone = True
    for part in parts:
        alone = alone and part == "**"
        yield alone


def _names_meet(one: str, other: str) -> bool:
    """The same table for the letters of two names."""
    row = [True]
    for letter in other:
        row.append(row[-1] and letter == "*")
    for letter in one:
        fits = [row[0] and letter == "*"]
        for n, facing in enumerate(other):
            if letter == "*" or facing == "*":
                fits.append(row[n + 1] or fits[n])
            else:
                fits.append(row[n] and (letter == facing or "?" in (letter, facing)))
        row = fits
    return row[-1]
