"""A loopback pass-through that asks ledger and limiter before a call leaves the house."""
