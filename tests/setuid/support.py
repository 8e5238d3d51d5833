"""What the attacks stand on: a setuid shim of root's in a directory of root's, ordinary accounts, bundles, and what may be
left behind: nothing.

The whole part runs as root. Its users are made for it and go with it. `LOCALD_SETUID_VIEW` says which cgroups they see.
"""

import atexit
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

# Which makes us the subreaper as well: what is left behind becomes ours to see.
from tests.e2e import support as e2e
from tests.conformance.support import reap
from tests.e2e.support import BUILT, ROOT, SAFE_PATH

# Of the system calls that differ between the two processors.
SYS = dict(zip(("prctl", "add_key", "keyctl", "execveat"), (157, 248, 250, 322) if os.uname().machine == "x86_64" else (167, 217, 219, 281)))
VIEW = os.environ.get("LOCALD_SETUID_VIEW", "host")
TIMEOUT = 30


class World:
    """One directory for everything, and the installed shims."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="locald-setuid-"))
        self.dir.chmod(0o755)
        self.owner = os.getpid()
        self.shim = self.install("locald-shim", "locald-shim")
        atexit.register(self.remove)

    def install(self, program, name, mode=0o4755, place=None):
        """As `locald admin setup` does it: root's file in a directory of root's."""
        place = place or self.dir / "libexec"
        place.mkdir(mode=0o755, exist_ok=True)
        shutil.copy(BUILT / program, place / name)
        os.chown(place / name, 0, 0)
        (place / name).chmod(mode)
        return place / name

    def weak(self, name):
        """The same program with one defence left out; its argv[0] says which."""
        program = self.dir / "libexec/locald-shim-weak"
        if not program.exists():
            self.install("locald-shim-weak", "locald-shim-weak")
        link = self.dir / f"libexec/locald-shim!weak-{name}"
        if not link.is_symlink():
            link.symlink_to(program)
        return link

    def remove(self):
        if os.getpid() != self.owner:
            return
        for user in list(User.made):
            user.remove()
        shutil.rmtree(self.dir, ignore_errors=True)


_world = None


def world():
    global _world
    if _world is None:
        _world = World()
    return _world


class Done(e2e.Done):
    """How a command ended; a signal is a negative code."""

    @property
    def own_errors(self):
        return "".join(line for line in self.errors.splitlines(True) if ": warning: " not in line)


def subtrees(uid):
    """The user's cgroups, one in each hierarchy that is seen here."""
    return [path for base in ("", "unified", "pids", "memory", "cpu", "cpu,cpuacct", "freezer")
            if (path := Path("/sys/fs/cgroup") / base / f"locald/user-{uid}").is_dir()]


def has_v2():
    return any(Path(base, "cgroup.procs").exists() for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))


def build_program(name):
    """A program of the tests' own, static, for everybody to run."""
    path = world().dir / name
    if not path.exists():
        subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", path, ROOT / f"tests/setuid/{name}.c"], check=True)
    return path


class User:
    """An account with a home, and with or without ranges in /etc/subuid and /etc/subgid."""

    made = []
    count = 0

    def __init__(self, subids=True):
        self.name = f"lcs{os.getpid()}n{User.count}"
        User.count += 1
        count = [] if subids else ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
        self.home = world().dir / self.name
        subprocess.run(["useradd", "--no-create-home", "--home-dir", self.home, *count, self.name], check=True, capture_output=True)
        entry = pwd.getpwnam(self.name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.home.mkdir(mode=0o755)
        os.chown(self.home, self.uid, self.gid)
        User.made.append(self)

    def ranges(self, kind="uid"):
        """(first, count) of every grant."""
        lines = [line.split(":") for line in Path(f"/etc/sub{kind}").read_text().splitlines()]
        return [(int(first), int(count)) for name, first, count in lines if name == self.name]

    @property
    def state(self):
        return Path(f"/run/locald/{self.uid}")

    def popen(self, argv, env=None, cwd=None, groups=(), **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs.setdefault("start_new_session", True)
        variables = {"HOME": str(self.home), "USER": self.name, "PATH": SAFE_PATH}
        variables.update(env or {})
        return subprocess.Popen([os.fspath(word) if not isinstance(word, bytes) else word for word in argv], env=variables,
                                cwd=cwd or self.home, user=self.uid, group=self.gid, extra_groups=list(groups), **kwargs)

    def run(self, argv, timeout=TIMEOUT, **kwargs):
        """Runs a command as this user; its output goes to files, which a container that keeps them open cannot hold up."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            kwargs.setdefault("stdout", out)
            kwargs.setdefault("stderr", err)
            process = self.popen(argv, **kwargs)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = 124
            out.seek(0)
            err.seek(0)
            return Done(argv, code, out.read(), err.read())

    def shim(self, *words, shim=None, **kwargs):
        return self.run([shim or world().shim, *words], **kwargs)

    def write(self, name, content, mode=0o644):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)
        return path

    def remove(self):
        User.made.remove(self)
        for subtree in subtrees(self.uid):
            for top, names, _ in os.walk(subtree, topdown=False):
                for name in names:
                    with contextlib.suppress(OSError):
                        os.rmdir(os.path.join(top, name))
            with contextlib.suppress(OSError):
                subtree.rmdir()
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        subprocess.run(["userdel", self.name], capture_output=True, check=False)


_users = {}


def user(kind):
    """`user` and `other` have ranges, `plain` has none."""
    if kind not in _users:
        _users[kind] = User(subids=kind != "plain")
    return _users[kind]


class Bundle:
    """A directory of a user's with busybox in it."""

    def __init__(self, who, *args, programs=(), **changes):
        self.who = who
        self.dir = Path(tempfile.mkdtemp(dir=who.home, prefix="bundle-"))
        root = self.dir / "rootfs"
        for name in ("bin", "proc", "dev", "sys", "tmp", "etc", "mnt"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for name in ("sh", "id", "cat", "ls", "sleep", "true", "mount", "touch", "echo", "kill", "grep"):
            (root / "bin" / name).symlink_to("busybox")
        for name in programs:
            shutil.copy(build_program(name), root / "bin")
        self.config = {
            "ociVersion": "1.3.0",
            "process": {"user": {"uid": 0, "gid": 0}, "args": list(args or ["true"]), "env": ["PATH=/bin"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            ],
            # The caller may name any profile, so no defence may stand on one: without this the default profile would meet
            # many attacks before what they are for does.
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup", "user")],
                      "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
        }
        self.config.update(changes)
        self.write()
        self.give()

    def give(self):
        for top, folders, files in os.walk(self.dir):
            os.chown(top, self.who.uid, self.who.gid)
            for name in [*folders, *files]:
                os.chown(os.path.join(top, name), self.who.uid, self.who.gid, follow_symlinks=False)
        self.dir.chmod(0o755)

    def write(self):
        (self.dir / "config.json").write_text(json.dumps(self.config))
        os.chown(self.dir / "config.json", self.who.uid, self.who.gid)


def processes():
    """pid → (real, effective, saved uid) of everything that runs and is no zombie."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            text = entry.read_text()
            if "\nState:\tZ" not in text:
                found[int(entry.parent.name)] = tuple(int(word) for word in text.split("\nUid:\t")[1].split("\n")[0].split()[:3])
    return found


def mount_table():
    """Every mount but those that builds beside us make."""
    return {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/build/" not in line}


def wait_until(condition, seconds=10.0, pause=0.02):
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return value


class SetuidCase(unittest.TestCase):
    """One attack. Afterwards no process of the user, no container, no cgroup of one and no mount may be there."""

    kind = "user"
    count = 0

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("the attacks are prepared by root and carried out by ordinary users")
        self.who = user(self.kind)
        self.mounts = mount_table()
        self.addCleanup(self.assert_nothing_left)

    def new_id(self):
        SetuidCase.count += 1
        return f"s{SetuidCase.count}"

    def left(self):
        reap()
        found = {}
        ids = {user.uid for user in User.made}
        if mine := [pid for pid, uids in processes().items() if ids & set(uids)]:
            found["processes"] = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in mine if Path(f"/proc/{pid}").exists()}
        for who in User.made:
            if who.state.is_dir() and (names := [name for name in os.listdir(who.state) if not name.startswith(".")]):
                found["states"] = names
            for subtree in subtrees(who.uid):
                if names := [path.name for path in subtree.iterdir() if path.is_dir() and path.name != ".start"]:
                    found["cgroups"] = names
        if mount_table() - self.mounts:
            found["mounts"] = sorted(mount_table() - self.mounts)
        return found

    def assert_nothing_left(self):
        left = self.left()
        deadline = time.monotonic() + 3
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = self.left()
        for pid in left.get("processes", {}):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for who in User.made:
            for name in left.get("states", []):
                who.shim("delete", "--force", name)
        self.assertFalse(left, "left behind")

    def bundle(self, *args, **changes):
        made = Bundle(self.who, *args, **changes)
        self.addCleanup(shutil.rmtree, made.dir, True)
        return made

    def run_bundle(self, bundle, *words, **kwargs):
        return self.who.shim("bundle", "run", "--bundle", bundle.dir, "--id", self.new_id(), *words, **kwargs)

    def assert_runs(self, bundle, **kwargs):
        done = self.run_bundle(bundle, **kwargs)
        self.assertEqual(done.code, 0, done)
        return done.text

    def assert_refused(self, done, *parts, code=125):
        """One clear line that names all of `parts`, and nothing was run."""
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.text, "", done)
        lines = [line for line in done.own_errors.splitlines() if line]
        self.assertEqual(len(lines), 1, done)
        for part in parts:
            self.assertRegex(lines[0], part, done)

    def start(self, bundle, *words, **kwargs):
        """A container in the foreground whose program has spoken; the shim's process and the container's first pid."""
        name = self.new_id()
        process = self.who.popen([world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", name, *words], **kwargs)
        self.addCleanup(self.end, process)
        self.addCleanup(self.who.shim, "delete", "--force", name)
        state = {}

        def running():
            done = self.who.shim("state", name)
            if done.code == 0:
                state.update(json.loads(done.text))
            return state.get("status") == "running" or process.poll() is not None

        wait_until(running)
        if process.poll() is not None:
            self.fail(f"it ended at once with {process.returncode}: {process.communicate()}")
        return process, state["pid"], name

    @staticmethod
    def end(process):
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


def in_files(files, *argv):
    """What to put before a command to be run by root: in a mount namespace of its own with other texts in place of root's
    files. `files`: path → Path of the text."""
    script = "".join(f'mount --bind "{source}" "{target}" && ' for target, source in files.items()) + 'exec "$@"'
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *argv]


def traced(who, options, *argv, timeout=60):
    """A command of the user's under root's strace, which keeps the setuid bit: the user himself could not trace it."""
    words = [str(word) for word in ("strace", "-f", "-qq", "-u", who.name, *options, *argv)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, cwd=who.home, timeout=timeout, check=False,
                          env={"PATH": SAFE_PATH, "HOME": str(who.home)})
    return Done(words, done.returncode, done.stdout, done.stderr)
