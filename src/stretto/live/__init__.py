"""What a run looks like while it goes on: a live view, a plain log of lines, a stream of JSON."""
