"""The same verbs by our shim and by runc: what is printed, what is written, how they end."""

import json
import tempfile
import unittest
from pathlib import Path

from tests.conformance.support import PROGRAMS, call, world


class TestSpec(unittest.TestCase):
    maxDiff = None

    def written(self, runtime, *words):
        with tempfile.TemporaryDirectory(dir=world().dir) as bundle:
            done = call([PROGRAMS[runtime], "spec", "--bundle", bundle, *words])
            self.assertEqual(done.code, 0, done)
            again = call([PROGRAMS[runtime], "spec", "--bundle", bundle, *words])
            self.assertEqual(again.code, 1, again)
            self.assertIn("File config.json exists. Remove it first", again.err)
            return json.loads((Path(bundle) / "config.json").read_text())

    def check(self, *words):
        ours, theirs = self.written("shim", *words), self.written("runc", *words)
        # Each names itself and the version of the specification it knows.
        self.assertEqual((ours.pop("hostname"), ours.pop("ociVersion")), ("locald", "1.3.0"))
        self.assertEqual(theirs.pop("hostname"), "runc")
        theirs.pop("ociVersion")
        self.assertEqual(ours, theirs)

    def test_the_file_is_runcs_field_by_field(self):
        self.check()

    def test_the_rootless_file_is_runcs_field_by_field(self):
        self.check("--rootless")


if __name__ == "__main__":
    unittest.main()
