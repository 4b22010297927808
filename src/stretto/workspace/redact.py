"""Takes secrets out of texts before they reach a disk or a screen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

SHORTEST = 8
"""Shorter values of secret variables are words such as `true` or `none`: to redact them would eat prose."""

_SECRET_NAME = re.compile(
    r"(?:(?:^|_)(?:KEY|PASS|PWD|PAT)|(?:API|ACCESS)KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)"
    r"S?(?:_|$)",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"PWD", "OLDPWD", "STRETTO_KEY", "STRETTO_TASK_KEY"})

# Each stands behind the letters it begins with: a text without them is not searched, and with them the
# engine jumps from one to the next (20 MB of source code: 2.6 s as one expression, 0.5 s so). None ends
# with a quote or a backslash: a redacted line of JSON stays JSON.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("private-key", "-----BEGIN ", r"[A-Z0-9 ]{0,30}PRIVATE KEY-----"
     r"(?:[^\"]{0,20000}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|(?:[A-Za-z0-9+/=\s]|\\[nr])*)"),
    ("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{8,}"),
    ("api-key", "sk-", r"[A-Za-z0-9_-]{20,}"),
    *(("github-token", f"gh{kind}_", r"[A-Za-z0-9]{20,}") for kind in "pousr"),
    ("github-token", "github_pat_", r"[A-Za-z0-9_]{20,}"),
    ("gitlab-token", "glpat-", r"[A-Za-z0-9_-]{20,}"),
    ("aws-key", "AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("aws-key", "ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("slack-token", "xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("google-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    ("huggingface-token", "hf_", r"[A-Za-z0-9]{30,}"),
    ("jwt", "eyJ", r"[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("bearer", "Bearer ", r"[A-Za-z0-9._~+/-]{8,}=*"),
    ("bearer", "bearer ", r"[A-Za-z0-9._~+/-]{8,}=*"),
)  # fmt: skip
_COMPILED = [
    (start, re.compile(re.escape(start) + rest), f"[redacted:{kind}]") for kind, start, rest in _SHAPES
]
_PASSWORD = re.compile(r"(://[^\s/:@\"]{0,100}:)[^\s/@\"]{3,200}@")
"""The password in an address (`https://user:password@host`)."""


class Redactor:
    """Replaces the secrets of one environment, and what has the shape of one, by `[redacted:KIND]`."""

    def __init__(self, env: Mapping[str, str]):
        self._names: dict[str, str] = {}
        for name, value in env.items():
            if len(value) >= SHORTEST and name not in _HARMLESS and _SECRET_NAME.search(name):
                # As it is, as inside JSON (either kind), and as inside an address.
                plain, ascii_only = json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]
                for form in (value, plain, ascii_only, quote(value, safe="")):
                    self._names.setdefault(form, name)
        # The longest first: one secret may begin with another.
        self._values = sorted(self._names, key=len, reverse=True)

    def redact(self, text: str) -> str:
        for value in self._values:
            if value in text:
                text = text.replace(value, f"[redacted:{self._names[value]}]")
        for start, pattern, replacement in _COMPILED:
            if start in text:
                text = pattern.sub(replacement, text)
        if "://" in text:
            text = _PASSWORD.sub(r"\1[redacted:password]@", text)
        return text
