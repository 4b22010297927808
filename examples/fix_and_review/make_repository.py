"""Makes a small repository with four bugs, for the plan beside this file: `make_repository.py FOLDER`.

Two of the bugs lie on neighbouring lines, so that two fixes made side by side meet in a real conflict.
"""

import subprocess
import sys
from pathlib import Path

FILES = {
    "ISSUES.md": """\
# Open issues

1. `till/money.py`: "19.99" becomes 1998 cents. Test: `tests.test_money`
2. `till/receipt.py`: a name of more than 20 characters breaks the columns. Test: `tests.test_receipt`
3. `till/basket.py`: three apples cost as much as one. Test: `tests.test_count`
4. `till/basket.py`: a total with a discount is no whole number of cents. Test: `tests.test_discount`
""",
    "till/__init__.py": "",
    "till/money.py": '''\
"""Amounts of money in whole cents."""


def to_cents(text):
    return int(float(text) * 100)
''',
    "till/receipt.py": '''\
"""A receipt as text: the name in 20 columns, the price in 8."""


def line(name, cents):
    return f"{name:<20}{cents / 100:>8.2f}"
''',
    "till/basket.py": '''\
"""What somebody is about to buy."""


class Basket:
    def __init__(self):
        self.lines = []

    def add(self, name, cents, count=1):
        self.lines.append((name, cents, count))

    def total(self, discount_percent=0):
        total = sum(cents for _, cents, _ in self.lines)
        return total - total * discount_percent / 100
''',
    "tests/__init__.py": "",
    "tests/test_money.py": """\
import unittest

from till.money import to_cents


class Money(unittest.TestCase):
    def test_cents_are_not_lost(self):
        self.assertEqual(to_cents("19.99"), 1999)
""",
    "tests/test_receipt.py": """\
import unittest

from till.receipt import line


class Receipt(unittest.TestCase):
    def test_long_names_keep_the_columns(self):
        self.assertEqual(len(line("A name of more than twenty characters", 100)), 28)
""",
    "tests/test_count.py": """\
import unittest

from till.basket import Basket


class Count(unittest.TestCase):
    def test_three_cost_three_times_as_much(self):
        basket = Basket()
        basket.add("apple", 50, 3)
        self.assertEqual(basket.total(), 150)
""",
    "tests/test_discount.py": """\
import unittest

from till.basket import Basket


class Discount(unittest.TestCase):
    def test_a_total_is_a_whole_number_of_cents(self):
        basket = Basket()
        basket.add("pear", 99)
        total = basket.total(discount_percent=10)
        self.assertIsInstance(total, int)
        self.assertEqual(total, 89)
""",
}


def make(folder: Path) -> None:
    """Writes the files and commits them; the folder must not hold anything yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; name a new folder")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / ".gitignore").write_text("__pycache__/\n.stretto/\n")
    identity = ["-c", "user.name=Stretto example", "-c", "user.email=example@localhost"]
    for argv in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "commit", "-qm", "A till with four bugs"],
    ):
        subprocess.run(["git", "-C", str(folder), *argv], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(Path(sys.argv[1]))
