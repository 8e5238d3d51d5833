"""Another kernel for real: the machine of vm-images/test, with locald brought there by itself. It is rebooted below containers,
stopped as a laptop that sleeps, and its disk filled."""

import os

os.environ["LOCALD_E2E_OVER"] = "ssh"  # before the world is made, which has the pair then

# pylint: disable=wrong-import-position
import contextlib
import json
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import IS_ROOT, SAFE_PATH, Done, world
from tests.guest.machine import READY, SSH_SECONDS, Guest, image

BUSYBOX = "/srv/images/busybox"
REBOOT_SECONDS = 240


class Machine(Guest):
    """A guest that comes back after a reboot, and whose processors can be stopped."""

    def __init__(self, directory):
        super().__init__(directory)
        self.argv.remove("-no-reboot")

    def order(self, *commands):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(20)
            link.connect(str(self.monitor))
            stream = link.makefile("rw")
            stream.readline()
            for command in ("qmp_capabilities", *commands):
                stream.write(json.dumps({"execute": command}) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    assert "error" not in answer, answer

    def reboot(self):
        boots = self.console_bytes().count(READY)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.ssh("sync; echo b >/proc/sysrq-trigger", timeout=5)  # its file system has no journal
        (self.dir / "ssh").unlink(missing_ok=True)
        self.wait(lambda: self.console_bytes().count(READY) > boots, REBOOT_SECONDS, "boot again")
        self.wait(lambda: self.ssh("true", timeout=20).returncode == 0, SSH_SECONDS, "answer by ssh")


def setUpModule():
    if not IS_ROOT:
        raise unittest.SkipTest("needs root for the image of the guest")
    Case.machine = Machine(image()).__enter__()
    Case.machine.copy_in([(images.busybox(), "busybox")], "/srv/images")
    Case.home = Path(tempfile.mkdtemp(prefix="locald-client-"))


def tearDownModule():
    for name in ("machine", "home"):
        if getattr(Case, name, None) is not None:
            with contextlib.suppress(Exception):
                Case("locald").locald("host", "disconnect")
    if Case.machine:
        Case.machine.end()
    if Case.home:
        shutil.rmtree(Case.home, ignore_errors=True)


class Case(unittest.TestCase):
    machine = home = None

    def environment(self):
        key = self.home / "key"
        if not key.exists():
            shutil.copy(self.machine.image / "key", key)
            key.chmod(0o600)
        line = (self.machine.image / "known_hosts").read_text().split(" ", 1)[1]
        (self.home / "known").write_text(f"[127.0.0.1]:{self.machine.port} {line}")
        return {"HOME": str(self.home), "PATH": SAFE_PATH, "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": str(self.home),
                "XDG_DATA_HOME": str(self.home / "data"),
                "LOCALD_HOST": f"ssh://root@127.0.0.1:{self.machine.port}?identity={key}&known-hosts={self.home}/known"}

    def start(self, *words, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([str(word) for word in (world().locald, *words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(), cwd=self.home, **kwargs)

    def finish(self, process, seconds=120, data=None):
        try:
            out, err = process.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            self.fail(f"no end after {seconds} s: {process.communicate()}")
        return Done(process.args, process.returncode, out, err)

    def locald(self, *words, data=None, **kwargs):
        if data is not None:
            kwargs["stdin"] = subprocess.PIPE
        return self.finish(self.start(*words, **kwargs), data=data)

    def run_there(self, *words, **kwargs):
        return self.locald("container", "run", "--rm", "--quiet", *words, **kwargs)

    def shell(self, line):
        done = self.machine.ssh(line)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def assert_nothing_left(self):
        """Of containers; the agent and the pair stay for the next command."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            left = self.shell("find /sys/fs/cgroup -type d -path '*locald*' -name 'lc*' | head; ls /run/locald/0 | grep -v '^\\.' || true; "
                              "grep -c overlay /proc/self/mountinfo || true").split()
            if left == ["0"]:
                return
            time.sleep(0.5)
        self.fail(f"left in the machine: {left}")

    def running(self, name):
        return name in self.locald("container", "ls", "-q", "--no-trunc").text.split()

    def wait_for(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"no {what} after {seconds} s")
            time.sleep(0.2)


class Core(Case):
    def test_the_kernel_is_the_machines(self):
        done = self.run_there(f"oci:{BUSYBOX}:latest", "uname", "-r")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.text.strip(), self.shell("uname -r").strip())
        self.assertNotEqual(done.text.strip(), platform.release())

    def test_output_apart_and_the_status(self):
        done = self.run_there(f"oci:{BUSYBOX}:latest", "sh", "-c", "echo out; echo err >&2; exit 42")
        self.assertEqual((done.code, done.out, done.err), (42, b"out\n", b"err\n"))
        self.assertEqual(self.run_there("locald/hello", "exit", "7").code, 7)
        self.assert_nothing_left()

    def test_bytes_go_both_ways(self):
        data = os.urandom(1 << 20)
        done = self.run_there("-i", f"oci:{BUSYBOX}:latest", "cat", data=data)
        self.assertEqual(done.code, 0, done)
        self.assertTrue(done.out == data)

    def test_a_signal_reaches_the_program(self):
        process = self.start("container", "run", "--rm", "--quiet", f"oci:{BUSYBOX}:latest", "sh", "-c",
                             "trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.send_signal(signal.SIGTERM)
        done = self.finish(process)
        self.assertEqual((done.code, done.out), (3, b"got\n"), done)

    def test_limits_are_those_of_the_machine(self):
        done = self.run_there("-m", "16m", f"oci:{BUSYBOX}:latest", "tail", "/dev/zero")
        self.assertEqual((done.code, done.out), (137, b""), done)
        self.assert_nothing_left()

    def test_a_container_in_the_background(self):
        done = self.locald("container", "run", "-d", "--name", "behind", f"oci:{BUSYBOX}:latest", "sh", "-c", "echo words; sleep 100")
        self.assertEqual(done.code, 0, done)
        self.wait_for(lambda: self.locald("container", "logs", "behind").out == b"words\n", "log")
        self.assertEqual(self.locald("container", "exec", "behind", "echo", "inside").out, b"inside\n")
        self.assertEqual(self.locald("container", "rm", "-f", "behind").code, 0)
        self.assert_nothing_left()

    def test_a_registry_that_cannot_be_reached_from_there_is_named(self):
        done = self.run_there("registry.invalid/none", "true")
        self.assertEqual(done.code, 125, done)
        self.assertIn("registry.invalid", done.errors)


class Trouble(Case):
    def up(self):
        process = self.start("container", "run", "--rm", "--quiet", f"oci:{BUSYBOX}:latest", "sh", "-c",
                             "echo up; sleep 25; echo still; exit 5")
        self.assertEqual(process.stdout.readline(), b"up\n")
        return process

    def test_a_reboot_below_containers(self):
        done = self.locald("container", "run", "-d", "--name", "before", f"oci:{BUSYBOX}:latest", "sleep", "1000")
        self.assertEqual(done.code, 0, done)
        process = self.up()
        self.machine.reboot()
        done = self.finish(process, 60)
        self.assertEqual(done.code, 125, done)
        self.assertIn("its exit status is not known", done.errors)
        done = self.run_there("locald/hello", "exit", "7")
        self.assertEqual(done.code, 7, done)
        listed = map(json.loads, self.locald("container", "ls", "-a", "--format", "json").text.splitlines())
        states = {entry["ID"]: entry["State"] for entry in listed}
        self.assertEqual(states.get("before"), "lost", states)
        self.assertEqual(self.locald("container", "wait", "before").code, 125)
        self.assertEqual(self.locald("container", "rm", "before").code, 0)
        self.assert_nothing_left()

    def test_a_machine_that_slept_a_little_goes_on(self):
        process = self.up()
        self.machine.order("stop")
        time.sleep(6)
        self.machine.order("cont")
        done = self.finish(process)
        self.assertEqual((done.code, done.out), (5, b"still\n"), done)

    def test_a_machine_that_slept_long_is_lost_and_ends_the_container_itself(self):
        process = self.up()
        self.machine.order("stop")
        try:
            done = self.finish(process, 60)
        finally:
            self.machine.order("cont")
        self.assertEqual(done.code, 125, done)
        self.assertIn("its exit status is not known", done.errors)
        self.assert_nothing_left()
        self.assertEqual(self.run_there("locald/hello", "exit", "7").code, 7)

    def test_a_full_disk_is_named_and_loses_nothing(self):
        self.shell("fallocate -l $(($(df --output=avail -B1 / | tail -n 1) - 100000)) /filler && dd if=/dev/zero of=/filler2 bs=4k 2>&- || true")
        try:
            done = self.run_there(f"oci:{BUSYBOX}:configured")
            if done.code == 0:
                done = self.run_there(f"oci:{BUSYBOX}:latest", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=10")
            self.assertNotEqual(done.code, 0)
            self.assertIn("No space left on device", done.errors)
        finally:
            self.shell("rm -f /filler /filler2")
        self.assertEqual(self.run_there(f"oci:{BUSYBOX}:configured").text, "entry cmd\n")
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
