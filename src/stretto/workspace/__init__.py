"""Where agents may touch files: root confinement, worktrees and merges, redaction, fenced hand-over."""
