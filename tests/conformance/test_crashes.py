"""kill -9 at any moment, and many verbs at once on one container: `delete --force` leaves nothing, and nothing hangs."""

import os
import random
import signal
import subprocess
import time
import unittest
from pathlib import Path

from tests.conformance.support import PROGRAMS, call, reap, world
from tests.conformance.test_lifecycle import make_bundle

SEED = int(os.environ.get("LOCALD_CONFORMANCE_SEED", "1"))
ROUNDS = int(os.environ.get("LOCALD_CONFORMANCE_CRASHES", "25"))
CROWD_SECONDS = float(os.environ.get("LOCALD_CONFORMANCE_CROWD_SECONDS", "5"))


class Shim:
    """One container's name, bundle and marks."""

    def __init__(self, name):
        self.name = f"crash-{os.getpid()}-{name}"
        self.bundle = make_bundle(world().dir / self.name, self.name)
        self.base = [str(PROGRAMS["shim"]), "--root", str(world().state("shim"))]
        self.words = {
            "create": ["create", "--bundle", str(self.bundle), self.name],
            "run": ["run", "--detach", "--bundle", str(self.bundle), self.name],
            "start": ["start", self.name], "delete": ["delete", "--force", self.name], "state": ["state", self.name],
            "kill": ["kill", self.name, "KILL"], "pause": ["pause", self.name], "resume": ["resume", self.name],
            "exec": ["exec", self.name, "/bin/busybox", "true"], "ps": ["ps", self.name],
            "update": ["update", "--pids-limit", "50", self.name], "list": ["list"],
        }

    def do(self, verb):
        return call([*self.base, *self.words[verb]], timeout=20)

    def begin(self, verb):
        return subprocess.Popen([*self.base, *self.words[verb]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)

    def left(self):
        """Everything that is still there."""
        reap()
        found = [f"state {path}" for path in world().state("shim").iterdir() if path.name.lstrip(".").startswith(self.name)]
        found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.name in line]
        tops = [Path("/sys/fs/cgroup"), *(path for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir())]
        found += [f"cgroup {top / self.name}" for top in tops if (top / self.name).exists()]
        return found + self.processes()

    def processes(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                root = os.readlink(f"/proc/{pid}/root")
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if self.name in root or self.name in words:
                found.append(f"process {pid}: {words}")
        return found

    def left_soon(self):
        for _ in range(300):
            found = self.left()
            if not found:
                return found
            time.sleep(0.01)
        return found


    def clean(self):
        """After a failure: takes away by hand what was found."""
        for line in self.left():
            kind, _, what = line.partition(" ")
            if kind == "process":
                try:
                    os.kill(int(what.split(":")[0]), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        time.sleep(0.1)
        for line in self.left():
            kind, _, what = line.partition(" ")
            if kind == "cgroup":
                os.rmdir(what)


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class TestCrashes(unittest.TestCase):
    maxDiff = None

    def check(self, verb, before):
        """Kills `verb`, its child or both at a random moment, ROUNDS times."""
        chance = random.Random(f"{SEED}-{verb}")
        shim = Shim(verb)
        self.addCleanup(shim.clean)
        started = time.monotonic()
        for step in before:
            self.assertEqual(shim.do(step).code, 0)
        process = shim.begin(verb)
        process.wait(20)
        longest = time.monotonic() - started
        shim.do("delete")
        for number in range(ROUNDS):
            for step in before:
                done = shim.do(step)
                self.assertEqual(done.code, 0, done)
            process = shim.begin(verb)
            moment, whom = chance.random() * min(longest, 0.05), chance.choice(["runtime", "child", "both"])
            time.sleep(moment)
            children = children_of(process.pid)
            if whom != "child":
                process.kill()
            if whom != "runtime":
                for child in children:
                    try:
                        os.kill(child, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            what = f"number {number}: {whom} of {verb} killed after {moment * 1000:.1f} ms"
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                self.fail(f"{what}: it hangs")
            removal = shim.begin("delete")
            # The orphan of a killed exec is ours now, and its pid namespace's first process cannot end before it is reaped.
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT).si_pid) != removal.pid:
                os.waitpid(ended, 0)
            self.assertEqual(removal.wait(), 0, what)
            self.assertEqual(shim.left_soon(), [], what)

    def test_create_killed_at_any_moment_leaves_nothing(self):
        self.check("create", [])

    def test_run_detached_killed_at_any_moment_leaves_nothing(self):
        self.check("run", [])

    def test_start_killed_at_any_moment_leaves_nothing(self):
        self.check("start", ["create"])

    def test_exec_killed_at_any_moment_leaves_nothing(self):
        self.check("exec", ["run"])

    def test_update_killed_at_any_moment_leaves_nothing(self):
        self.check("update", ["run"])

    def test_delete_killed_at_any_moment_leaves_nothing(self):
        self.check("delete", ["run"])

    def test_pause_killed_at_any_moment_leaves_nothing(self):
        self.check("pause", ["run"])

    def test_many_verbs_at_once_neither_hang_nor_leave_anything(self):
        chance = random.Random(SEED)
        shim = Shim("crowd")
        self.addCleanup(shim.clean)
        verbs = [verb for verb in shim.words if verb != "list"] + ["create", "start", "run"]
        deadline = time.monotonic() + CROWD_SECONDS
        crowd, longest, ended = [], 0.0, 0
        while crowd or time.monotonic() < deadline:
            while len(crowd) < 20 and time.monotonic() < deadline:
                verb = chance.choice(verbs)
                crowd.append((verb, shim.begin(verb), time.monotonic()))
            time.sleep(0.002)
            for entry in list(crowd):
                verb, process, since = entry
                age = time.monotonic() - since
                if process.poll() is not None:
                    crowd.remove(entry)
                    ended += 1
                    longest = max(longest, age)
                    self.assertGreaterEqual(process.returncode, 0, f"{verb} ended by a signal")
                elif age > 30:
                    for _, other, _ in crowd:
                        other.kill()
                    self.fail(f"{verb} hangs")
        self.assertGreater(ended, 50)
        done = shim.do("delete")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(shim.left_soon(), [])
        for verb in ("create", "start", "kill"):
            done = shim.do(verb)
            self.assertEqual(done.code, 0, f"the id is free again: {done!r}")
        self.assertEqual(shim.do("delete").code, 0)
        self.assertEqual(shim.left_soon(), [])


if __name__ == "__main__":
    unittest.main()
