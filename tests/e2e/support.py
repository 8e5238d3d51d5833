"""What the end-to-end tests stand on: the programs under test, the users who run them, and what they may leave behind."""

import atexit
import contextlib
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = Path(os.environ.get("LOCALD_E2E_BIN", ROOT / "build/release/bin"))
PEERS = ROOT / "build/peers/bin"
CACHE = ROOT / "build/cache"
IS_ROOT = os.geteuid() == 0
#: Every command goes to this machine by way of a real SSH server.
OVER_SSH = os.environ.get("LOCALD_E2E_OVER") == "ssh"
#: The programs under test carry a sanitizer: they are slow and large.
SANITIZED = bool(os.environ.get("LOCALD_E2E_SANITIZED"))
PATIENCE = 4 if SANITIZED else 1
TIMEOUT = 60 * PATIENCE
SAFE_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

#: Lines of progress and warnings, as they come off a terminal.
NOISE = re.compile(r"locald(?:-shim)?: (?:warning: .*|(?:import|unpack|fetch|pull) \S+ \([\d.]+ [kMG]?B\))\r?\n")

#: The process that holds a connection, and the agent that it started.
WAY_TO_HOST = re.compile(r"locald host-holder |locald agent --stdio |^sh -c (sh -c )?'?case \$XDG_DATA_HOME ")

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class World:
    """Everything the tests put on disk, below one directory that goes at the end."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="locald-e2e-"))
        self.dir.chmod(0o755)
        self.owner = os.getpid()
        atexit.register(self.remove)
        # Ordinary users cannot enter every checkout, so the two programs are copied side by side.
        self.bin = self.dir / "bin"
        self.bin.mkdir()
        for name in ("locald", "locald-shim"):
            if (BUILT / name).exists():
                shutil.copy(BUILT / name, self.bin / name)
                (self.bin / name).chmod(0o755)
        if (BUILT.parent / "lib/locald").exists():
            shutil.copytree(BUILT.parent / "lib/locald", self.dir / "lib/locald")
            subprocess.run(["chmod", "-R", "a+rX", self.dir / "lib"], check=True)
        self.locald = self.bin / "locald"
        self.shim = self.bin / "locald-shim"
        self.server = None
        if OVER_SSH:
            from tests.ssh.pair import make_unless_there
            from tests.ssh.server import Server
            make_unless_there(self.dir / "lib/locald/guest", BUILT)
            subprocess.run(["chmod", "-R", "a+rX", self.dir / "lib"], check=True)
            self.server = Server(self.dir / "sshd")

    def remove(self):
        if os.getpid() != self.owner:
            return
        if self.server:
            for actor in list(Actor.made):
                actor.locald("host", "disconnect")
            self.server.stop()
        for actor in list(Actor.made):
            actor.remove()
        shutil.rmtree(self.dir, ignore_errors=True)


#: Processes that the tests themselves keep running, such as the registry.
servers = set()

_world = None


def world():
    global _world
    if _world is None:
        _world = World()
    return _world


class Done:
    """How a command ended; streams as the exact bytes."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    @property
    def text(self):
        return self.out.decode(errors="replace")

    @property
    def errors(self):
        return self.err.decode(errors="replace")

    @property
    def own_errors(self):
        """What the container and the tool said on stderr, without progress and warnings, which may come at any moment."""
        return NOISE.sub("", self.errors)

    def __repr__(self):
        return f"{' '.join(map(str, self.argv))}\nended with {self.code}\nstdout: {self.text!r}\nstderr: {self.errors!r}"


class Actor:
    """Somebody who types commands, with a home and a store of his own."""

    made = []
    count = 0

    def __init__(self, subids=True, root=False):
        Actor.count += 1
        self.account = None
        self.subids = subids
        self.root = root
        base = world().dir
        if root or not IS_ROOT:
            self.uid, self.gid = os.geteuid(), os.getegid()
            self.name = pwd.getpwuid(self.uid).pw_name
            self.groups = None
        else:
            self.name = self.account = f"lct{os.getpid()}n{Actor.count}"
            count = [] if subids else ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
            subprocess.run(
                ["useradd", "--no-create-home", "--home-dir", base / self.name,
                 "--password", "*", *count, self.name],  # sshd lets nobody in whose account is locked
                check=True, capture_output=True)
            entry = pwd.getpwnam(self.name)
            self.uid, self.gid, self.groups = entry.pw_uid, entry.pw_gid, []
        self.home = base / f"{self.name}-{Actor.count}"
        self.data = self.home / "data"
        self.runtime = self.home / "run"
        for path, mode in ((self.home, 0o755), (self.data, 0o700), (self.runtime, 0o700), (self.home / "tmp", 0o755)):
            path.mkdir()
            os.chown(path, self.uid, self.gid)
            path.chmod(mode)
        Actor.made.append(self)
        if world().server:
            self.lend_modules("data")
            self.enter(world().server)
            # It is this host, and sees all of its files; else nothing could be mounted.
            hosts = {"over-ssh": {"url": world().server.url(self.name), "shared": ["/=/"]}}
            self.write(".config/locald/hosts.json", json.dumps({"version": 1, "hosts": hosts})).chmod(0o600)

    @property
    def is_root(self):
        return self.uid == 0

    @property
    def store(self):
        return self.data / "locald"

    @property
    def state_dir(self):
        return Path("/run/locald/0") if self.is_root else self.runtime / "locald"

    def environment(self, extra=None):
        env = {
            "HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "PATH": SAFE_PATH, "LANG": "C.UTF-8",
            "XDG_DATA_HOME": str(self.data), "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.home / "tmp"),
        }
        if world().server:
            env["LOCALD_HOST"] = "over-ssh"
        for key in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LOCALD_HOLDER"):
            if key in os.environ:
                env[key] = os.environ[key]
        for key, value in (extra or {}).items():
            if value is None:
                env.pop(key, None)
            else:
                env[key] = str(value)
        return env

    @property
    def session(self):
        """The environment of a session that finds the same places when it comes by another way."""
        return {key: value for key, value in self.environment().items() if key.startswith(("XDG_", "TMP", "HOME"))}

    def lend_modules(self, data):
        """The tests' own pair, brought to this data directory, needs its modules where an installed one has them; the static one has none."""
        self.directory(f"{data}/locald", 0o700)
        (self.directory(f"{data}/locald/agents", 0o700) / "lib").symlink_to(world().dir / "lib")

    def enter(self, server, **environment):
        """Lets this actor log in at `server`, to sessions with his own places and this beside."""
        server.admit(self.name, self.home, self.uid, self.gid, {**self.session, **environment})

    def popen(self, argv, env=None, cwd=None, **kwargs):
        """Starts a command as this user; stdio as given to subprocess.Popen."""
        for option, value in zip(argv, argv[1:]):
            if option in ("--id", "--name"):
                ids.add(str(value))
        who = {}
        if IS_ROOT and not self.is_root:
            who = {"user": self.uid, "group": self.gid, "extra_groups": self.groups}
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([str(word) for word in argv], env=self.environment(env), cwd=cwd or self.home,
                                start_new_session=kwargs.pop("start_new_session", True), **who, **kwargs)

    def run(self, argv, input=None, env=None, cwd=None, timeout=TIMEOUT, **kwargs):
        """Runs a command as this user to its end."""
        if input is not None:
            kwargs["stdin"] = subprocess.PIPE
        process = self.popen(argv, env, cwd, **kwargs)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s: {Done(argv, process.returncode, out, err)!r}") from None
        return Done(argv, process.returncode, out or b"", err or b"")

    def locald(self, *words, **kwargs):
        return self.run([world().locald, *words], **kwargs)

    def container(self, *words, **kwargs):
        """`locald container run --rm …`"""
        return self.locald("container", "run", "--rm", *words, **kwargs)

    def start(self, *words, **kwargs):
        return self.popen([world().locald, *words], **kwargs)

    def write(self, name, content):
        """A file of this user's below his home."""
        path = self.home / name
        made = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        for each in [path, *made]:
            os.chown(each, self.uid, self.gid)
        return path

    def directory(self, name, mode=0o755):
        path = self.home / name
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)
        return path

    def remove(self):
        Actor.made.remove(self)
        shutil.rmtree(self.home, ignore_errors=True)
        if self.account:
            subprocess.run(["userdel", self.account], capture_output=True, check=False)


_actors = {}


def actor(kind):
    """`root`, `user`, or `plain`: a user without ranges in /etc/subuid. One of each a run, so that images stay warm."""
    if kind == "root" and not IS_ROOT:
        raise unittest.SkipTest("needs root")
    if kind == "plain" and not IS_ROOT:
        raise unittest.SkipTest("needs root to make a user without sub-ids")
    if kind not in _actors:
        _actors[kind] = Actor(subids=kind != "plain", root=kind == "root")
    return _actors[kind]


# --- nothing left behind --------------------------------------------------------------------------------------------

def parents():
    """pid → parent's pid of every process."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{entry}/stat").read_text()
                rest = stat.rsplit(")", 1)[1].split()
                if rest[0] != "Z":
                    table[int(entry)] = int(rest[1])
    return table


def descendants(with_way=False):
    """Every living process below this one. It is their subreaper, so nothing escapes by losing its parent.

    What the way to another host runs counts, the way itself, which is kept for a while, only when it is asked for.
    """
    table, found = parents(), {}
    for pid in table:
        walk = pid
        while walk in table and walk != os.getpid():
            if walk in servers:
                walk = 0
                break
            walk = table[walk]
        if walk == os.getpid() and pid != os.getpid():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if with_way or not (line.startswith(("sshd: ", "/usr/sbin/sshd ")) or WAY_TO_HOST.search(line)):
                    found[pid] = line
    return found


def mounts():
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # What another run of the tests mounts is that run's business.
    return {line.split()[4] for line in lines if str(world().dir) in line or ("/locald" in line and "/locald-e2e-" not in line)}


#: Ids that the tests gave to containers: an engine's bundle has its cgroup at the top, named by the id.
ids = set()


def cgroups():
    """The cgroups of containers; what the rest of the machine makes is its own business."""
    found = set()
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(top, name) for name in names if name in ids or "/locald" in os.path.join(top, name))
    return found


def files_of(who):
    """What containers may leave in the store and the state directory."""
    found = set()
    for folder in (who.store / "containers", who.store / "detached", who.store / "tmp", who.state_dir,
                   who.state_dir / ".keepers", who.home / "tmp"):
        with contextlib.suppress(OSError):
            found.update(str(entry) for entry in folder.iterdir() if not entry.name.startswith("."))
    return found


def reap():
    """Takes the exit status of strangers that became our children; Popen objects keep theirs."""
    known = {process.pid for process in list(getattr(subprocess, "_active", []) or [])}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError, ValueError, IndexError, ChildProcessError):
            rest = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            if rest[0] == "Z" and int(rest[1]) == os.getpid() and pid not in known:
                os.waitpid(pid, os.WNOHANG)


class Snapshot:
    """What is there of processes, mounts, cgroups and files; `difference` after a test must be empty."""

    def __init__(self, who):
        self.who = who
        self.cgroups, self.mounts, self.files, self.processes = cgroups(), mounts(), files_of(who), set(descendants())

    def difference(self):
        left = {}
        processes = {pid: line for pid, line in descendants().items() if pid not in self.processes}
        if processes:
            left["processes"] = processes
        for name, now, before in (("mounts", mounts(), self.mounts), ("files", files_of(self.who), self.files),
                                  ("cgroups", self.own(cgroups()), self.cgroups)):
            if now - before:
                left[name] = sorted(now - before)
        return left

    def own(self, found):
        """Other users' containers may come and go while the test runs."""
        if self.who.is_root:
            return {path for path in found if "/user-" not in path or "/user-0" in path}
        return {path for path in found if f"/user-{self.who.uid}" in path}


class ContainerCase(unittest.TestCase):
    """A test of one actor's commands that must leave nothing behind."""

    kind = "user"

    def setUp(self):
        if not world().locald.exists():
            self.fail(f"{BUILT}/locald is not built")
        self.who = actor(self.kind)
        self.before = Snapshot(self.who)
        self.addCleanup(self.assert_nothing_left)

    def assert_nothing_left(self, seconds=3.0):
        """Orphans and cgroups end a moment after the command; files and mounts get no such time from a user either."""
        deadline = time.monotonic() + seconds
        while (left := self.before.difference()) and time.monotonic() < deadline:
            reap()
            time.sleep(0.05)
        reap()
        for pid in left.get("processes", {}):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.assertFalse(left, "left behind")

    def assert_ok(self, done):
        self.assertEqual(done.code, 0, done)
        return done

    def assert_prints(self, done, text):
        """Ended well and wrote exactly `text`."""
        self.assertEqual((done.code, done.text), (0, text), done)

    def assert_error(self, done, code, *parts):
        """One line on stderr (after warnings) that names all of `parts`, and nothing on stdout."""
        self.assertEqual(done.code, code, done)
        lines = [line for line in done.own_errors.splitlines() if line]
        self.assertEqual(len(lines), 1, f"one line was expected\n{done!r}")
        for part in parts:
            self.assertTrue(re.search(part, lines[0], re.IGNORECASE), f"{part!r} is not in the error\n{done!r}")
        self.assertNotRegex(lines[0], r"terminate called|what\(\)|std::", done)
        self.assertEqual(done.out, b"", done)

    def wait_for(self, condition, what, seconds=15):
        deadline = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        return self.fail(f"no {what} after {seconds} s")

    def finish(self, process, seconds=20):
        """The exit code and output of a process that should end by itself now."""
        try:
            out, err = process.communicate(timeout=seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"no end after {seconds} s: {Done(process.args, process.returncode, out, err)!r}")
        return Done(process.args, process.returncode, out or b"", err or b"")

    def read_until(self, stream, wanted, seconds=20):
        """Reads a pipe's descriptor until `wanted` came; returns all of it."""
        os.set_blocking(stream.fileno(), False)
        seen, deadline = b"", time.monotonic() + seconds * PATIENCE
        while wanted not in seen:
            if time.monotonic() > deadline:
                self.fail(f"no {wanted!r} after {seconds} s, but {seen!r}")
            try:
                chunk = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            if not chunk:
                self.fail(f"the end came before {wanted!r}: {seen!r}")
            seen += chunk
        os.set_blocking(stream.fileno(), True)
        return seen


def on_this_host_alone(reason):
    """For tests that look at, or break, the host of the command: over SSH the containers have another."""
    return unittest.skipIf(OVER_SSH, f"over SSH: {reason}")


#: A client that is gone without a word: its containers get their stop signal and ten seconds, and no less.
ABANDONED = 15 if OVER_SSH else 5


def for_each(*kinds):
    """Makes one class of tests a user of each kind from a class that has tests only."""
    suffix = {"root": "AsRoot", "user": "AsUser", "plain": "WithoutSubids"}

    def decorate(cls):
        module = sys.modules[cls.__module__]
        for kind in kinds:
            name = cls.__name__ + suffix[kind]
            setattr(module, name, type(name, (cls, ContainerCase), {"kind": kind, "__module__": cls.__module__}))
        return cls

    return decorate


def require(have, what):
    if not have:
        raise unittest.SkipTest(f"needs {what}")
