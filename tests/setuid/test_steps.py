"""Stop and kill at every system call of the prologue.

root's strace sends the signal, because a user has no tracer there: `strace -u USER` keeps the setuid bit. Stopped, the process
and its helpers are attacked by an account with the same uid; killed, nothing may be left and the next start must work.
"""

import collections
import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.setuid.support import SAFE_PATH, SetuidCase, processes, reap, subtrees, traced, wait_until, world

VERBS = ("bundle", "run", "create", "restore", "userns", "exec")
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD, SYS_PROCESS_VM_READV = 434, 438, 310


def status(pid):
    try:
        return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    except OSError:
        return {}


def has_roots_rights(pid):
    """On the host: a container's first processes have every capability in the caller's own namespace."""
    try:
        if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user"):
            return False
    except OSError:
        return False
    now = status(pid)
    return bool(now) and ("0" in now["Uid"].split() or int(now["CapPrm"], 16) != 0)


def attack(who, pid):
    """What somebody with this uid can open of a process: names of what he got."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        got = []
        try:
            os.setgroups([])
            os.setresgid(who.gid, who.gid, who.gid)
            os.setresuid(who.uid, who.uid, who.uid)
            libc = ctypes.CDLL(None, use_errno=True)
            for name, flags in (("mem", os.O_RDWR), ("environ", os.O_RDONLY), ("maps", os.O_RDONLY), ("ns/user", os.O_RDONLY),
                                ("fd", os.O_RDONLY), ("auxv", os.O_RDONLY), ("syscall", os.O_RDONLY)):
                try:
                    fd = os.open(f"/proc/{pid}/{name}", flags)
                    os.read(fd, 1) if name in ("maps", "syscall", "auxv", "environ") else None
                    got.append(name)
                except OSError:
                    pass
            pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
            if pidfd >= 0 and libc.syscall(SYS_PIDFD_GETFD, pidfd, 0, 0) >= 0:
                got.append("pidfd_getfd")
            buffer = ctypes.create_string_buffer(8)
            local = (ctypes.c_void_p * 2)(ctypes.cast(buffer, ctypes.c_void_p).value, 8)
            remote = (ctypes.c_void_p * 2)(0x400000, 8)
            if libc.syscall(SYS_PROCESS_VM_READV, pid, local, 1, remote, 1, 0) > 0:
                got.append("process_vm_readv")
            os.write(write, " ".join(got).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    said = os.read(read, 4096).decode().split()
    os.close(read)
    return said


class Steps(SetuidCase):
    def ours(self):
        """The shim's processes: P, and what stands beside it."""
        found = []
        for pid in processes():
            try:
                if os.readlink(f"/proc/{pid}/exe").startswith(str(world().dir / "libexec")):
                    found.append(pid)
            except OSError:
                pass
        return found

    def steps(self, program, *words):
        """(system call, which of its kind) of every one until root is given up, of the process and those beside it."""
        log = self.who.write("trace", "")
        traced(self.who, ["-o", log], program, *words)
        counts, steps, found = collections.Counter(), [], []
        for line in log.read_text().splitlines():
            if match := re.match(r"(\d+) +(\w+)\(", line):
                counts[match.groups()] += 1
                steps.append((match[2], counts[match.groups()]))
            if re.search(r"setresuid\(-1, 0, -1\)\s+= -1 EPERM", line):
                found = sorted(set(steps) - {("execve", 1)})
        self.assertGreater(len(found), 40, "too few system calls were seen before root was given up")
        return found

    def stopped_at(self, step, argv):
        name, count = step
        words = ["strace", "-f", "-qq", "-u", self.who.name, "-o", "/dev/null", f"--inject={name}:signal=SIGSTOP:when={count}", *argv]
        return subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, cwd=self.who.home, env={"PATH": SAFE_PATH}, start_new_session=True)

    def words(self, verb, bundle, name):
        """A command of every verb that root does something for. What `create` leaves would keep strace waiting, so it finds no
        bundle, after all that root does."""
        return {"bundle": ("bundle", "run", "--bundle", bundle.dir, "--id", name), "run": ("run", "--bundle", bundle.dir, name),
                "create": ("create", "--bundle", "/nowhere", name), "exec": ("exec", name, "id"),
                "restore": ("restore", "--bundle", bundle.dir, "--image-path", bundle.dir, name),
                "userns": ("userns", "--socket-fd", "3")}[verb]

    def attack_every_step(self, program, verb):
        """{step: what was got} while something of the shim had rights of root's, and how many such steps there were."""
        bundle, got, seen = self.bundle("true"), {}, 0
        name = self.new_id()
        words = self.words(verb, bundle, name)
        steps = self.steps(program, *words)
        self.who.shim("delete", "--force", name)
        for step in steps:
            process = self.stopped_at(step, [program, *words])
            wait_until(lambda: self.stopped() or process.poll() is not None, 2, 0.002)
            ours = self.ours()
            if any(map(has_roots_rights, ours)):
                said = [what for pid in ours for what in attack(self.who, pid)]
                # Only one of them is stopped: another may have gone on and given its rights up meanwhile.
                if any(map(has_roots_rights, ours)):
                    seen += 1
                    if said:
                        got[step] = said
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            for pid in self.ours():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            wait_until(lambda: (reap(), not self.ours())[1])
            self.who.shim("delete", "--force", name)
        return got, seen, len(steps)

    def stopped(self):
        """A process that stays where it is: the stops of each call, which strace makes, are over in a moment."""
        def place(pid):
            now = status(pid)
            return now.get("State", "")[:1] in ("T", "t") and (pid, now.get("voluntary_ctxt_switches"), now.get("nonvoluntary_ctxt_switches"))
        before = {place(pid) for pid in self.ours()} - {False}
        time.sleep(0.008)
        return before & {place(pid) for pid in self.ours()}

    def test_nobody_reaches_into_it_while_it_has_rights_of_roots(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                got, seen, steps = self.attack_every_step(world().shim, verb)
                self.assertEqual(got, {})
                self.assertGreater(seen, steps * 2 // 3, "too few of the steps were seen with root's rights")

    def kill_at_every_step(self, verb, bundle, name):
        words = self.words(verb, bundle or self.plain, name)
        keeps = verb == "exec"
        steps = self.steps(world().shim, *words)
        if not keeps:
            self.who.shim("delete", "--force", name)
        running = set(self.ours())

        def containers():  # on version 1 one has a cgroup only where it has a limit
            return {subtree: {path.name for path in subtree.iterdir() if path.is_dir()} - {".start"} for subtree in subtrees(self.who.uid)}

        before = containers()
        self.assertEqual(set().union(*before.values()), {name} if keeps else set())
        for number, (call, count) in enumerate(steps):
            step = f"{verb}: {call} {count}"
            traced(self.who, ["-o", "/dev/null", f"--inject={call}:signal=SIGKILL:when={count}"], world().shim, *words)
            wait_until(lambda: (reap(), set(self.ours()) <= running)[1], 3)
            if not keeps:  # what was past the prologue may have written a state, as with every kill -9; `delete` takes it
                self.assertEqual(self.who.shim("delete", "--force", name).code, 0, step)
                wait_until(lambda: (reap(), set(self.ours()) <= running)[1], 3)
            self.assertEqual(set(self.ours()), running, step)
            self.assertEqual(containers(), before, step)
            if number % 10 == 0:
                self.assert_runs(self.plain)

    def test_a_kill_at_any_step_leaves_nothing(self):
        self.plain = self.bundle("true")
        for verb in VERBS:
            with self.subTest(verb=verb):
                if verb == "exec":
                    _, _, name = self.start(self.bundle("sleep", "100"))
                    self.kill_at_every_step(verb, None, name)
                    self.assertEqual(json.loads(self.who.shim("state", name).text)["status"], "running")
                else:
                    self.kill_at_every_step(verb, self.plain, self.new_id())

    def signalled(self, program, step):
        """Whether the shim died of a signal while it had rights of root's."""
        log, bundle, name = self.who.write("trace", ""), self.bundle("true"), self.new_id()
        traced(self.who, ["-o", log, f"--inject={step[0]}:signal=SIGSEGV:when={step[1]}"], program, *self.words("bundle", bundle, name))
        text = log.read_text()
        first = text.split()[0]
        died, dropped = re.search(rf"(?m)^{first} +\+\+\+ killed by SIGSEGV", text), re.search(rf"(?m)^{first} +setresuid\(-1, 0, -1\b", text)
        self.assertEqual(self.who.shim("delete", "--force", name).code, 0)
        return died is not None and (dropped is None or died.start() < dropped.start())

    def test_signals_wait_until_root_is_given_up(self):
        """Of those that end a program and write a core all but the first six calls know nothing: who one is, and the mask."""
        steps = self.steps(world().shim, *self.words("bundle", self.bundle("true"), self.new_id()))
        early = {("getresuid", 1), ("getresgid", 1), ("capget", 1), ("getpid", 1), ("setresgid", 1), ("prctl", 1)}
        self.assertLessEqual({step for step in steps if self.signalled(world().shim, step)}, early)
        self.assertTrue(self.signalled(world().weak("signals"), ("openat2", 1)))

    def test_a_program_by_descriptor_is_the_same(self):
        bundle = self.bundle("cat", "/proc/self/uid_map")
        fd = os.open(world().shim, os.O_PATH)
        os.set_inheritable(fd, True)
        self.addCleanup(os.close, fd)
        done = self.who.run([f"/proc/self/fd/{fd}", "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id()], pass_fds=(fd,))
        self.assertEqual(done.code, 0, done)
        self.assertIn(str(self.who.uid), done.text)


class Bites(Steps):
    def test_nobody_reaches_into_it_while_it_has_rights_of_roots(self):
        got, _, _ = self.attack_every_step(world().weak("dumpable"), "run")
        self.assertTrue(got, "the attack finds nothing where the defence is left out")

    test_a_kill_at_any_step_leaves_nothing = None
    test_signals_wait_until_root_is_given_up = None
    test_a_program_by_descriptor_is_the_same = None
