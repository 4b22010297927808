"""Reads a plan from YAML or Python and remembers the line each part came from."""
