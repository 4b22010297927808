"""Tasks, groups, the graph they form, the references between them, findings."""
