"""kill -9 of anything at any moment: the container goes, nothing stays."""

import os
import re
import signal
import time

from tests.e2e import images
from tests.e2e.support import ABANDONED, cgroups, descendants, files_of, for_each, world


@for_each("root", "user")
class Killed:
    def begin(self, script, *options):
        process = self.who.start("container", "run", *options, images.image(), "sh", "-c", f"echo ready; {script}")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.read_until(process.stdout, b"ready\n")
        return process

    def shim(self):
        found = [pid for pid, line in descendants().items() if re.match(rf"{world().dir}\S*/locald-shim .*bundle run", line)]
        self.assertTrue(found, "no shim runs")
        return min(found)

    def payload_is_gone(self, mark):
        self.wait_for(lambda: not [p for p, line in descendants().items() if mark in line], f"end of {mark}", ABANDONED)

    def test_the_shim_killed_and_locald_removes_the_rest(self):
        process = self.begin("exec sleep 977.1", "--rm")
        os.kill(self.shim(), signal.SIGKILL)
        started = time.monotonic()
        done = self.finish(process)
        self.assertLess(time.monotonic() - started, 5)
        self.assertNotEqual(done.code, 0)
        self.payload_is_gone("sleep 977.1")
        self.assert_nothing_left(0.5)

    def test_locald_killed_and_the_shim_removes_the_rest(self):
        process = self.begin("trap '' TERM HUP; exec sleep 977.2", "--rm")
        process.kill()
        process.wait()
        self.payload_is_gone("sleep 977.2")
        self.wait_for(lambda: not self.left_in_state(), "end of the state", ABANDONED)
        # The store's own part is the next command's.
        self.sweep()

    def test_both_killed_and_the_next_command_sweeps(self):
        process = self.begin("exec sleep 977.3", "--rm")
        shim = self.shim()
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(shim, signal.SIGKILL)
        process.kill()
        process.wait()
        self.payload_is_gone("sleep 977.3")
        self.sweep()

    def test_a_payload_that_cleared_its_death_signal_is_swept_too(self):
        """setpriv --pdeathsig clear, done by a tiny shell of busybox: PID 1 of the namespace is what the signal hits."""
        process = self.begin("(trap '' HUP TERM INT; setsid sleep 977.4 &) ; exec sleep 977.5", "--rm")
        shim = self.shim()
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(shim, signal.SIGKILL)
        process.kill()
        process.wait()
        self.sweep()
        self.payload_is_gone("sleep 977.")

    def test_a_killed_start_leaves_nothing_that_stays(self):
        self.assert_ok(self.who.container(images.image(), "true"))
        for delay in (0.002, 0.005, 0.01, 0.02, 0.03, 0.05):
            process = self.who.start("container", "run", "--rm", images.image(), "sleep", "0.2")
            time.sleep(delay)
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.wait_for(lambda: not [p for p, line in descendants().items() if "sleep 0.2" in line or "locald" in line],
                      "end of all", 10)
        self.sweep()

    def test_a_killed_pull_leaves_a_store_that_works(self):
        for delay in (0.005, 0.02, 0.05, 0.1):
            layout, _ = images.write_layout(f"killed-{self.kind}-{delay}", [images.base_layer(), images.layer(
                *[images.entry(f"f{number}", os.urandom(20000)) for number in range(100)])])
            process = self.who.start("container", "run", "--rm", f"oci:{layout}", "true")
            time.sleep(delay)
            for pid in [process.pid, *descendants()]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            process.wait()
            process.stdout.close()
            process.stderr.close()
            self.assert_prints(self.who.container(f"oci:{layout}", "sh", "-c", "ls /f* | wc -l"), "100\n")

    def left_in_state(self):
        return [name for name in files_of(self.who) - self.before.files if name.startswith(str(self.who.state_dir))]

    def sweep(self):
        """The next command of the user removes what is left."""
        self.assert_ok(self.who.container(images.image(), "true"))
        self.assertFalse(self.before.own(cgroups()) - self.before.cgroups)
        self.assertFalse(files_of(self.who) - self.before.files)
