"""What the conformance tests stand on: the three runtimes, the views of cgroups, and what a test may leave behind."""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = Path(os.environ.get("LOCALD_E2E_BIN", ROOT / "build/release/bin"))
PEERS = ROOT / "build/peers/bin"
PROGRAMS = {"shim": BUILT / "locald-shim", "crun": PEERS / "crun", "runc": PEERS / "runc"}

PR_SET_CHILD_SUBREAPER = 36


def has_v1():
    """True where version 1 controllers are mounted."""
    return any(" - cgroup " in line for line in Path("/proc/self/mountinfo").read_text().splitlines())


def v1_view():
    """What to put before a command that is to see version 1 controllers alone."""
    return [str(ROOT / "bench/v1ns")] if has_v1() else []


def v2_view():
    """What to put before a command that is to see version 2 alone."""
    return [str(ROOT / "bench/v2ns")] if has_v1() else []


class World:
    """A directory for everything, gone at the end."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="locald-conformance-"))
        self.dir.chmod(0o755)
        self.owner = os.getpid()
        atexit.register(self.remove)
        # Whatever a runtime leaves behind becomes a child of ours, to be counted and reaped.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def wrapper(self, runtime):
        """A program that calls a runtime with a state directory of its own, for callers that know no --root."""
        path = self.dir / f"run-{runtime}"
        if not path.exists():
            state = self.state(runtime)
            path.write_text(f'#!/bin/sh\nexec {PROGRAMS[runtime]} --root {state} "$@"\n')
            path.chmod(0o755)
        return path

    def state(self, runtime):
        path = self.dir / f"state-{runtime}"
        path.mkdir(mode=0o711, exist_ok=True)
        return path

    def containers(self, runtime):
        return sorted(p.name for p in self.state(runtime).iterdir() if p.is_dir() and not p.name.startswith("."))

    def remove(self):
        if os.getpid() == self.owner:
            shutil.rmtree(self.dir, ignore_errors=True)


_world = None


def world():
    global _world
    if _world is None:
        _world = World()
    return _world


def reap():
    """Takes away the children that ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


class Done:
    """How a command ended; `code` is 124 after a timeout."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.err, self.seconds = argv, code, out, err, seconds

    def __repr__(self):
        words = " ".join(map(str, self.argv))
        return f"{words}\nended with {self.code} after {self.seconds:.1f} s\nstdout: {self.out!r}\nstderr: {self.err!r}"


def call(argv, timeout=30, cwd=None, env=None, stdin=subprocess.DEVNULL):
    """Runs a command. Its output goes to files: a container that keeps a pipe open must not keep us waiting."""
    started = time.monotonic()
    argv = [str(word) for word in argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, cwd=cwd, env=env, stdin=stdin, stdout=out, stderr=err, start_new_session=True)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = 124
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Done(argv, code, *texts, time.monotonic() - started)
