"""A bundle with a busybox root, for the tests that call the verbs of several runtimes."""

import json
import os
import shutil
import tempfile
import time
import unittest
from pathlib import Path

from tests.conformance.support import PROGRAMS, call, reap, world

MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
]
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


class Bundle:
    """A directory with config.json and a root filesystem; `runtime` names who is called on it."""

    def __init__(self, runtime, line, namespaces=NAMESPACES, host_programs=False):
        self.runtime = runtime
        self.dir = Path(tempfile.mkdtemp(dir=world().dir))
        self.id = f"verbs-{os.getpid()}-{self.dir.name}"
        root = self.dir / "rootfs"
        for name in ("bin", "proc", "dev", "tmp", "run", "usr"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for name in ("sh", "sleep", "cat", "env", "ls", "grep", "kill"):
            (root / "bin" / name).symlink_to("busybox")
        mounts = list(MOUNTS)
        if host_programs:
            mounts.append({"destination": "/usr", "source": "/usr", "options": ["bind", "ro"]})
            for name in ("lib", "lib64"):
                (root / name).symlink_to(f"usr/{name}")
        self.config = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sh", "-c", line],
                "env": ["PATH=/bin:/usr/bin"],
                "cwd": "/",
            },
            "root": {"path": "rootfs"},
            "hostname": "box",
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in namespaces], "cgroupsPath": f"/{self.id}"},
        }
        if "uts" not in namespaces:
            del self.config["hostname"]
        self.write()

    def write(self):
        (self.dir / "config.json").write_text(json.dumps(self.config))

    def words(self, verb, *words):
        return [PROGRAMS[self.runtime], "--root", world().state(self.runtime), verb, *words]

    def call(self, verb, *words, **kwargs):
        """A verb on this container: the id comes last but for what follows it in `after`."""
        after = kwargs.pop("after", ())
        options = ["--bundle", self.dir] if verb in ("run", "create") else []
        return call(self.words(verb, *options, *words, self.id, *after), **kwargs)

    def state(self):
        done = self.call("state")
        return json.loads(done.out) if done.code == 0 else None

    def remove(self):
        self.call("delete", "--force")
        shutil.rmtree(self.dir, ignore_errors=True)
        reap()


class BundleTest(unittest.TestCase):
    """Removes the containers it makes and sees to it that nothing is left of them."""

    maxDiff = None

    def bundle(self, *args, **kwargs):
        bundle = Bundle(*args, **kwargs)
        self.addCleanup(lambda: self.assertNotIn(bundle.id, world().containers(bundle.runtime)))
        self.addCleanup(bundle.remove)
        return bundle

    def wait_until(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "did not come true")
            time.sleep(0.02)

    def ok(self, done):
        self.assertEqual(done.code, 0, done)
        return done
