"""--systemd-cgroup with a real systemd: units, their properties, reloads and ends, of the system and of a user."""

import json
import shutil
from pathlib import Path

from tests.guest.support import SHIM, UID, WORK, GuestCase, as_user, cgroup_of, config, read, rootless, run, user_manager, wait_for

MIB = 1 << 20


class Units(GuestCase):
    """Containers made by `create` and `start` in units of systemd."""

    user = False

    def systemctl(self, *words):
        argv = ["systemctl", *(["--user"] if self.user else []), *words]
        return run(as_user(*argv, scope=False) if self.user else argv)

    def argv(self, *words):
        argv = [SHIM, "--root", self.state(self.user), "--systemd-cgroup", *words]
        return as_user(*argv) if self.user else argv

    def call(self, *words):
        return run(self.argv(*words))

    def create(self, line="sleep 1000", resources=None, path=None, **changes):
        name = self.new_id()
        spec = config(line, resources, **changes)
        spec["linux"]["cgroupsPath"] = f"{'user' if self.user else 'system'}.slice:gt:{name}" if path is None else path
        directory = WORK / name
        directory.mkdir()
        self.addCleanup(shutil.rmtree, directory)
        (directory / "config.json").write_text(json.dumps(rootless(spec) if self.user else spec))
        self.addCleanup(self.call, "delete", "--force", name)
        return name, self.detach(directory, self.argv("run", "-d", "--bundle", directory, name))

    @staticmethod
    def detach(directory, argv):
        """Runs a command whose container goes on: its output goes to a file, as a pipe would not end before the container."""
        done = run(["sh", "-c", 'out=$1; shift; exec "$@" > "$out" 2>&1', "sh", directory / "output", *argv])
        done.stderr = (directory / "output").read_text()
        return done

    def start(self, *args, **kwargs):
        name, done = self.create(*args, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return name

    def pid(self, name):
        return json.loads(self.call("state", name).stdout)["pid"]

    def show(self, unit, *properties):
        text = self.systemctl("show", unit, *[f"--property={one}" for one in properties]).stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    def unit_is_gone(self, unit):
        return self.show(unit, "LoadState", "ActiveState") == {"LoadState": "not-found", "ActiveState": "inactive"}


class SystemUnits(Units):
    """The system's manager."""

    def test_the_container_is_in_a_delegated_scope_of_its_slice(self):
        name = self.start()
        self.assertEqual(str(cgroup_of(self.pid(name))), f"/sys/fs/cgroup/system.slice/gt-{name}.scope")
        self.assertEqual(self.show(f"gt-{name}.scope", "ActiveState", "Slice", "Delegate"),
                         {"ActiveState": "active", "Slice": "system.slice", "Delegate": "yes"})
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_a_slice_in_a_slice_is_made_on_the_way(self):
        name = self.start(path="outer-inner.slice:gt:nested")
        self.assertEqual(str(cgroup_of(self.pid(name))), "/sys/fs/cgroup/outer.slice/outer-inner.slice/gt-nested.scope")
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.systemctl("stop", "outer.slice")
        self.assertTrue(self.unit_is_gone("gt-nested.scope"))

    def test_limits_are_properties_of_the_unit_and_files(self):
        resources = {"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 8 * MIB},
                     "cpu": {"shares": 2048, "quota": 15000, "period": 100000, "cpus": "0"}, "pids": {"limit": 44},
                     "unified": {"memory.high": str(48 * MIB)}, "hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}]}
        name = self.start(resources=resources)
        place = cgroup_of(self.pid(name))
        wanted = {"memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB), "memory.low": str(8 * MIB), "cpu.weight": "174",
                  "cpu.max": "15000 100000", "cpuset.cpus": "0", "pids.max": "44", "memory.high": str(48 * MIB),
                  "hugetlb.2MB.max": str(2 * MIB)}
        self.assertEqual({file: read(place / file) for file in wanted}, wanted)
        properties = {"MemoryMax": str(64 * MIB), "MemorySwapMax": str(32 * MIB), "MemoryLow": str(8 * MIB),
                      "MemoryHigh": str(48 * MIB), "CPUWeight": "174", "CPUQuotaPerSecUSec": "150ms", "TasksMax": "44",
                      "AllowedCPUs": "0"}
        self.assertEqual(self.show(f"gt-{name}.scope", *properties), properties)
        self.assertEqual(self.systemctl("daemon-reload").returncode, 0)
        self.assertEqual({file: read(place / file) for file in wanted}, wanted, "after daemon-reload")

    def test_devices_stay_through_a_daemon_reload(self):
        devices = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]
        line = ("mknod /tmp/fuse c 10 229; mknod /tmp/kmsg c 1 11; while :; do "
                "r=; for d in /tmp/fuse /tmp/kmsg /dev/null; do ( : < $d ) 2>/dev/null && r=$r+ || r=$r-; done; "
                "echo $r > /tmp/new; cp /tmp/new /mnt/result; sleep 0.1; done")
        place = WORK / "result"
        place.mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, place)
        spec = config(line, {"devices": devices})
        mounts = [mount for mount in spec["mounts"] if mount["destination"] != "/tmp"]
        mounts += [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
                   {"destination": "/mnt", "type": "bind", "source": str(place), "options": ["bind"]}]
        name = self.start(line, {"devices": devices}, mounts=mounts)
        result = place / "result"
        wait_for(lambda: result.exists() and read(result) == "+-+", "first look")
        for _ in range(2):
            self.assertEqual(self.systemctl("daemon-reload").returncode, 0)
            result.unlink()
            wait_for(lambda: result.exists() and read(result), "another look")
            self.assertEqual(read(result), "+-+")
        self.assertEqual(self.show(f"gt-{name}.scope", "DevicePolicy"), {"DevicePolicy": "strict"})

    def test_update_changes_the_unit_as_well(self):
        name = self.start(resources={"memory": {"limit": 64 * MIB}})
        done = self.call("update", "--memory", "80m", "--pids-limit", "33", "--cpu-share", "512", name)
        self.assertEqual(done.stderr, "")
        wanted = {"MemoryMax": str(80 * MIB), "TasksMax": "33", "CPUWeight": "59"}
        self.assertEqual(self.show(f"gt-{name}.scope", *wanted), wanted)
        self.assertEqual(read(cgroup_of(self.pid(name)) / "memory.max"), str(80 * MIB))

    def test_a_subgroup_has_the_limits_and_the_scope_has_them_too(self):
        annotations = {"run.oci.systemd.subgroup": "box", "run.oci.delegate-cgroup": "payload"}
        name = self.start(resources={"memory": {"limit": 64 * MIB}, "pids": {"limit": 44}}, annotations=annotations)
        place = cgroup_of(self.pid(name))
        self.assertEqual(str(place), f"/sys/fs/cgroup/system.slice/gt-{name}.scope/box/payload")
        for scope in (place.parent, place.parent.parent):
            self.assertEqual((read(scope / "memory.max"), read(scope / "pids.max")), (str(64 * MIB), "44"))
        self.assertEqual((read(place / "memory.max"), read(place / "pids.max")), ("max", "max"))
        self.assertIn("memory", read(place.parent / "cgroup.subtree_control").split())
        self.assertEqual(self.call("update", "--memory", "80m", name).stderr, "")
        self.assertEqual([read(one / "memory.max") for one in (place.parent, place.parent.parent)], [str(80 * MIB)] * 2)
        data = json.loads(self.call("events", "--stats", name).stdout)["data"]
        self.assertEqual(data["memory"]["usage"]["limit"], 80 * MIB)
        self.assertEqual(self.call("exec", name, "cat", "/proc/self/cgroup").stdout, "0::/payload\n")
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_annotations_set_properties(self):
        name = self.start(annotations={"org.systemd.property.TimeoutStopSec": "uint64 7",
                                       "org.systemd.property.Description": "'of a test'"})
        self.assertEqual(self.show(f"gt-{name}.scope", "TimeoutStopUSec", "Description"),
                         {"TimeoutStopUSec": "7s", "Description": "of a test"})

    def test_a_name_in_use_is_refused_and_the_other_lives_on(self):
        first = self.start()
        name, done = self.create(path=f"system.slice:gt:{first}")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"gt-{first}.scope", done.stderr)
        self.assertIn("systemctl stop", done.stderr)
        self.assertIn(str(self.pid(first)), read(cgroup_of(self.pid(first)) / "cgroup.procs"))
        self.assertIn("does not exist", self.call("state", name).stderr)

    def test_a_failed_start_leaves_no_unit(self):
        name, done = self.create(resources={"unified": {"memory.nothing": "1"}})
        self.assertIn("memory.nothing", done.stderr)
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_another_form_of_path_is_named(self):
        _, done = self.create(path="/guest-tests/x")
        self.assertIn('expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/guest-tests/x" instead',
                      done.stderr)

    def test_pause_exec_ps_and_events_find_the_scope(self):
        name = self.start("while :; do sleep 0.1; done", {"memory": {"limit": 64 * MIB}})
        self.assertEqual(self.call("pause", name).stderr, "")
        self.assertEqual(json.loads(self.call("state", name).stdout)["status"], "paused")
        self.assertEqual(self.call("resume", name).stderr, "")
        self.assertIn(self.pid(name), json.loads(self.call("ps", "-f", "json", name).stdout))
        data = json.loads(self.call("events", "--stats", name).stdout)["data"]
        self.assertEqual(data["memory"]["usage"]["limit"], 64 * MIB)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)

    def test_an_end_for_memory_leaves_no_failed_unit(self):
        name = self.start("exec tail /dev/zero", {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}})
        wait_for(lambda: json.loads(self.call("state", name).stdout)["status"] == "stopped", "end")
        self.assertEqual(self.call("delete", name).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_the_message_bus_does_where_the_managers_socket_is_not(self):
        hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run/systemd && exec "$@"', "sh"]
        name = self.new_id()
        spec = config("sleep 1000")
        spec["linux"]["cgroupsPath"] = f"system.slice:gt:{name}"
        directory = WORK / name
        directory.mkdir()
        self.addCleanup(shutil.rmtree, directory)
        (directory / "config.json").write_text(json.dumps(spec))
        self.addCleanup(self.call, "delete", "--force", name)
        shim = [SHIM, "--root", self.state(), "--systemd-cgroup"]
        self.assertEqual(self.detach(directory, [*hidden, *shim, "run", "-d", "--bundle", directory, name]).stderr, "")
        self.assertEqual(str(cgroup_of(self.pid(name))), f"/sys/fs/cgroup/system.slice/gt-{name}.scope")
        self.assertEqual(run([*hidden, *shim, "delete", "--force", name]).stderr, "")
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))

    def test_without_systemd_it_says_what_to_do(self):
        name = self.new_id()
        hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/t && exec "$@"', "sh"]
        directory = WORK / name
        directory.mkdir()
        self.addCleanup(shutil.rmtree, directory)
        spec = config("true")
        spec["linux"]["cgroupsPath"] = f"system.slice:gt:{name}"
        (directory / "config.json").write_text(json.dumps(spec))
        done = run([*hidden, SHIM, "--root", "/run/t", "--systemd-cgroup", "run", "--bundle", directory, name])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("leave --systemd-cgroup out", done.stderr)


class UserUnits(Units):
    """An ordinary user's manager."""

    user = True

    def setUp(self):
        super().setUp()
        user_manager()

    def test_the_container_is_in_a_scope_of_the_users_manager(self):
        name = self.start(resources={"memory": {"limit": 64 * MIB}, "pids": {"limit": 30}})
        place = cgroup_of(self.pid(name))
        self.assertEqual(place.name, f"gt-{name}.scope")
        self.assertIn(f"user@{UID}.service", str(place))
        self.assertEqual((read(place / "memory.max"), read(place / "pids.max")), (str(64 * MIB), "30"))
        self.assertEqual(self.call("pause", name).stderr, "")
        self.assertEqual(self.call("resume", name).stderr, "")
        self.assertEqual(self.call("update", "--pids-limit", "31", name).stderr, "")
        self.assertEqual(read(place / "pids.max"), "31")
        self.assertEqual(self.call("delete", "--force", name).stderr, "")
        self.assertFalse(Path(place).exists())
        self.assertTrue(self.unit_is_gone(f"gt-{name}.scope"))
