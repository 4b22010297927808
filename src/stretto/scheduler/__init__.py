"""Decides what starts next: order, joins, budget ledger, rate limits. Pure."""
