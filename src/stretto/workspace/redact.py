"""Takes secrets out of texts before they reach a disk or a screen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

SHORTEST = 8
"""Shorter values of secret variables are words such as `true` or `none`: to redact them would eat prose."""

_SECRET_NAME = re.compile(
    r"(?:(?:^|_)(?:KEY|PASS|PWD|PAT)|(?:API|ACCESS)KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)"
    r"S?(?:_|$)",
    re.IGNORECASE,
)
_LONG = 20
LONGEST_SAID = 4_000
"""Characters of an error."""

_HARMLESS = frozenset({"PWD", "OLDPWD", "STRETTO_KEY", "STRETTO_TASK_KEY"})

# Each stands behind the letters it begins with: a text without them is not searched, and with them the
# engine jumps from one to the next (20 MB of source code: 2.6 s as one expression, 0.5 s so). None ends
# with a quote or a backslash: a redacted line of JSON stays JSON. None reads a letter more than a few times,
# whatever a hostile text repeats: this runs between everything else.
_CERTAIN: tuple[tuple[str, str, str], ...] = (
    ("private-key", "-----BEGIN ", r"[A-Z0-9 ]{0,30}PRIVATE KEY-----"
     r"(?:(?:[^\"-]++|-(?!----(?:BEGIN|END)))*+-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----"
     r"|(?:[A-Za-z0-9+/=\s]|\\[nr])*)"),
    ("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{8,}"),
    *(("github-token", f"gh{kind}_", r"[A-Za-z0-9]{20,}") for kind in "pousr"),
    ("github-token", "github_pat_", r"[A-Za-z0-9_]{20,}"),
    ("gitlab-token", "glpat-", r"[A-Za-z0-9_-]{20,}"),
    ("aws-key", "AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("aws-key", "ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("slack-token", "xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("google-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    ("huggingface-token", "hf_", r"[A-Za-z0-9]{30,}"),
    ("lease", "http://127.0.0.1:", r"\d{2,5}/[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
)  # fmt: skip
"""What begins as only one issuer's keys do: taken out of outputs too."""

_LIKELY: tuple[tuple[str, str, str], ...] = (
    ("api-key", "sk-", r"[A-Za-z0-9_-]{20,}"),
    ("jwt", "eyJ", r"(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("bearer", "Bearer ", r"[A-Za-z0-9._~+/-]{8,}=*"),
    ("bearer", "bearer ", r"[A-Za-z0-9._~+/-]{8,}=*"),
)
"""What may as well be a name (`sk-learn-...`), an example or a public token: an output keeps it, because the
next task gets that output as code or data; what is only for people to read does not."""

_Shape = tuple[str, re.Pattern[str], str]


def _compiled(shapes: tuple[tuple[str, str, str], ...]) -> list[_Shape]:
    return [
        (start, re.compile(re.escape(start) + rest), f"[redacted:{kind}]") for kind, start, rest in shapes
    ]


_FIRST, _THEN = _compiled(_CERTAIN), _compiled(_LIKELY)
_PASSWORD = re.compile(r"(://[^\s/:@\"]{0,100}:)([^\s/@\"]{3,200})@")
"""The password in an address (`https://user:password@host`)."""


class Redactor:
    """Replaces the secrets of one environment, and what has the shape of one, by `[redacted:KIND]`."""

    def __init__(self, env: Mapping[str, str]):
        self._names: dict[str, str] = {}
        for name, value in env.items():
            if name in _HARMLESS:
                continue
            found = [value] if _SECRET_NAME.search(name) else []
            found += [match[2] for match in _PASSWORD.finditer(value)] if "://" in value else []
            for secret in found:
                self._know(name, secret.strip())
        # The longest first: one secret may begin with another.
        self._values = sorted(self._names, key=len, reverse=True)
        self._strong = [value for value in self._values if _tells(value)]

    def _know(self, name: str, secret: str) -> None:
        if len(secret) < SHORTEST:
            return
        # As it is, as inside JSON (either kind), and as inside an address.
        plain, ascii_only = json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(secret)[1:-1]
        for form in (secret, plain, ascii_only, quote(secret, safe="")):
            self._names.setdefault(form, name)

    def redact(self, text: str) -> str:
        """A text for people (an error, a transcript, a log): all that looks like a secret goes."""
        text = self._without(text, self._values, _FIRST)
        for start, pattern, replacement in _THEN:
            if start in text:
                text = pattern.sub(replacement, text)
        if "://" in text:
            text = _PASSWORD.sub(r"\1[redacted:password]@", text)
        return text

    def said(self, text: str) -> str:
        """An error as it is journaled and shown: no judge's finding and no program's word is endless."""
        told = self.redact(text[: 2 * LONGEST_SAID])
        return told if len(told) <= LONGEST_SAID else f"{told[:LONGEST_SAID]}... (cut)"

    def in_data(self, text: str) -> str:
        """A text that others work with (an output, a prompt): what is a secret for certain goes."""
        return self._without(text, self._strong, _FIRST)

    def in_value(self, value: Any) -> Any:
        """A JSON value with each text in it, and each key, as `in_data` leaves it."""
        match value:
            case str():
                return self.in_data(value)
            case list() | tuple():
                return [self.in_value(entry) for entry in value]
            case dict():
                return {self.in_value(key): self.in_value(entry) for key, entry in value.items()}
            case int() | float() if not isinstance(value, bool):
                told = self.in_data(text := repr(value))
                return value if told == text else told
            case _:
                return value

    def _without(self, text: str, values: list[str], shapes: list[_Shape]) -> str:
        for value in values:
            if value in text:
                text = text.replace(value, f"[redacted:{self._names[value]}]")
        for start, pattern, replacement in shapes:
            if start in text:
                text = pattern.sub(replacement, text)
        return text


def _tells(value: str) -> bool:
    """Whether it can be told from prose and code: a password that is a plain word (`postgres`) cannot."""
    return len(value) >= _LONG or not (
        value.isalpha() and (value.islower() or value.isupper() or value.istitle())
    )
