"""docs/attacks.md: every test that it names exists, every weakness is there and used, and every weakness of the program is named."""

import ast
import re
import unittest

from tests.setuid.support import ROOT

TEXT = (ROOT / "docs/attacks.md").read_text()


def tests_of(path):
    """Class.test of a module, those that a class has from another of the same module too."""
    classes = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
    return {f"{name}.{item.name}" for name, node in classes.items() for item in node.body if isinstance(item, ast.FunctionDef)}


class Attacks(unittest.TestCase):
    def test_every_test_that_is_named_exists(self):
        names = re.findall(r"`((?:guest/)?test_\w+\.\w+\.test_\w+)`", TEXT)
        self.assertGreater(len(names), 80)
        for name in names:
            module, test = name.split(".", 1)
            path = ROOT / "tests" / (module if "/" in module else f"setuid/{module}")
            self.assertIn(test, tests_of(path.with_suffix(".py")), name)

    def test_every_row_names_a_test(self):
        for line in TEXT.splitlines():
            if line.startswith("| ") and not line.startswith(("| attack", "| promise")):
                self.assertRegex(line, r"\| `(guest/)?test_\w+\.\w+\.test_\w+`.*\| (weak-\w+|beside|asserts|kernel)", line)

    def test_the_weaknesses_are_those_of_the_program_and_all_are_used(self):
        there = {name for path in (ROOT / "shim").rglob("*.c*") for name in re.findall(r'locald_weak\("(weak-\w+)"\)', path.read_text())}
        used = {f"weak-{name}" for path in (ROOT / "tests/setuid").glob("*.py")
                for name in re.findall(r'(?:weak|run_weak)\("(\w+)"', path.read_text())}
        self.assertEqual(set(re.findall(r"weak-[a-z]+", TEXT)), there)
        self.assertEqual(used, there)
