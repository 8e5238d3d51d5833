"""A start from a cgroup in whose cgroup.kill something was once written: Linux 6.14 and newer kills there what CLONE_INTO_CGROUP
makes, at its birth."""

import json
import os
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import for_each, world


def hierarchy():
    return next((path for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")) if (path / "cgroup.controllers").exists()), None)


@for_each("root")
class FromAKilledCgroup:
    def setUp(self):
        super().setUp()
        self.killed = hierarchy() / f"locald-killed-{os.getpid()}"
        self.killed.mkdir()
        self.addCleanup(self.killed.rmdir)
        (self.killed / "cgroup.kill").write_text("1")

    def from_there(self, *words):
        return self.who.run(["sh", "-c", f'echo $$ >{self.killed}/cgroup.procs && exec "$@"', "sh", *words])

    def test_a_container_starts_in_its_own_cgroup_and_takes_more_processes(self):
        bundle, state = self.who.home / "killed-bundle", self.who.directory("killed-state", 0o700)
        self.assert_ok(self.who.locald("bundle", "prepare", images.image(), bundle, "sleep", "100"))
        self.addCleanup(self.who.run, ["rm", "-rf", bundle, state])
        shim = [world().shim, "--root", state]
        silent = ("sh", "-c", '"$@" >/dev/null 2>&1', "sh")  # what it has of ours it keeps open
        self.assert_ok(self.from_there(*silent, *shim, "run", "--detach", "--bundle", bundle, "killed-one"))
        self.addCleanup(self.who.run, [*shim, "delete", "--force", "killed-one"])
        pid = json.loads(self.who.run([*shim, "state", "killed-one"]).text)["pid"]
        self.assertIn("killed-one", self.v2_place(Path(f"/proc/{pid}/cgroup").read_text()))
        # With a cgroup namespace of its own: whose root would be elsewhere if that had been made before the move.
        done = self.assert_ok(self.from_there(*shim, "exec", "killed-one", "cat", "/proc/self/cgroup", "/proc/1/cgroup"))
        places = [line for line in done.text.splitlines() if line.startswith("0::")]
        self.assertIn(places, [["0::/"] * 2, ["0::/killed-one"] * 2])

    @staticmethod
    def v2_place(text):
        return next(line for line in text.splitlines() if line.startswith("0::"))

    def test_it_comes_and_goes_as_elsewhere(self):
        done = self.from_there(world().locald, "container", "run", "--rm", images.image(), "sh", "-c", "exit 3")
        self.assertEqual(done.code, 3, done)
