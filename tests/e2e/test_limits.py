"""Limits in the files of the cgroup, as the kernel shows them to the host."""

import contextlib
import os
import signal
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import ContainerCase, ROOT, descendants, on_this_host_alone, require, world

V1 = Path("/sys/fs/cgroup")


def v1_controllers():
    return {name for name in ("memory", "cpu", "pids") if (V1 / name / "tasks").exists()}


def v2_controllers():
    for path in (V1 / "cgroup.controllers", V1 / "unified/cgroup.controllers"):
        with contextlib.suppress(OSError):
            return set(path.read_text().split())
    return set()


class Limited(ContainerCase):
    """Starts a container with limits and reads its cgroup's files from outside."""

    kind = "root"
    number = 0

    def limited(self, *options, prefix=()):
        Limited.number += 1
        mark = f"sleep 98{Limited.number}.25"
        process = self.who.popen([*prefix, world().locald, "container", "run", "--rm", *options, images.image(), *mark.split()])

        def end():
            for pid in [pid for pid, line in descendants().items() if line.startswith(mark)]:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.finish(process)

        self.addCleanup(end)

        def payload():
            if process.poll() is not None:
                self.fail(f"it ended: {self.finish(process)!r}")
            return [pid for pid, line in descendants().items() if line.startswith(mark)]

        return self.wait_for(payload, "payload")[0]

    @staticmethod
    def places(pid):
        """Controller (empty: v2) → path of the process."""
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        return {name: path for line in lines for number, names, path in [line.split(":", 2)] for name in names.split(",")}


class LimitsOnV1AsRoot(Limited):
    """On the hybrid layout, or on v1: the controllers of v1 carry the limits."""

    def value(self, pid, controller, file):
        path = V1 / controller / self.places(pid)[controller].lstrip("/")
        for folder in (path, *path.parents):
            if folder == V1 / controller:
                break
            text = (folder / file).read_text().strip()
            if text not in ("max", "-1", "9223372036854771712"):
                return text
        return self.fail(f"no limit in {file} at or above {path}")

    def test_memory(self):
        require("memory" in v1_controllers(), "the memory controller on v1")
        self.assertEqual(self.value(self.limited("-m", "64m"), "memory", "memory.limit_in_bytes"), str(64 << 20))

    def test_memory_that_runs_out_kills(self):
        require("memory" in v1_controllers(), "the memory controller on v1")
        done = self.who.container("-m", "16m", images.image(), "sh", "-c", "head -c 100000000 /dev/zero | sort | wc -c; exit $?",
                                  timeout=120)
        self.assertNotEqual((done.code, done.text), (0, "100000000\n"), done)

    def test_cpus(self):
        require("cpu" in v1_controllers(), "the cpu controller on v1")
        pid = self.limited("--cpus", "0.5")
        quota = int(self.value(pid, "cpu", "cpu.cfs_quota_us"))
        period = int(self.value(pid, "cpu", "cpu.cfs_period_us"))
        self.assertEqual(quota / period, 0.5)

    def test_pids(self):
        require("pids" in v1_controllers(), "the pids controller on v1")
        self.assertEqual(self.value(self.limited("--pids-limit", "23"), "pids", "pids.max"), "23")

    def test_pids_that_run_out(self):
        require("pids" in v1_controllers(), "the pids controller on v1")
        script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 2 & done; wait"
        done = self.who.container("--pids-limit", "5", images.image(), "sh", "-c", script)
        self.assertIn("can't fork", done.errors, done)


@on_this_host_alone("the command's view of the cgroups is not the container's")
class LimitsOnV2AsRoot(Limited):
    """In a pure v2 view."""

    view = (ROOT / "bench/v2ns",)

    def test_every_container_has_a_cgroup_of_its_own(self):
        own = Path("/proc/self/cgroup").read_text().splitlines()[-1]
        place = self.places(self.limited(prefix=self.view))[""]
        self.assertNotEqual(f"0::{place}", own)
        self.assertIn("locald", place)

    def test_a_controller_that_is_not_there_is_named(self):
        if "memory" in v2_controllers():
            return
        done = self.who.run([*self.view, world().locald, "container", "run", "--rm", "-m", "64m", images.image(), "true"])
        self.assert_error(done, 125, "memory", "cgroup")


class LimitsWithoutACgroup(Limited):
    """An ordinary user to whom nobody delegated a cgroup."""

    kind = "user"

    def test_no_limit_needs_no_cgroup(self):
        self.assert_prints(self.who.container(images.image(), "echo", "fine"), "fine\n")

    def test_a_limit_that_cannot_be_kept_is_an_error(self):
        for words in (("-m", "64m"), ("--cpus", "1"), ("--pids-limit", "10")):
            with self.subTest(words[0]):
                self.assert_error(self.who.container(*words, images.image(), "true"), 125, "cgroup")

    def test_sizes_and_numbers_are_checked(self):
        for words, part in ((("-m", "lots"), "lots"), (("--cpus", "-1"), "-1"), (("--pids-limit", "x"), "x"), (("-m", "1k"), "1k")):
            with self.subTest(" ".join(words)):
                done = self.who.container(*words, images.image(), "true")
                self.assertEqual(done.code, 125, done)
                self.assertIn(part, done.errors)
