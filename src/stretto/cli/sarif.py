"""Findings as SARIF 2.1.0, which editors and code hosts read."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import stretto
from stretto.cli.explain import section
from stretto.cli.findings import finding_data
from stretto.lint.slugs import SLUGS
from stretto.live.words import plain
from stretto.plan.finding import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "strettoFinding/v1"
"""Of slug, file and tasks, with a number among equals: it stays when lines move and figures change."""
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def sarif(findings: Sequence[Finding], folder: Path) -> dict[str, Any]:
    """One SARIF log with one run; files are named relative to `folder` where they stand in it."""
    slugs = {slug: index for index, slug in enumerate(sorted({finding.slug for finding in findings}))}
    usual = {finding.slug: finding.severity for finding in findings}
    driver = {
        "name": "Stretto",
        "version": stretto.__version__,
        "rules": [_rule(slug, _LEVELS[usual[slug]]) for slug in slugs],
    }
    met: Counter[str] = Counter()
    results = []
    for finding in findings:
        uri, region = _place(finding.at, folder)
        same = "\0".join([finding.slug, uri, *finding.tasks])
        key = hashlib.sha256(same.encode(errors="surrogatepass")).hexdigest()[:32]
        met[key] += 1
        result = _result(finding, slugs[finding.slug], uri, region)
        results.append({**result, "partialFingerprints": {FINGERPRINT: f"{key}:{met[key]}"}})
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(slug: str, level: str) -> dict[str, Any]:
    """What a kind of finding means, from the page that `stretto explain` prints."""
    text = section(slug)
    known = SLUGS.get(slug)
    short = f"{known.meaning}." if known is not None else text.split("\n\n")[0]
    rule: dict[str, Any] = {
        "id": slug,
        "shortDescription": {"text": short},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": _LEVELS[known.severity] if known is not None else level},
    }
    return {**rule, "properties": {"tags": [known.family]}} if known is not None else rule


def _result(finding: Finding, index: int, uri: str, region: dict[str, int]) -> dict[str, Any]:
    data = finding_data(finding)
    text = plain("\n".join(filter(None, [finding.message, finding.fix])))
    location: dict[str, Any] = {}
    if uri:
        location["physicalLocation"] = {"artifactLocation": {"uri": uri}}
        if region:
            location["physicalLocation"]["region"] = region
    if finding.tasks:
        location["logicalLocations"] = [{"fullyQualifiedName": path} for path in dict.fromkeys(finding.tasks)]
    result: dict[str, Any] = {
        "ruleId": finding.slug,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [location] if location else [],
        "properties": {"usd": data["usd"], "minutes": data["minutes"]},
    }
    if finding.accepted:
        result["suppressions"] = [{"kind": "inSource", "justification": plain(finding.accepted)}]
    return result


def _place(at: str, folder: Path) -> tuple[str, dict[str, int]]:
    """The file as a URI, relative where it can be, and its line and column; neither of what is no place."""
    file, *numbers = at.rsplit(":", 2)
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) for number in numbers):
        return "", {}
    path = (folder / file).absolute()
    # A name of a file is bytes, which need not be UTF-8.
    uri = quote(os.fsencode(path.relative_to(folder))) if path.is_relative_to(folder) else path.as_uri()
    return uri, {"startLine": int(numbers[0]), "startColumn": int(numbers[1])}
