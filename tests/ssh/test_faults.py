"""A run over SSH whose link, server or agent fails at any step: it ends soon, with the true status or as lost, and the other side keeps nothing.

The steps are the chunks that a proxy between locald and the server hands on, from the banner to the last word. A run without a fault says how many
there are; then each fault is tried at each of them, in a run of its own.
"""

import collections
import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, PATIENCE, ContainerCase, cgroups, descendants, parents
from tests.ssh.fault_proxy import FaultProxy
from tests.ssh.server import Server

#: Seconds; see timing_between_hosts(). A client sees silence after two thirds of it, and waits five for a greeting.
LEASE = 3
#: No stage of a connection takes longer than its deadline, and there are four: key exchange, shell, greeting, run.
CLIENT_MOST = 30 * PATIENCE
#: The lease, then the stop signal, which the container heeds, then removal; on a busy machine.
GONE_MOST = LEASE + 12
AT_ONCE = 8
SCRIPT = 'trap "exit 9" TERM; read line; echo "<$line>"; exit 7'
STOPPED, KILLED = signal.SIGSTOP, signal.SIGKILL

_count = 0


def next_name():
    global _count
    _count += 1
    return f"fault-{os.getpid()}-{_count}"


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Faults(ContainerCase):
    def setUp(self):
        super().setUp()
        self.others = set(descendants(with_way=True))
        self.server = Server(self.who.home / "sshd", "MaxSessions 2", "LoginGraceTime 10")
        self.addCleanup(self.server.remove)
        self.addCleanup(self.wait_for_no_agent)
        self.who.enter(self.server, LOCALD_LEASE=LEASE)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.addCleanup(shutil.rmtree, self.who.runtime / "locald/.hosts", ignore_errors=True)
        self.lock = threading.Lock()
        self.rootfs = self.who.directory("rootfs")
        self.who.directory("rootfs/bin")
        self.who.write("rootfs/bin/busybox", Path("/bin/busybox").read_bytes()).chmod(0o755)
        self.addCleanup(shutil.rmtree, self.rootfs)

    def wait_for_no_agent(self):
        # By the last lease, and as long as a container that must be killed takes.
        self.wait_for(lambda: not [pid for pid, line in descendants(with_way=True).items()
                                   if "agent --stdio" in line and pid not in self.others], "end of the agents", GONE_MOST)

    def proxy(self, *words, **options):
        proxy = FaultProxy(self.server.port, *words, **options)
        with self.lock, open(self.who.home / ".ssh/known_hosts", "a") as known:
            known.write(self.server.known_line_at(proxy.port))
        return proxy

    def run_by(self, proxy, name, holder):
        """The code and output of one run that says <word> and ends with 7, within its time."""
        env = {"LOCALD_HOST": self.server.url(self.who.name, proxy.port), "LOCALD_LEASE": LEASE}
        if not holder:
            env["LOCALD_HOLDER"] = "no"
        process = self.who.start("--quiet", "container", "run", "--rm", "-i", "--name", name, "--rootfs", self.rootfs,
                                 "/bin/busybox", "sh", "-c", SCRIPT, name, env=env, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(b"word\n", timeout=CLIENT_MOST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"no end after {CLIENT_MOST} s") from None
        return process.returncode, out, err.decode(errors="replace")

    def count_steps(self, holder):
        """How many chunks a run takes, and at which of them the agent was there first."""
        first_with_agent = []

        def look(number, upstream_port):
            if not first_with_agent and self.session(upstream_port, agent=True):
                first_with_agent.append(number)

        proxy = self.proxy(every=look)
        try:
            code, out, err = self.run_by(proxy, next_name(), holder)
            self.assertEqual((code, out), (7, b"<word>\n"), err)
            return proxy.passed, first_with_agent[0]
        finally:
            self.disconnect(proxy)
            proxy.close()

    def disconnect(self, proxy):
        self.who.locald("host", "disconnect", self.server.url(self.who.name, proxy.port))

    def session(self, upstream_port, agent=False):
        """The server's processes of a connection, or the agent that they started."""
        inodes = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if [int(words[at].split(":")[1], 16) for at in (1, 2)] == [self.server.port, upstream_port]:
                inodes.add(f"socket:[{words[9]}]")
        table = parents()
        children = collections.defaultdict(list)
        for pid, parent in table.items():
            children[parent].append(pid)
        below, found = list(children[self.server.process.pid]), []
        for pid in below:
            below.extend(children[pid])
        for pid in below:
            with contextlib.suppress(OSError):
                if any(os.readlink(entry.path) in inodes for entry in os.scandir(f"/proc/{pid}/fd")):
                    found.append(pid)
        if not agent:
            return found
        agents, below = [], [child for pid in found for child in children[pid]]
        for pid in below:
            below.extend(children[pid])
            with contextlib.suppress(OSError):
                if b"agent\0--stdio" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    agents.append(pid)
        return agents

    def left_of(self, name):
        """What is there of a container."""
        left = [line for line in descendants(with_way=True).values() if name in line and "container run" not in line]
        left += [path for path in cgroups() if name in path]
        return left

    def one(self, step, deed, victim, number, holder):
        """One run with one fault at one step. @return its code"""
        name = next_name()
        victims, signalling, over = [], threading.Lock(), threading.Event()

        def every(passed, upstream_port):
            if passed == step and number:
                with signalling:
                    if over.is_set():
                        return  # nobody would let go on what is stopped now
                    victims.extend(self.session(upstream_port, agent=victim == "agent"))
                    self.signal(victims, number)

        proxy = self.proxy(step, deed, every)
        try:
            try:
                code, out, err = self.run_by(proxy, name, holder)
            finally:
                with signalling:
                    over.set()
            where = f"{deed or victim} {number or ''} at step {step}: {code} {out!r} {err!r}"
            self.assertIn(code, (7, 125), where)
            if code == 7:
                self.assertEqual(out, b"<word>\n", where)
            else:
                self.assertIn(out, (b"", b"<word>\n"), where)
                self.assertTrue(err.startswith("locald: "), where)
                if deed != "flip":  # other words than the server's may say what it never said
                    self.assertNotRegex(err, "refused|allow one of|not known:", f"a fault is no refusal; {where}")
            if victim == "agent" and number == STOPPED:
                self.signal(victims, signal.SIGCONT)  # it cannot judge a lease while it does not run
            self.wait_for(lambda: not self.left_of(name), f"end of the container; {where}", GONE_MOST)
            if holder:
                self.assert_usable_again(proxy, where)
            return code
        finally:
            self.signal(victims, signal.SIGCONT)
            if victim != "agent":
                self.signal(victims, signal.SIGKILL)
            if holder:
                self.disconnect(proxy)
            proxy.close()

    def assert_usable_again(self, proxy, where):
        """The process that keeps the connection may hear of the fault only now: then the next run is lost as well, and none after it."""
        proxy.heal()
        proxy.cut_all()
        codes = [self.run_by(proxy, next_name(), True)[0] for _ in range(2)]
        self.assertIn(codes[0], (7, 125), where)
        self.assertEqual(codes[1], 7, f"the run after the next; {where}")

    @staticmethod
    def signal(pids, number):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def at_every_step(self, deed="", victim="", number=0, holder=False):
        self.assert_next_run_works()  # which brings the pair there
        steps, agent_from = self.count_steps(holder)
        self.assertGreater(steps, 20)
        first = agent_from if victim == "agent" else 1
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = {step: pool.submit(self.one, step, deed, victim, number, holder) for step in range(first, steps + 2)}
        codes = {step: run.result() for step, run in runs.items()}
        # Where nothing was lost at all the fault did not happen.
        if deed != "split":
            self.assertIn(125, codes.values())
        else:
            self.assertEqual(set(codes.values()), {7})
        self.assert_next_run_works()
        print(f"  {deed or victim} {number or ''}: {steps} steps, {list(codes.values()).count(125)} lost, {time.monotonic() - begin:.0f} s",
              flush=True)

    def assert_next_run_works(self):
        proxy = self.proxy()
        try:
            code, out, err = self.run_by(proxy, next_name(), False)
            self.assertEqual((code, out), (7, b"<word>\n"), err)
        finally:
            proxy.close()

    def test_the_link_is_cut(self):
        self.at_every_step("cut")

    def test_the_link_falls_silent(self):
        self.at_every_step("stall")

    def test_the_server_hears_nothing_any_more(self):
        self.at_every_step("up")

    def test_the_client_hears_nothing_any_more(self):
        self.at_every_step("down")

    def test_bytes_are_missing(self):
        self.at_every_step("drop")

    def test_a_bit_is_another(self):
        self.at_every_step("flip")

    def test_bytes_come_in_pieces_and_late(self):
        self.at_every_step("split")

    def test_the_server_is_killed(self):
        self.at_every_step(victim="server", number=KILLED)

    def test_the_server_stands_still(self):
        self.at_every_step(victim="server", number=STOPPED)

    def test_the_agent_is_killed(self):
        self.at_every_step(victim="agent", number=KILLED)

    def test_the_agent_stands_still(self):
        self.at_every_step(victim="agent", number=STOPPED)

    def test_the_link_of_a_kept_connection_is_cut(self):
        self.at_every_step("cut", holder=True)

    def test_the_link_of_a_kept_connection_falls_silent(self):
        self.at_every_step("stall", holder=True)


if __name__ == "__main__":
    unittest.main()
