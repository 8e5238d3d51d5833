"""The validation programs of opencontainers/runtime-tools against our shim: what is not in results.json must pass."""

import json
import unittest
from pathlib import Path

from tests.conformance import runtime_tools
from tests.conformance.support import call, has_v1, reap, world

RESULTS = json.loads(runtime_tools.RESULTS.read_text())


def setUpModule():
    runtime_tools.start("shim", TestRuntimeTools.wanted)


def tearDownModule():
    runtime_tools.stop()


class TestRuntimeTools(unittest.TestCase):
    wanted = ()
    maxDiff = None

    def check(self, name):
        found = runtime_tools.result(name)
        known = RESULTS[name]
        if known["shim"] == "passes":
            self.assertTrue(found.passed, found.text)
        elif found.passed:
            self.assertIn(known["when"], ("machine", "race"), f"{name} passes now: record it anew")
        else:
            self.assertIn(known["says"], found.text)

    def test_every_program_has_a_recorded_result(self):
        self.assertEqual(sorted(RESULTS), runtime_tools.names())

    def test_the_page_shows_what_is_recorded(self):
        self.assertIn(runtime_tools.table(RESULTS), runtime_tools.PAGE.read_text())

    def test_whatever_a_peer_passes_passes(self):
        exceptions = [name for name, known in RESULTS.items()
                      if known["shim"] != "passes" and "passes" in (known["crun"], known["runc"]) and not known["why"]]
        self.assertEqual(exceptions, [])

    def test_zz_nothing_is_left_behind(self):
        shim = world().wrapper("shim")
        for name in world().containers("shim"):
            done = call([shim, "delete", "--force", name])
            self.assertEqual(done.code, 0, done)
        reap()
        self.assertEqual(world().containers("shim"), [])
        self.assertNotIn(str(world().dir), Path("/proc/self/mountinfo").read_text())


def add_programs():
    for name in sorted(RESULTS):
        def test(self, name=name):
            if name.startswith("linux_cgroups") and not has_v1():
                self.skipTest("there are no version 1 controllers here, and the program knows no others")
            self.check(name)
        setattr(TestRuntimeTools, f"test_program_{name}", test)


add_programs()


def load_tests(loader, tests, pattern):
    del loader, pattern
    return tests
