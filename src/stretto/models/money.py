"""How an amount of money is written for people."""

from __future__ import annotations

NUSD = 1_000_000_000
"""Nano-dollars in a dollar."""


def usd(nusd: int | None) -> str:
    """Dollars for people: cents, or four decimals where it is less than ten cents."""
    if nusd is None:
        return "unknown"
    sign = "-" if nusd < 0 else ""
    nusd = abs(nusd)
    if nusd == 0:
        return "$0"
    if nusd < NUSD // 10_000:
        return f"{sign}<$0.0001"
    digits = 4 if nusd < NUSD // 10 else 2
    unit: int = 10 ** (9 - digits)
    rounded = (nusd + unit // 2) // unit
    whole, rest = divmod(rounded, 10**digits)
    return f"{sign}${whole:,}.{rest:0{digits}}"
