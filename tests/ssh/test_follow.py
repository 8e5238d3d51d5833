"""Whoever follows a container in the background over SSH goes on where he was when the connection is lost."""

import re
import shutil
import threading
import time
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, ContainerCase, descendants
from tests.ssh.fault_proxy import FaultProxy
from tests.ssh.server import Server

LINES = 200
COUNT = f"i=0; while [ $i -lt {LINES} ]; do echo out $i; echo err $i >&2; i=$((i+1)); sleep 0.03; done; exit 5"
#: More than a log keeps, 16 MiB in segments of 4.
MANY = 30_000_000


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Follow(ContainerCase):
    def setUp(self):
        super().setUp()
        self.others = set(descendants(with_way=True))
        self.cutter = None
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server, LOCALD_LEASE=3)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.addCleanup(self.end_ways)
        self.proxy = FaultProxy(self.server.port)
        self.addCleanup(self.proxy.close)
        with open(self.who.home / ".ssh/known_hosts", "a") as known:
            known.write(self.server.known_line_at(self.proxy.port))
        self.env = {"LOCALD_HOST": self.server.url(self.who.name, self.proxy.port), "LOCALD_LEASE": "3"}
        self.rootfs = self.who.directory("rootfs")
        self.who.directory("rootfs/bin")
        self.who.write("rootfs/bin/busybox", Path("/bin/busybox").read_bytes()).chmod(0o755)
        for name in ("sh", "sleep", "head", "tr"):
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.addCleanup(shutil.rmtree, self.rootfs)

    def agents(self, *also):
        return [pid for pid, line in descendants(with_way=True).items()
                if any(word in line for word in ("agent --stdio", *also)) and pid not in self.others]

    def end_ways(self):
        self.who.locald("host", "disconnect", env=self.env)
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)
        self.wait_for(lambda: not self.agents("host-holder"), "end of the agents", 30)

    def here(self, *words):
        """By no way at all: it is this host."""
        return self.who.locald(*words, env={"LOCALD_HOST": None})

    def begin(self, script):
        """A container in the background."""
        done = self.assert_ok(self.here("container", "run", "-d", "--rootfs", self.rootfs, "/bin/sh", "-c", script))
        name = done.text.strip()
        self.addCleanup(self.here, "container", "rm", "-f", name)
        return name

    def cut_now_and_then(self, process, every=0.7):
        def work():
            # The first way is made by then: one that fails at once is an error.
            while process.poll() is None and not set(self.agents()) - self.earlier_agents:
                time.sleep(0.1)
            time.sleep(1)
            while process.poll() is None:
                time.sleep(every)
                self.proxy.cut_all()
        self.cutter = threading.Thread(target=work)
        self.cutter.start()
        self.addCleanup(self.cutter.join)

    def follow(self, *words, **env):
        if self.cutter:
            self.cutter.join()  # its last cut is not for us
        self.earlier_agents = set(self.agents())
        return self.who.start("container", *words, env={**self.env, **env})

    @staticmethod
    def numbers(text, stream):
        return [int(number) for number in re.findall(rf"^{stream} (\d+)$", text, re.MULTILINE)]

    def assert_all_lines(self, done, first=0):
        for text, stream in ((done.text, "out"), (done.errors, "err")):
            numbers = self.numbers(text, stream)
            self.assertTrue(numbers, done)
            if first is not None:
                self.assertEqual(numbers[0], first, stream)
            self.assertEqual(numbers, list(range(numbers[0], LINES)), stream)
        self.assertGreater(done.errors.count("connecting again"), 1, done)

    def test_logs_go_on(self):
        for options, env in (((), {"LOCALD_HOLDER": "no"}), ((), {}), (("--timestamps",), {"LOCALD_HOLDER": "no"})):
            with self.subTest(options=options, env=env):
                name = self.begin(COUNT)
                process = self.follow("logs", "-f", *options, name, **env)
                self.cut_now_and_then(process)
                done = self.finish(process, 60)
                self.assertEqual(done.code, 0, done)
                if options:
                    done.out, done.err = (re.sub(rb"(?m)^\d{4}-\S+ ", b"", text) for text in (done.out, done.err))
                self.assert_all_lines(done)

    def test_an_attachment_goes_on_and_knows_the_status(self):
        for env in ({"LOCALD_HOLDER": "no"}, {}):
            with self.subTest(env=env):
                name = self.begin(COUNT)
                process = self.follow("attach", name, **env)
                self.cut_now_and_then(process)
                done = self.finish(process, 60)
                self.assertEqual(done.code, 5, done)
                self.assert_all_lines(done, None)

    def test_what_ended_meanwhile_is_told_to_its_end(self):
        name = self.begin("echo begin; sleep 4; echo end; exit 5")
        process = self.follow("attach", name, LOCALD_HOLDER="no")
        time.sleep(2)
        self.proxy.refuses = True
        self.proxy.cut_all()
        self.here("container", "wait", name)
        self.proxy.refuses = False
        done = self.finish(process, 30)
        self.assertEqual((done.code, done.text), (5, "end\n"), done)

    def test_waiting_goes_on(self):
        name = self.begin("sleep 3; exit 5")
        process = self.follow("wait", name, LOCALD_HOLDER="no")
        self.cut_now_and_then(process)
        done = self.finish(process, 30)
        self.assertEqual((done.code, done.text), (0, "5\n"), done)

    def test_a_gap_is_told_in_numbers(self):
        for verb, code in (("logs -f", 0), ("attach", 5)):
            with self.subTest(verb):
                name = self.begin(f"sleep 3; echo begin; sleep 2; head -c {MANY} /dev/zero | tr '\\0' x; sleep 7; echo; echo end; exit 5")
                process = self.follow(*verb.split(), name, LOCALD_HOLDER="no")
                self.read_until(process.stdout, b"begin\n")
                time.sleep(0.5)
                self.proxy.refuses = True
                self.proxy.cut_all()
                time.sleep(7)
                self.proxy.refuses = False
                done = self.finish(process, 60)
                self.assertEqual(done.code, code, done.errors)
                [lost] = re.findall(r"locald: (\d+) bytes of the output are (?:missing|not in the log)", done.errors)
                self.assertGreater(int(lost), 0)
                self.assertEqual(len(done.out) + int(lost), MANY + len("\nend\n"))

    def test_a_host_that_stays_away_is_an_error_in_the_end_and_leaving_is_possible(self):
        name = self.begin("sleep 60")
        process = self.follow("attach", "--sig-proxy=false", name, LOCALD_HOLDER="no")
        time.sleep(1)
        self.proxy.refuses = True
        self.proxy.cut_all()
        time.sleep(1)
        process.send_signal(15)
        self.assertEqual(self.finish(process).code, 143)


if __name__ == "__main__":
    unittest.main()
