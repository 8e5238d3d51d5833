"""`locald container run` with limits: as root, and as an ordinary user in what his systemd delegated to him."""

import contextlib

from tests.e2e import images, support
from tests.e2e.test_limits import Limited
from tests.guest.support import CGROUPS, GuestCase, as_user, require_guest, run, user_manager


class LimitsAsRoot(Limited):
    """The files of the container's cgroup, read from outside."""

    def setUp(self):
        require_guest()
        super().setUp()

    def read(self, pid, file):
        path = CGROUPS / self.places(pid)[""].lstrip("/")
        for folder in (path, path.parent):
            with contextlib.suppress(FileNotFoundError):
                text = (folder / file).read_text().strip()
                if not text.startswith("max"):
                    return text
        return self.fail(f"no limit in {file} at or above {path}")

    def test_memory(self):
        self.assertEqual(self.read(self.limited("-m", "64m"), "memory.max"), str(64 << 20))

    def test_cpus(self):
        self.assertEqual(self.read(self.limited("--cpus", "0.5"), "cpu.max"), "50000 100000")

    def test_pids(self):
        self.assertEqual(self.read(self.limited("--pids-limit", "23"), "pids.max"), "23")

    def test_memory_that_runs_out_kills(self):
        done = self.who.container("-m", "16m", images.image(), "tail", "/dev/zero")
        self.assertEqual(done.code, 137, done)

    def test_pids_that_run_out(self):
        done = self.who.container("--pids-limit", "5", images.image(), "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait")
        self.assertIn("can't fork", done.errors, done)


class LimitsAsDelegatedUser(GuestCase):
    """A user whose systemd gave him a cgroup."""

    def locald(self, *words):
        """`locald container run --rm OPTION… busybox sh -c LINE`"""
        user_manager()
        *options, line = words
        return run(as_user(support.world().locald, "container", "run", "--rm", *options, images.image(), "sh", "-c", line))

    def test_limits_are_kept(self):
        done = self.locald("-m", "64m", "--cpus", "0.5", "--pids-limit", "23", "cat /proc/self/cgroup; echo fine")
        self.assertEqual((done.returncode, done.stdout), (0, "0::/\nfine\n"), done)

    def test_memory_that_runs_out_kills(self):
        self.assertEqual(self.locald("-m", "16m", "exec tail /dev/zero").returncode, 137)

    def test_pids_that_run_out(self):
        done = self.locald("--pids-limit", "5", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait")
        self.assertIn("can't fork", done.stderr, done)
