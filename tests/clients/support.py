"""What the tests with real engines stand on: the engines that tools/fetch-peers unpacked, each with configuration, state and
storage of its own below the tests' one directory, and what they may leave behind: nothing.

LOCALD_CLIENTS_RUNTIME=/path/of/crun runs the same tests with another runtime, to tell a failure of ours from one of the machine.
"""

import atexit
import contextlib
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import IS_ROOT, ROOT, TIMEOUT, Actor, ContainerCase, Done, actor, mounts, reap, require, servers, world



def reap_conmons():
    """Takes the exit status of conmons, which are orphans and so ours: podman waits until their pids are gone."""
    while True:
        with contextlib.suppress(OSError, ValueError):
            for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                if Path(f"/proc/{pid}/stat").read_text().split(" ", 3)[1:3] == ["(conmon)", "Z"]:
                    os.waitpid(int(pid), os.WNOHANG)
        time.sleep(0.03)


threading.Thread(target=reap_conmons, daemon=True).start()

ENGINES = ROOT / "build/peers/engines"
IMAGE = "example.com/busybox:1"
#: Part of the name of every cgroup that an engine makes for these tests.
MARK = f"lct{os.getpid()}"


def runtime():
    """The runtime under test, by a path that ordinary users reach."""
    other = os.environ.get("LOCALD_CLIENTS_RUNTIME")
    return Path(other) if other else world().shim


def engine(suite, name):
    path = ENGINES / suite / "bin" / name
    require(path.exists(), "tools/fetch-peers engines")
    return path


class View:
    """A mount namespace in which the engines of a test live, kept by a process of ours; `host` is the machine as it is."""

    def __init__(self, name):
        self.name, self.holder = name, None
        if name == "host" and (runtime().name != "crun" or not IS_ROOT):
            return
        # crun refuses the hybrid layout that some machines have, so in a comparison it gets the v1 controllers alone.
        script = ROOT / ("bench/v2ns" if name == "v2" else "bench/v1ns")
        self.holder = subprocess.Popen([script, "sh", "-c", "echo ready; exec sleep 3000"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE)
        servers.add(self.holder.pid)
        atexit.register(self.stop, os.getpid())
        self.holder.stdout.readline()

    @property
    def prefix(self):
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "--wd=."] if self.holder else []

    def stop(self, owner):
        if os.getpid() == owner:
            self.holder.kill()
            self.holder.wait()


_views = {}


def view(name):
    if name not in _views:
        _views[name] = View(name)
    return _views[name]


def become(who):
    """The words that make a command of ours the actor's inside a view, where only root can enter."""
    if who.is_root or not IS_ROOT:
        return []
    return ["setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--init-groups"]


def cgroups_of_engines():
    """Every cgroup that an engine made for these tests, each controller's. A parent without children is the engine's own to keep."""
    found = set()
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(top, name) for name in names if re.search(rf"{MARK}|libpod_parent", os.path.join(top, name)))
    return found


def remove_empty_cgroups(before):
    """Engines keep the parent that they make for their containers' cgroups; ours are gone, so it goes."""
    for path in sorted(cgroups_of_engines() - before, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def in_terminal(command, environment, cwd, answer=b"", seconds=30, **kwargs):
    """Runs a command on a pseudo-terminal of 40×100; everything that it showed."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "rows", "40", "cols", "100"], stdin=theirs, check=True)
    process = subprocess.Popen([str(word) for word in command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd,
                               start_new_session=True, **kwargs)
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + seconds
    os.write(ours, answer)
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.2)[0]:
            continue
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other side any more
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    if process.poll() is None:
        process.kill()
    return Done(command, process.wait(), seen, b"")


def wait_until(condition, seconds=20, pause=0.05):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    return condition()


class Server:
    """A daemon of an engine: started for the tests, ended with them by its own pid."""

    def __init__(self, name, command, directory, ready, env=None):
        self.log = directory / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env=env, cwd=directory)
        servers.add(self.process.pid)
        atexit.register(self.stop, os.getpid())
        if not wait_until(lambda: self.process.poll() is not None or ready(), 60) or self.process.poll() is not None:
            self.stop()
            raise AssertionError(f"{name} does not start:\n{self.log.read_text()[-4000:]}")

    def stop(self, owner=None):
        if owner not in (None, os.getpid()) or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def unmount_below(directory):
    """Takes away what an engine left mounted below a directory of ours, deepest first."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        place = line.split()[4]
        if place.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)


class Podman:
    """One podman: its suite, who calls it and in which view."""

    def __init__(self, suite, who, seen="host"):
        self.suite, self.who, self.view = suite, who, view(seen)
        engine(suite, "podman")
        self.home = who.directory(f"podman-{suite}-{seen}")
        # podman 4 refuses a run root of more than 50 characters, and only what ends its containers says so.
        self.run_dir = world().dir / f"p{len(_podmans)}"
        self.run_dir.mkdir(0o711)
        os.chown(self.run_dir, who.uid, who.gid)
        self.tmp = who.directory(f"podman-{suite}-{seen}/tmp")
        self.configure(seen)
        self.command = [ENGINES / suite / "bin/podman", "--tmpdir", self.run_dir / "libpod"]
        self.loaded = False
        atexit.register(self.remove, os.getpid())

    def write(self, name, text):
        return self.who.write(f"{self.home.name}/{name}", text)

    def configure(self, seen):
        name, tools = runtime().name, ENGINES / self.suite / "bin"
        self.write(".config/containers/policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}')
        # A limit that podman asks for by itself can be above what the caller may have: take the caller's own. podman 4 limits
        # itself to the number of pids before.
        pids = int(Path("/proc/sys/kernel/pid_max").read_text())
        most = {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1], "nproc": resource.getrlimit(resource.RLIMIT_NPROC)[1]}
        most["nproc"] = pids if most["nproc"] == resource.RLIM_INFINITY else min(most["nproc"], pids)
        self.most_processes = most["nproc"]
        limits = ", ".join(f'"{what}={number}:{number}"' for what, number in most.items())
        # The pids controller is not in every machine's v2 tree.
        pids = "pids_limit = 0" if seen == "v2" or not self.who.is_root else ""
        self.write("containers.conf", f"""[containers]
log_driver = "k8s-file"
netns = "none"
default_ulimits = [{limits}]
init_path = "{tools}/catatonit"
{pids}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["{tools}/conmon"]
helper_binaries_dir = ["{tools}"]
runtime = "{name}"
runtime_supports_json = ["{name}"]
runtime_supports_nocgroup = ["{name}"]
[engine.runtimes]
{name} = ["{runtime()}"]
""")
        # root's is named in the environment, which what conmon starts at the end does not have: an ordinary user's is at home.
        self.write("storage.conf" if self.who.is_root else ".config/containers/storage.conf", f"""[storage]
driver = "overlay"
runroot = "{self.run_dir}/s"
graphroot = "{self.home}/store"
[storage.options.overlay]
ignore_chown_errors = "{'false' if self.who.is_root or self.who.subids else 'true'}"
""")

    def environment(self):
        return self.who.environment({
            "HOME": self.home, "XDG_RUNTIME_DIR": self.run_dir, "XDG_DATA_HOME": None, "TMPDIR": self.tmp,
            "CONTAINERS_CONF": self.home / "containers.conf",
            "CONTAINERS_STORAGE_CONF": self.home / "storage.conf" if self.who.is_root else None,
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"})

    def words(self, words):
        return [*self.view.prefix, *become(self.who), *self.command, *words]

    def popen(self, *words, descriptor_3=None, **kwargs):
        """Starts a command of podman; `descriptor_3` is a file that it finds open there."""
        words = self.words(words)
        if descriptor_3:
            words = ["sh", "-c", 'exec "$@" 3<"$0"', descriptor_3, *words]
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([str(word) for word in words], env=self.environment(), cwd=self.home,
                                start_new_session=True, **kwargs)

    def __call__(self, *words, input=None, timeout=TIMEOUT, **kwargs):
        if input is not None:
            kwargs["stdin"] = subprocess.PIPE
        process = self.popen(*words, **kwargs)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s: {Done(words, process.returncode, out, err)!r}") from None
        return Done(["podman", *words], process.returncode, out or b"", err or b"")

    def terminal(self, *words, answer=b""):
        return in_terminal(self.words(words), self.environment(), self.home, answer)

    def load(self):
        if not self.loaded:
            archive = images.docker_archive()
            done = self("load", "-i", archive)
            if done.code != 0:
                raise AssertionError(f"the engine itself does not work here: {done!r}")
            self.loaded = True

    def processes(self):
        """Its conmons, and the podmans that they start; both are told where this podman's directory is."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if f"{self.run_dir}/libpod".encode() in file.read_bytes() and int(file.parent.name) != self.pause_process():
                    found.append(int(file.parent.name))
        return found

    def pause_process(self):
        """The process that keeps an ordinary user's namespaces between two commands of podman."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.run_dir / "libpod/tmp/pause.pid").read_text())
        with contextlib.suppress(OSError, ValueError):
            return int((self.run_dir / "libpod/pause.pid").read_text())
        return None

    def remove(self, owner):
        if os.getpid() != owner:
            return
        self("rm", "-fa", "-t", "0")
        if not self.who.is_root:
            self("unshare", "rm", "-rf", self.home / "store", self.run_dir / "s")
        pid = self.pause_process()
        if pid:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.view.holder is None:
            unmount_below(self.home)
            unmount_below(self.run_dir)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        reap()


_podmans = {}


def podman(suite, kind, seen):
    key = (suite, kind, seen)
    if key not in _podmans:
        _podmans[key] = Podman(suite, actor(kind), seen)
    return _podmans[key]


class EngineCase(ContainerCase):
    """A test of an engine that must leave no process, mount, cgroup or container behind."""

    def setUp(self):
        self.engine_cgroups = cgroups_of_engines()
        self.prepare()
        super().setUp()
        self.addCleanup(self.assert_engine_is_clean)
        self.addCleanup(self.remove_containers)

    def prepare(self):
        """Brings the engine up, before the count of what is there begins."""

    def remove_containers(self):
        """Takes away what the test made in the engine, after which nothing may be there."""

    def assert_engine_is_clean(self):
        wait_until(lambda: not cgroups_of_engines() - self.engine_cgroups - self.kept_cgroups(), 3)
        left = cgroups_of_engines() - self.engine_cgroups - self.kept_cgroups()
        remove_empty_cgroups(self.engine_cgroups)
        self.assertFalse(left, "cgroups are left behind")

    def kept_cgroups(self):
        """Parents of containers' cgroups, a pod's among them: the engine removes its own, of other hierarchies it knows nothing."""
        kept = re.compile(rf"/({MARK}|libpod_parent|conmon|[0-9a-f]{{64}})$")
        return {path for path in cgroups_of_engines() if kept.search(path)}


def inspect(done):
    return json.loads(done.text)[0]


class PodmanCase(EngineCase):
    suite, seen = "sid", "host"

    def prepare(self):
        self.podman = podman(self.suite, self.kind, self.seen)
        self.podman.load()
        pause = self.podman.pause_process()
        if pause:
            servers.add(pause)

    def remove_containers(self):
        self.podman("pod", "rm", "-fa", "-t", "0")
        self.podman("rm", "-fa", "-t", "0")
        # What a conmon starts at the end (`podman container cleanup`) may come later than the container is gone.
        wait_until(lambda: not self.podman.processes(), 5)
        # The storage binds its own folder to itself and now and then forgets it.
        overlay = f"{self.podman.home}/store/overlay"
        if not any(place.startswith(f"{overlay}/") for place in mounts()) and overlay in mounts():
            subprocess.run(["umount", overlay], check=False, capture_output=True)

    def run_ok(self, *words, **kwargs):
        """`podman run --rm --cgroup-parent … IMAGE …` that ends well; its output."""
        return self.assert_ok(self.run_it(*words, **kwargs)).text

    def run_it(self, *words, image=IMAGE, **kwargs):
        """`podman run --rm`: the options end at the first `--`, behind which the command is."""
        split = words.index("--") if "--" in words else len(words)
        return self.podman("run", "--rm", *self.parent(words), *words[:split], image, *words[split + 1:], **kwargs)

    def parent(self, words):
        limited = any(str(word).startswith(("--cgroups", "--cgroup-parent", "--pod")) for word in words)
        return [] if limited or not self.who.is_root else ["--cgroup-parent", f"/{MARK}"]

    def begin(self, *words, script="sleep 1000", **options):
        """A container in the background; its id. It has spoken `ready` before it is given back."""
        image = options.get("image", IMAGE)
        name = self.assert_ok(self.podman("run", "-d", *self.parent(words), *words, image, "sh", "-c", f"echo ready; {script}")).text.strip()
        self.assertTrue(wait_until(lambda: "ready" in self.podman("logs", name).text, 10), "the container says nothing")
        return name

    def state(self, name):
        return inspect(self.assert_ok(self.podman("inspect", name)))["State"]


def podmans(*combinations):
    """Makes one class of tests a combination `SUITE KIND [VIEW]` from a class that has tests only."""

    def decorate(cls):
        module = sys.modules[cls.__module__]
        for words in combinations:
            suite, kind, *seen = words.split()
            who = {"root": "AsRoot", "user": "AsUser", "plain": "WithoutSubids"}[kind]
            name = f"{cls.__name__}Of{suite.capitalize()}{who}{'On' + seen[0].capitalize() if seen else ''}"
            fields = {"suite": suite, "kind": kind, "seen": seen[0] if seen else "host", "__module__": cls.__module__}
            setattr(module, name, type(name, (cls, PodmanCase), fields))
        return cls

    return decorate
