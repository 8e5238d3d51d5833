"""What the tests inside the guest stand on: bundles of busybox, the shim under test, and what they may leave behind."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import unittest
from pathlib import Path

MARK = Path("/etc/locald-guest")
HERE = Path(os.environ.get("LOCALD_E2E_BIN", "/srv/locald/bin"))
SHIM = HERE / "locald-shim"
WORK = Path("/srv/work")
CGROUPS = Path("/sys/fs/cgroup")
TOP = "guest-tests"  # the cgroup above those of root's containers here
TIMEOUT = 60
USER, UID = "guest", 1000

APPLETS = """sh cat chmod cp cut dd df echo env fallocate false grep head hostname id kill ln ls mkdir mknod mount nproc ps readlink rm
rmdir seq sleep sort stat tail test timeout touch tr true umount uname wc yes""".split()


def require_guest():
    """These tests change the machine they run on."""
    if not MARK.exists():
        raise AssertionError(f"{MARK} is missing: these tests run inside the machine of vm-images/test only")


def rootfs():
    """A root file system of busybox that all containers share."""
    path = WORK / "rootfs"
    if not path.exists():
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "mnt"):
            (path / name).mkdir(parents=True)
        (path / "tmp").chmod(0o1777)
        shutil.copy("/bin/busybox", path / "bin/busybox")
        for applet in APPLETS:
            (path / "bin" / applet).symlink_to("busybox")
    return path


def config(line, resources=None, **changes):
    """The usual configuration; `line` is a shell line, `changes` replace top-level parts."""
    spec = {
        "ociVersion": "1.3.0",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": True,
            "args": ["/bin/sh", "-c", line],
            "capabilities": {kind: ["CAP_KILL", "CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": str(rootfs())}, "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "resources": resources or {}}}
    spec.update(changes)
    return spec


def rootless(spec, uid=UID):
    """The same for an ordinary user: a user namespace of his id and his sub-ids."""
    spec = json.loads(json.dumps(spec))
    spec["linux"]["namespaces"].append({"type": "user"})
    start = 100000 + (uid - UID) * 65536
    for field in ("uidMappings", "gidMappings"):
        spec["linux"][field] = [{"containerID": 0, "hostID": uid, "size": 1}, {"containerID": 1, "hostID": start, "size": 65536}]
    return spec


def wait_for(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"no {what} after {seconds} s")


def cgroup_of(pid):
    """The directory of a process's cgroup."""
    return CGROUPS / Path(f"/proc/{pid}/cgroup").read_text().strip().split("::", 1)[1].lstrip("/")


def read(path):
    return path.read_text().strip()


def values(path):
    """A file of `name number` lines."""
    return {name: value for name, value in (line.split(None, 1) for line in path.read_text().splitlines())}


def run(argv, timeout=TIMEOUT, **kwargs):
    """A command to its end, output as text; a timeout is a failure."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True, **kwargs) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s: {argv}\n{out}\n{err}") from None
    return subprocess.CompletedProcess([str(word) for word in argv], process.returncode, out, err)


def as_user(*argv, scope=True):
    """The command as the guest's ordinary user, in a scope that his own systemd delegated to it."""
    start = ["runuser", "-u", USER, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{UID}", f"HOME=/home/{USER}",
             f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{UID}/bus"]
    if scope:
        start += ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"]
    return [*start, *argv]


def user_manager():
    """Starts the ordinary user's systemd, once; it stays until the machine ends."""
    if not Path(f"/run/user/{UID}/bus").exists():
        run(["loginctl", "enable-linger", USER])
        wait_for(Path(f"/run/user/{UID}/bus").exists, "session bus of the user", 60)
    wait_for(lambda: run(as_user("systemctl", "--user", "is-system-running", scope=False)).stdout.strip() in ("running", "degraded"),
             "user manager", 60)


class Container:
    """`bundle run` of a bundle beside the test, with the shim's events. Use as a context manager."""

    def __init__(self, case, spec, user=False):
        self.case, self.id = case, case.new_id()
        self.dir = WORK / self.id
        self.dir.mkdir()
        spec["linux"].setdefault("cgroupsPath", "" if user else f"/{TOP}/{self.id}")
        (self.dir / "config.json").write_text(json.dumps(spec))
        self.events, self.pid = [], 0
        reader, writer = os.pipe()
        argv = [SHIM, "--root", case.state(user), "bundle", "run", "--bundle", self.dir, "--id", self.id, "--report-fd", writer]
        argv = as_user(*argv) if user else argv
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, pass_fds=[writer], start_new_session=True)
        os.close(writer)
        self.report = os.fdopen(reader, encoding="utf-8")
        self.reader = threading.Thread(target=lambda: self.events.extend(json.loads(line) for line in self.report), daemon=True)
        self.reader.start()

    def __enter__(self):
        try:
            wait_for(lambda: self.event("started") or self.process.poll() is not None, "start")
            if self.event("started") is None:
                raise AssertionError(f"it did not start: {self.events}")
        except AssertionError as error:
            self.process.terminate()
            raise AssertionError(f"{error} {self.finish()}") from None
        self.pid = self.event("started")["pid"]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.finish()

    def event(self, name):
        return next((event for event in list(self.events) if event["event"] == name), None)

    @property
    def cgroup(self):
        return cgroup_of(self.pid)

    def file(self, name):
        """What a file of the container's cgroup says; of the one above where the limits are kept apart from the processes."""
        place = self.cgroup
        return read((place.parent if place.name == "c" else place) / name)

    def finish(self, seconds=TIMEOUT):
        """Waits for its end; returns what it wrote."""
        try:
            text, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            text, _ = self.process.communicate()
            raise AssertionError(f"no end of the container after {seconds} s: {text}") from None
        self.reader.join(10)
        self.report.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        return text


class Created:
    """A container made by `create`, to be started, changed and deleted by the other verbs. Use as a context manager."""

    def __init__(self, case, spec, *options, user=False):
        self.case, self.user, self.id = case, user, case.new_id()
        self.dir = WORK / self.id
        self.dir.mkdir()
        spec = rootless(spec) if user else spec
        spec["linux"].setdefault("cgroupsPath", "" if user else f"/{TOP}/{self.id}")
        (self.dir / "config.json").write_text(json.dumps(spec))
        self.options = options
        self.output = self.dir / "output"

    def __enter__(self):
        with open(self.output, "wb") as output:
            argv = [SHIM, *self.options, "--root", self.case.state(self.user), "create", "--bundle", self.dir, self.id]
            process = subprocess.run([str(word) for word in (as_user(*argv) if self.user else argv)], stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
        try:
            self.case.assertEqual(process.returncode, 0, self.output.read_text())
        except AssertionError:
            self.__exit__()
            raise
        self.pid = self.state()["pid"]
        return self

    def __exit__(self, *_):
        self.verb("delete", "--force")
        shutil.rmtree(self.dir, ignore_errors=True)

    def verb(self, name, *words, after=(), **kwargs):
        """`shim OPTION… NAME WORD… ID AFTER…`"""
        return self.case.shim(*self.options, name, *words, self.id, *after, user=self.user, **kwargs)

    def ok(self, name, *words, **kwargs):
        done = self.verb(name, *words, **kwargs)
        self.case.assertEqual(done.returncode, 0, done)
        return done.stdout

    def start(self):
        self.ok("start")
        return self

    def state(self):
        return json.loads(self.ok("state"))

    @property
    def cgroup(self):
        return cgroup_of(self.pid)

    def file(self, name):
        return read(self.cgroup / name)


class GuestCase(unittest.TestCase):
    """A test of containers that must leave no process, mount, cgroup or state behind."""

    count = 0

    def setUp(self):
        require_guest()
        WORK.mkdir(exist_ok=True)
        self.ids = []
        self.addCleanup(self.assert_nothing_left)

    def new_id(self):
        GuestCase.count += 1
        self.ids.append(f"gt{GuestCase.count}")
        return self.ids[-1]

    @staticmethod
    def state(user=False):
        return f"/run/user/{UID}/shim" if user else "/run/guest-tests"

    def start(self, line="sleep 1000", resources=None, user=False, spec=None):
        spec = spec or config(line, resources)
        return Container(self, rootless(spec) if user else spec, user)

    def run_line(self, line, resources=None, user=False, spec=None, seconds=TIMEOUT):
        """Runs a container to its end: its output and what the shim reported of its end."""
        container = self.start(line, resources, user, spec)
        text = container.finish(seconds)
        ended = container.event("exited") or container.event("error")
        self.assertIsNotNone(ended, f"no report of the end: {container.events} {text}")
        return text, ended

    def shim(self, *words, user=False, **kwargs):
        argv = [SHIM, "--root", self.state(user), *words]
        return run(as_user(*argv) if user else argv, **kwargs)

    def left(self):
        found = []
        for top, names, _ in os.walk(CGROUPS):
            found += [f"cgroup {top}/{name}" for name in names if any(one in name.replace(".", "-").split("-") for one in self.ids)]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line}" for line in mounts if str(WORK) in line]
        for state in (self.state(), self.state(True)):
            with contextlib.suppress(OSError):
                found += [f"state {state}/{name}" for name in os.listdir(state) if name in self.ids]
        return found

    def assert_nothing_left(self):
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.left(), "clean machine", 5)
        self.assertEqual(self.left(), [], "left behind")
