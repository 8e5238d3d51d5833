"""Every verb in every state of a container under our shim, crun and runc: whether it succeeds and what the status is then
must be as with one of the two at least; and our messages hold the words that engines look for."""

import json
import os
import shutil
import time
import unittest

from tests.conformance.support import PROGRAMS, call, has_v1, reap, v2_view, world

#: (state before, verb) → what our shim's message holds; the words that engines look for.
WORDS = {
    ("none", "start"): "container does not exist", ("none", "kill"): "container does not exist",
    ("none", "delete"): "container does not exist", ("none", "state"): "container does not exist",
    ("none", "pause"): "container does not exist", ("none", "resume"): "container does not exist",
    ("none", "exec"): "container does not exist", ("created", "create"): "container with given ID already exists",
    ("running", "create"): "container with given ID already exists",
    ("running", "start"): "cannot start an already running container",
    ("running", "delete"): "that is not stopped: running", ("running", "resume"): "container not paused",
    ("created", "resume"): "container not paused", ("stopped", "start"): "cannot start a container that has stopped",
    ("stopped", "kill"): "container not running", ("stopped", "pause"): "container not running",
    ("stopped", "resume"): "container not paused", ("stopped", "exec"): "cannot exec in a stopped container",
    ("paused", "delete"): "that is not stopped: paused",
    ("paused", "exec"): "cannot exec in a paused container (use --ignore-paused to override)",
    ("paused", "create"): "container with given ID already exists",
}

CONFIG = {
    "ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True},
    "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": ["/bin/busybox", "sleep", "1000"]},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
               {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network"}]},
}

VERBS = ["create", "start", "state", "kill", "delete", "exec", "pause", "resume"]


def make_bundle(directory, name):
    (directory / "rootfs/bin").mkdir(parents=True)
    (directory / "rootfs/proc").mkdir()
    (directory / "rootfs/dev").mkdir()
    shutil.copy("/bin/busybox", directory / "rootfs/bin/busybox")
    config = json.loads(json.dumps(CONFIG))
    config["linux"]["cgroupsPath"] = f"/{name}"
    (directory / "config.json").write_text(json.dumps(config))
    return directory


class Container:
    def __init__(self, runtime, name):
        self.runtime, self.name = runtime, name
        self.dir = world().dir / f"lifecycle-{runtime}"
        self.bundle = self.dir / name
        if not self.bundle.exists():
            make_bundle(self.bundle, name)
        # The pure version 2 of the host is a view for crun, and for all the same one.
        self.base = [*(v2_view() if has_v1() else []), PROGRAMS[runtime], "--root", world().state(runtime)]

    def words(self, verb):
        return {
            "create": ["create", "--bundle", self.bundle, self.name],
            "kill": ["kill", self.name, "KILL"],
            "exec": ["exec", self.name, "/bin/busybox", "true"],
        }.get(verb, [verb, self.name])

    def do(self, verb):
        return call([*self.base, *self.words(verb)], timeout=20)

    def status(self):
        done = self.do("state")
        return json.loads(done.out)["status"] if done.code == 0 else "none"

    def settled(self, wanted=None):
        """The status once a kill has had its effect."""
        for _ in range(200):
            found = self.status()
            if wanted is None or found == wanted:
                return found
            time.sleep(0.01)
        return found

    def bring_to(self, state):
        self.remove()
        steps = {"none": [], "created": ["create"], "running": ["create", "start"], "paused": ["create", "start", "pause"],
                 "stopped": ["create", "start", "kill"]}[state]
        for verb in steps:
            done = self.do(verb)
            assert done.code == 0, done
        return self.settled(state)

    def remove(self):
        call([*self.base, "delete", "--force", self.name], timeout=20)
        reap()


class TestLifecycle(unittest.TestCase):
    maxDiff = None
    states = ("none", "created", "running", "paused", "stopped")

    def setUp(self):
        self.containers = {runtime: Container(runtime, f"conformance-{os.getpid()}-{runtime}") for runtime in PROGRAMS}

    def tearDown(self):
        for container in self.containers.values():
            container.remove()
        self.assertEqual(world().containers("shim"), [])

    def check_state(self, state):
        wrong = []
        for verb in VERBS:
            seen = {}
            for runtime, container in self.containers.items():
                self.assertEqual(container.bring_to(state), state, runtime)
                done = container.do(verb)
                after = container.settled("stopped" if verb == "kill" and done.code == 0 else None)
                seen[runtime] = (done.code == 0, after)
                if runtime == "shim":
                    ours = done
            self.assertNotEqual(ours.code, 124, ours)
            others = [seen[peer] for peer in ("crun", "runc")]
            if seen["shim"] not in others:
                wrong.append(f"{verb} when {state}: {seen}\n{ours!r}")
            words = WORDS.get((state, verb))
            if words and (ours.code == 0 or words not in ours.err):
                wrong.append(f"{verb} when {state} says not {words!r}: {ours!r}")
        self.assertFalse(wrong, "\n".join(wrong))


def add_states():
    for state in TestLifecycle.states:
        def test(self, state=state):
            self.check_state(state)
        setattr(TestLifecycle, f"test_every_verb_when_{state}", test)


add_states()


if __name__ == "__main__":
    unittest.main()
