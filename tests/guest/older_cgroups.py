"""--systemd-cgroup where systemd has version 1 of cgroups: hybrid, where version 2 is there but has no controllers, and legacy,
where it is not mounted at all. The machine is booted for each of the two, so no test_*.py: tests.guest.run names the class."""

import json
from pathlib import Path

from tests.guest.support import CGROUPS, UID, read, user_manager, wait_for
from tests.guest.test_systemd import MIB, Units


def places(pid):
    """The directory of a process in each hierarchy, by controller; version 2 is `unified`."""
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.removeprefix("name=").split(",") if controllers else ["unified"]:
            found[name] = CGROUPS / (controllers.removeprefix("name=") or "unified") / path.lstrip("/")
    return found


class Older(Units):
    """What all have in common."""

    hybrid = True

    def setUp(self):
        super().setUp()
        if (CGROUPS / "unified/cgroup.procs").exists() != self.hybrid or not (CGROUPS / "systemd/cgroup.procs").exists():
            raise AssertionError("the machine was booted with other cgroups")


class OfTheSystem:
    """The system's manager, with every controller."""

    def values(self, pid, wanted):
        there = places(pid)
        return {file: read(there[file.split(".", 1)[0]] / file) for file in wanted}

    def test_limits_are_properties_of_the_unit_and_files(self):
        resources = {"memory": {"limit": 64 * MIB, "reservation": 8 * MIB}, "pids": {"limit": 44},
                     "cpu": {"shares": 512, "quota": 15000, "period": 100000, "cpus": "0", "mems": "0"},
                     "hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}]}
        name = self.start(resources=resources)
        pid, unit = self.pid(name), f"gt-{name}.scope"
        for controller in ("memory", "pids", "cpu", "cpuset", "hugetlb", "systemd", *(["unified"] if self.hybrid else [])):
            self.assertTrue(str(places(pid)[controller]).endswith(f"/system.slice/{unit}"), (controller, places(pid)))
        wanted = {"memory.limit_in_bytes": str(64 * MIB), "memory.soft_limit_in_bytes": str(8 * MIB), "pids.max": "44",
                  "cpu.shares": "512", "cpu.cfs_quota_us": "15000", "cpu.cfs_period_us": "100000", "cpuset.cpus": "0",
                  "hugetlb.2MB.limit_in_bytes": str(2 * MIB)}
        self.assertEqual(self.values(pid, wanted), wanted)
        properties = {"MemoryLimit": str(64 * MIB), "CPUShares": "512", "CPUQuotaPerSecUSec": "150ms", "TasksMax": "44",
                      "Slice": "system.slice", "Delegate": "yes", "ActiveState": "active"}
        self.assertEqual(self.show(unit, *properties), properties)
        self.assertEqual(self.systemctl("daemon-reload").returncode, 0)
        self.assertEqual(self.values(pid, wanted), wanted, "after daemon-reload")

    def test_an_update_changes_unit_and_files(self):
        name = self.start(resources={"memory": {"limit": 64 * MIB}})
        done = self.call("update", "--memory", "80m", "--pids-limit", "33", "--cpu-share", "256", name)
        self.assertEqual(done.stderr, "")
        wanted = {"memory.limit_in_bytes": str(80 * MIB), "pids.max": "33", "cpu.shares": "256"}
        self.assertEqual(self.values(self.pid(name), wanted), wanted)
        properties = {"MemoryLimit": str(80 * MIB), "TasksMax": "33", "CPUShares": "256"}
        self.assertEqual(self.show(f"gt-{name}.scope", *properties), properties)

    def test_devices_are_those_of_the_config_through_a_daemon_reload(self):
        devices = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]
        line = ("cd /dev; mknod fuse c 10 229; mknod kmsg c 1 11; for d in fuse kmsg null; do "
                "( : < $d ) 2>/dev/null && echo -n + || echo -n -; done")
        name = self.start(resources={"devices": devices})
        for when in ("start", "daemon-reload"):
            self.assertEqual(self.call("exec", name, "sh", "-c", line + "; rm fuse kmsg").stdout, "+-+", when)
            self.assertEqual(self.systemctl("daemon-reload").returncode, 0)

    def test_pause_exec_ps_and_events_find_the_scope(self):
        name = self.start("while :; do sleep 0.1; done", {"memory": {"limit": 64 * MIB}})
        self.assertEqual(self.call("pause", name).stderr, "")
        self.assertEqual(json.loads(self.call("state", name).stdout)["status"], "paused")
        self.assertEqual(self.call("resume", name).stderr, "")
        self.assertIn(self.pid(name), json.loads(self.call("ps", "-f", "json", name).stdout))
        place = self.call("exec", name, "cat", "/proc/self/cgroup").stdout
        self.assertRegex(place, r"memory:/\n")
        tracked = "0::/" if self.hybrid else "name=systemd:/"  # what systemd itself knows its processes by
        self.assertIn(f"{tracked}\n", place)
        data = json.loads(self.call("events", "--stats", name).stdout)["data"]
        self.assertEqual(data["memory"]["usage"]["limit"], 64 * MIB)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)

    def test_delete_leaves_nothing_in_any_hierarchy(self):
        name = self.start("sleep 1000 & exec sleep 1000", {"memory": {"limit": 64 * MIB}, "cpu": {"cpus": "0"}})
        there = places(self.pid(name))
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))
        self.assertEqual([str(path) for path in there.values() if path.name == f"gt-{name}.scope" and path.exists()], [])
        # Where systemd has no controllers, the slice was ours as well.
        self.assertFalse(there["cpuset"].parent.exists())

    def test_an_end_for_memory_is_reported_and_leaves_no_failed_unit(self):
        name = self.start("exec tail /dev/zero", {"memory": {"limit": 24 * MIB}})
        wait_for(lambda: json.loads(self.call("state", name).stdout)["status"] == "stopped", "end")
        self.assertEqual(self.call("delete", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_a_subgroup_is_below_the_scope_and_a_delegated_cgroup_is_refused(self):
        name = self.start(resources={"memory": {"limit": 64 * MIB}}, annotations={"run.oci.systemd.subgroup": "in/box"})
        place = places(self.pid(name))["memory"]
        self.assertTrue(str(place).endswith(f"/gt-{name}.scope/in/box"), place)
        self.assertEqual(read(place / "memory.limit_in_bytes"), str(64 * MIB))
        self.assertEqual(self.call("update", "--cpuset-cpus", "0", name).stderr, "")
        place = places(self.pid(name))["cpuset"]
        self.assertEqual((place.name, read(place / "cpuset.cpus")), ("box", "0"))
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        _, done = self.create(annotations={"run.oci.delegate-cgroup": "payload"})
        self.assertIn("not supported on cgroup v1", done.stderr)


class OfAUser:
    """An ordinary user's manager, which has no controllers here."""

    user = True

    def setUp(self):
        super().setUp()
        user_manager()

    def tracked(self, pid):
        return places(pid)["unified" if self.hybrid else "systemd"]

    def test_a_container_without_limits_is_a_scope_of_the_users_manager(self):
        name = self.start()
        place = self.tracked(self.pid(name))
        self.assertRegex(str(place), rf"/user@{UID}\.service/.*/gt-{name}\.scope$")
        self.assertEqual(self.call("exec", name, "true").stderr, "")
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))
        self.assertFalse(place.exists())

    def test_a_limit_is_refused_by_name_and_leaves_no_unit(self):
        name, done = self.create(resources={"memory": {"limit": 64 * MIB}})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("linux.resources.memory.limit", done.stderr)
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))


class Hybrid(OfTheSystem, Older):
    """systemd.unified_cgroup_hierarchy=0"""


class HybridUser(OfAUser, Older):
    pass


class Legacy(OfTheSystem, Older):
    """systemd.legacy_systemd_cgroup_controller=1 beside it"""

    hybrid = False


class LegacyUser(OfAUser, Older):
    hybrid = False


# What a loader of tests takes for tests.
del Older, Units
