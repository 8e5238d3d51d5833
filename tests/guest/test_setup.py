"""`locald admin setup` on a host with systemd: its units, and an ordinary user who runs what it installed."""

import json
import shutil
from pathlib import Path

from tests.guest.support import CGROUPS, HERE, UID, WORK, GuestCase, as_user, config, read, run, wait_for

INSTALLED = Path("/usr/local/libexec/locald/locald-shim")
SERVICE = CGROUPS / "system.slice/locald.service"
UNITS = [Path("/etc/systemd/system/locald.service"), Path("/etc/systemd/system/run-locald.mount")]


class Setup(GuestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(run, [HERE / "locald", "admin", "remove"])
        self.setup()

    def setup(self):
        done = run([HERE / "locald", "admin", "setup"])
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def enabled(self):
        wait_for((SERVICE / "setup").is_dir, "cgroup of the service")
        return wait_for(lambda: read(SERVICE / "cgroup.subtree_control"), "controllers").split()

    def as_user(self, *words):
        return run(as_user(INSTALLED, *words, scope=False))

    def run_by_the_user(self, line, resources):
        name = self.new_id()
        place = WORK / name
        place.mkdir()
        self.addCleanup(shutil.rmtree, place)
        spec = config(line, resources)
        spec["linux"]["namespaces"].append({"type": "user"})
        (place / "config.json").write_text(json.dumps(spec))
        return self.as_user("bundle", "run", "--bundle", place, "--id", name)

    def test_its_users_have_limits_and_removing_it_leaves_nothing(self):
        # One test: each setup takes the emulated machine ten seconds.
        self.assertLessEqual({"memory", "pids", "cpu", "io", "cpuset"}, set(self.enabled()))
        mount = next(line for line in Path("/proc/mounts").read_text().splitlines() if " /run/locald " in line)
        self.assertRegex(mount, "tmpfs rw,nosuid,nodev,noexec.*size=65536k,nr_inodes=65536")
        self.assertIn("All is as it should be", self.setup())
        done = self.run_by_the_user("cat /proc/self/cgroup; exec tail /dev/zero", {"memory": {"limit": 24 << 20, "swap": 24 << 20}})
        self.assertEqual((done.returncode, done.stdout), (137, "0::/\n"), done)
        guards = SERVICE / f"user-{UID}"
        self.assertLessEqual(int(read(guards / "pids.max")), 32768)
        self.assertEqual(guards.joinpath("memory.max").stat().st_uid, 0)
        self.assertEqual(guards.stat().st_uid, UID)
        done = run([HERE / "locald", "admin", "remove"])
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        left = [path for path in (INSTALLED, SERVICE, *UNITS) if path.exists()]
        self.assertEqual(left, [], done)
        self.assertNotIn(" /run/locald ", Path("/proc/mounts").read_text())
