"""Runs tests in Python and prints one JSON line a test on descriptor 1; everything else goes to descriptor 2.

usage: python3 -m tests.e2e.report tests.e2e [PATTERN...]        every test_*.py of the folder
       python3 -m tests.e2e.report tests.e2e.no_backend          one module
       python3 -m tests.e2e.report tests.guest [PATTERN...]      the folder of another part
A pattern is part of a test's name.
"""

import json
import os
import sys
import time
import traceback
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
OVER_SSH = os.environ.get("LOCALD_E2E_OVER") == "ssh"


class Reporter(unittest.TestResult):
    """Tells of every test as it ends, with the seconds it took on stderr when they are many."""

    def __init__(self, out):
        super().__init__()
        self.out = out
        self.started = 0.0

    @staticmethod
    def name(test):
        name = test.id().removeprefix("tests.e2e.").removeprefix("tests.")
        return f"over_ssh.{name}" if OVER_SSH and test.id().startswith("tests.e2e.") else name

    def tell(self, test, result, text=""):
        self.out.write(json.dumps({"test": self.name(test), "result": result, "text": text}) + "\n")
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def stopTest(self, test):
        seconds = time.monotonic() - self.started
        if seconds > 5:
            print(f"  {self.name(test)} took {seconds:.0f} s", file=sys.stderr, flush=True)
        super().stopTest(test)

    def addSuccess(self, test):
        self.tell(test, "passed")

    def addFailure(self, test, err):
        self.tell(test, "failed", "".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.tell(subtest, "failed", "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        self.tell(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.tell(test, "failed", "expected failures are not a thing here")

    def addUnexpectedSuccess(self, test):
        self.tell(test, "failed", "expected failures are not a thing here")


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def is_meant(test):
    """Whether a test has something to say here: over SSH those of this host alone have not."""
    test_method = getattr(test, getattr(test, "_testMethodName", ""), None)
    reasons = (getattr(each, "__unittest_skip_why__", "") for each in (type(test), test_method))
    return not any(reason.startswith("over SSH: ") for reason in reasons)


def main():
    # Tests and what they start must not write between the JSON lines.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    target, patterns = sys.argv[1], sys.argv[2:]
    loader = unittest.TestLoader()
    folder = TESTS.joinpath(*target.split(".")[1:])
    if folder.is_dir():
        names = sorted(f"{target}.{path.stem}" for path in folder.glob("test_*.py"))
        suite = loader.loadTestsFromNames(names)
    else:
        suite = loader.loadTestsFromName(target)
    tests = [test for test in flatten(suite) if is_meant(test) and (not patterns or any(p in test.id() for p in patterns))]
    result = Reporter(out)
    if not tests:
        out.write(json.dumps({"test": target, "result": "failed", "text": "no test has this name"}) + "\n")
    unittest.TestSuite(tests).run(result)
    out.write(json.dumps({"test": target, "result": "end", "text": ""}) + "\n")
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
