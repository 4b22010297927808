"""Measurements, each beside a bare baseline of the same run; README.md holds the figures."""
