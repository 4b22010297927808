"""Lets `python -m stretto` do what the command `stretto` does."""

import sys

from stretto.cli import main

if __name__ == "__main__":
    sys.exit(main())
