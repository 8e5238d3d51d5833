"""A container goes into files and comes out of them again; criu of tools/fetch-peers does the work."""

import os
import subprocess
import unittest
from pathlib import Path

from tests.conformance.bundle import MOUNTS, BundleTest
from tests.conformance.support import PEERS, PROGRAMS, call, world

CRIU = PEERS.parent / "criu/bin/criu"
COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/next; mv /tmp/next /tmp/count; sleep 0.05; done"
FIXED_PLACES = ("/usr/sbin/criu", "/usr/bin/criu", "/usr/local/sbin/criu", "/usr/local/bin/criu")


class TestCheckpoint(BundleTest):
    def counting(self, line=COUNT):
        bundle = self.bundle("shim", line)
        (bundle.dir / "rootfs/bin/mv").symlink_to("busybox")
        data = bundle.dir / "data"
        data.mkdir()
        (data / "file").write_text("bound\n")
        bundle.config["mounts"] = MOUNTS + [
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/data", "source": "data", "options": ["rbind"]},
        ]
        (bundle.dir / "rootfs/data").mkdir()
        bundle.config["linux"].update(maskedPaths=["/proc/keys", "/proc/acpi", "/sys/firmware"], readonlyPaths=["/proc/sys"])
        bundle.config["process"].update(noNewPrivileges=True, capabilities={"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]})
        bundle.write()
        return bundle

    def words(self, bundle, verb, *words):
        return [PROGRAMS["shim"], "--root", world().state("shim"), "--criu", CRIU, verb, "--image-path", bundle.dir / "images",
                *words, bundle.id]

    def checkpoint(self, bundle, *words):
        return call(self.words(bundle, "checkpoint", *words))

    def restore(self, bundle, *words):
        return call(self.words(bundle, "restore", "--bundle", bundle.dir, *words))

    def count(self, bundle):
        return int((bundle.dir / "rootfs/tmp/count").read_text())

    def wait_for_count(self, bundle, least):
        path = bundle.dir / "rootfs/tmp/count"
        self.wait_until(lambda: path.exists() and self.count(bundle) >= least)

    def null_streams(self, bundle):
        """A regular file must not have grown meanwhile; what is nothing never does."""
        process = subprocess.run(list(map(str, bundle.words("run", "-d", "--bundle", bundle.dir, bundle.id))),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(process.returncode, 0)
        self.wait_for_count(bundle, 3)

    def test_a_counting_container_goes_on_where_it_was(self):
        bundle = self.counting()
        self.null_streams(bundle)
        self.ok(self.checkpoint(bundle))
        stopped_at = self.count(bundle)
        self.assertIsNone(bundle.state())
        words = list(map(str, self.words(bundle, "restore", "--bundle", bundle.dir, "--detach", "--pid-file", bundle.dir / "pid")))
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_for_count(bundle, stopped_at + 3)
        self.assertLess(self.count(bundle), stopped_at + 100)
        state = bundle.state()
        self.assertEqual(state["status"], "running")
        self.assertEqual((bundle.dir / "pid").read_text(), str(state["pid"]))
        # It is a container like any other: in its cgroup, with its mounts, its rights and its root.
        self.assertIn(bundle.id, Path(f"/proc/{state['pid']}/cgroup").read_text())
        inside = self.ok(bundle.call("exec", after=("sh", "-c", "cat /data/file /proc/keys; grep CapBnd /proc/1/status; ls /")))
        self.assertTrue(inside.out.startswith("bound\nCapBnd:\t0000000000000020\n"), inside)
        self.assertNotIn("home", inside.out)
        self.ok(bundle.call("kill", after=("KILL",)))

    def test_it_may_run_on(self):
        bundle = self.counting()
        self.null_streams(bundle)
        self.ok(self.checkpoint(bundle, "--leave-running"))
        now = self.count(bundle)
        self.wait_for_count(bundle, now + 2)
        self.assertEqual(bundle.state()["status"], "running")

    def test_a_paused_one_is_checkpointed_too(self):
        bundle = self.counting()
        self.null_streams(bundle)
        self.ok(bundle.call("pause"))
        self.ok(self.checkpoint(bundle))
        self.assertIsNone(bundle.state())

    def test_in_the_foreground_its_end_and_its_streams_are_ours(self):
        bundle = self.counting("read word; echo got $word; exit 7")
        first = subprocess.Popen(list(map(str, bundle.words("run", "--bundle", bundle.dir, bundle.id))),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(first.stderr.close)  # a pipe as well: criu restores a stream of the kind that it was
        self.addCleanup(first.stdout.close)
        self.addCleanup(first.stdin.close)
        self.wait_until(lambda: (bundle.state() or {}).get("status") == "running")
        self.ok(self.checkpoint(bundle))
        self.assertEqual(first.wait(10), 137)
        again = subprocess.run(list(map(str, self.words(bundle, "restore", "--bundle", bundle.dir))), input=b"hello\n",
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        self.assertEqual((again.returncode, again.stdout), (7, b"got hello\n"), again.stderr)
        self.assertIsNone(bundle.state())

    def test_a_restore_that_fails_says_why_and_leaves_nothing(self):
        bundle = self.counting()
        self.null_streams(bundle)
        self.ok(self.checkpoint(bundle))
        bundle.config["mounts"][-1]["source"] = "nowhere"
        bundle.write()
        done = self.restore(bundle, "--detach")
        self.assertEqual(done.code, 1)
        self.assertIn("/nowhere: No such file or directory", done.err)
        self.assertIn("restore.log", done.err)
        self.assertIsNone(bundle.state())

    def test_a_stopped_container_has_nothing_to_checkpoint(self):
        bundle = self.bundle("shim", "exit 0")
        self.ok(bundle.call("run", "-d"))
        self.wait_until(lambda: bundle.state()["status"] == "stopped")
        self.assertIn("container not running", self.checkpoint(bundle).err)


class TestWhatIsMissing(BundleTest):
    """One error each, that names it."""

    def running(self):
        bundle = self.bundle("shim", "sleep 300")
        self.ok(bundle.call("run", "-d"))
        return bundle

    def test_criu(self):
        bundle = self.running()
        hide = " ".join(f"[ ! -e {path} ] || mount --bind /dev/null {path};" for path in FIXED_PLACES)
        done = call(["unshare", "--mount", "sh", "-c", hide + 'exec "$@"', "sh", *bundle.words("checkpoint", bundle.id)], cwd=bundle.dir)
        self.assertEqual(done.code, 1)
        self.assertIn("criu is not installed", done.err)
        self.assertIn("install the package `criu`", done.err)

    def test_the_criu_that_was_named(self):
        words = [PROGRAMS["shim"], "--root", world().state("shim"), "--criu", "/none", "checkpoint", self.running().id]
        self.assertIn("--criu /none: No such file or directory", call(words).err)

    def test_root(self):
        words = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", PROGRAMS["shim"], "--root", world().dir / "user", "restore", "one"]
        (world().dir / "user").mkdir(exist_ok=True)
        os.chown(world().dir / "user", 54321, 54321)
        done = call(words, cwd=world().dir / "user")
        self.assertEqual(done.code, 1)
        self.assertIn("need root: Operation not permitted", done.err)

    def test_nothing_for_the_help_that_engines_probe(self):
        for verb in ("checkpoint", "restore"):
            self.assertIn("--image-path", self.ok(call([PROGRAMS["shim"], verb, "--help"])).out)


if __name__ == "__main__":
    unittest.main()
