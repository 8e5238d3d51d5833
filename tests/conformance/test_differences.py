"""Generated configurations under our shim, crun and runc: what the container's process sees is compared field by field.

For every field our shim has to agree with one of the two at least; where it agrees with neither, known.py names the field
and says why. LOCALD_CONFORMANCE_SEED repeats or varies a run."""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from collections import defaultdict

from tests.conformance.known import KNOWN, REFUSED, table
from tests.conformance.support import PROGRAMS, ROOT, has_v1, reap, v1_view, v2_view, world

SEED = os.environ.get("LOCALD_CONFORMANCE_SEED", "1")
COUNT = int(os.environ.get("LOCALD_CONFORMANCE_COUNT", "150"))
SECONDS = int(os.environ.get("LOCALD_CONFORMANCE_SECONDS", "80"))
# Fewer than this many within the seconds is no comparison.
LEAST = 20

FAMILIES = {
    "the_mounts": r"mount:",
    "the_capabilities": r"cap |securebits",
    "the_limits_of_the_process": r"rlimit:",
    "the_limits_of_the_cgroup": r"limit:|cgroup$",
    "the_files_and_devices": r"file:",
    "what_may_be_read_and_written": r"path:",
    "the_namespaces_and_maps": r"namespace:|uid_map|gid_map|setgroups|timens",
    "the_descriptors": r"fd:",
    "the_sysctls": r"sysctl:",
    "the_answers_of_system_calls": r"call:",
    "what_is_left_in_the_root_filesystem": r"left:",
    "the_environment": r"environment$",
    "the_ids_and_all_other_attributes": r"",
}

lines = {}
differences = defaultdict(list)
pids = []


def family_of(field):
    return next(name for name, pattern in FAMILIES.items() if re.match(pattern, field))


def hidden(field, config):
    """A masked path hides the same in each runtime; with what it is covered is each one's own affair."""
    kind, _, place = field.partition(":")
    if kind not in ("mount", "file"):
        return False
    return any(place.rstrip("+").startswith(path) for path in config["linux"].get("maskedPaths", []))


def excused(field, peer):
    return any(peer in peers and re.fullmatch(pattern, field.rstrip("+")) for pattern, peers, _ in KNOWN)


def compare(line):
    ours = line["shim"]
    running = [peer for peer in ("crun", "runc") if line[peer]["outcome"] == "runs"]
    if ours["outcome"] != "runs":
        if running and not any(text in ours["#errors"] for text, _ in REFUSED):
            differences["outcome"].append(f"{where(line)}: ours fails, {', '.join(running)} not: {ours['#errors']}")
        return
    for field in sorted(set(ours).union(*(line[peer] for peer in running))):
        if field.startswith("#") or field == "outcome" or hidden(field, line["config"]):
            continue
        other = [peer for peer in running if line[peer].get(field) != ours.get(field)]
        if len(other) < len(running) or not other or all(excused(field, peer) for peer in other):
            continue
        values = "".join(f"\n  {peer}: {line[peer].get(field)}" for peer in other)
        differences[family_of(field)].append(f"{where(line)}: {field}\n  ours: {ours.get(field)}{values}")


def where(line):
    return f"seed {line['seed']} number {line['index']}"


def setUpModule():
    views = {"v2": v2_view()} | ({"v1": v1_view()} if has_v1() else {})
    workers = {}
    for view, prefix in views.items():
        directory = world().dir / f"differences-{view}"
        directory.mkdir()
        subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-static", "-o", directory / "inspect", ROOT / "tests/conformance/inspect.c"], check=True)
        words = [*prefix, sys.executable, "-B", "-m", "tests.conformance.difference", f"{SEED}-{view}", "0", str(COUNT), str(SECONDS), str(directory)]
        output = open(directory / "lines", "w+")
        workers[view] = (subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output), output)
    for view, (process, output) in workers.items():
        process.wait()
        pids.append(process.pid)
        output.seek(0)
        lines[view] = [json.loads(text) for text in output]
        for line in lines[view]:
            line["seed"] = f"{SEED}-{view}"
            compare(line)
        output.close()
        print(f"  {len(lines[view])} configurations on {view}", file=sys.stderr)


def tearDownModule():
    for view in lines:
        shutil.rmtree(world().dir / f"differences-{view}", ignore_errors=True)


class TestDifferences(unittest.TestCase):
    maxDiff = None

    def none_of(self, family):
        found = differences[family]
        self.assertFalse(found, f"{len(found)} differences, the first:\n" + "\n".join(found[:5]))

    def test_enough_configurations_were_compared(self):
        for view, found in lines.items():
            self.assertGreaterEqual(len(found), min(COUNT, LEAST), view)
            running = [line for line in found if all(line[runtime]["outcome"] == "runs" for runtime in PROGRAMS)]
            self.assertGreater(len(running), len(found) // 4, "most configurations are to run under all three")

    def test_the_page_shows_what_is_known(self):
        self.assertIn(table(), (ROOT / "docs/conformance.md").read_text())

    def test_what_runs_under_crun_or_runc_runs(self):
        self.none_of("outcome")

    def test_nothing_is_left_behind(self):
        reap()
        for pid in pids:
            found = subprocess.run(["find", "/sys/fs/cgroup", "-maxdepth", "3", "-name", f"conformance-{pid}-*"], stdout=subprocess.PIPE, text=True)
            self.assertEqual(found.stdout, "")
        for view in lines:
            states = world().dir / f"differences-{view}/state-shim"
            self.assertEqual([path.name for path in states.iterdir() if not path.name.startswith(".")], [])


def add_families():
    for name in FAMILIES:
        def test(self, name=name):
            self.none_of(name)
        setattr(TestDifferences, f"test_{name}", test)


add_families()
