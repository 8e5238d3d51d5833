"""The verbs that work on a living container's cgroup."""

import json
import os
import subprocess
import time

from tests.guest.support import SHIM, Created, GuestCase, config, read, user_manager, values, wait_for

MIB = 1 << 20
DISK = "254:0"
COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done"


class Verbs(GuestCase):
    """A container of `create` and `start`."""

    def create(self, line="sleep 1000", resources=None, **kwargs):
        return Created(self, config(line, resources), **kwargs)


class Life(Verbs):
    """create, start, kill, delete"""

    def test_the_limits_hold_before_the_program_runs(self):
        with self.create(resources={"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}) as container:
            self.assertEqual(container.state()["status"], "created")
            self.assertEqual((container.file("memory.max"), container.file("pids.max")), (str(64 * MIB), "20"))
            container.start()
            self.assertEqual((container.state()["status"], container.file("pids.max")), ("running", "20"))

    def test_delete_takes_the_cgroup_of_a_container_that_ended(self):
        with self.create("true") as container:
            place = container.cgroup
            container.start()
            wait_for(lambda: container.state()["status"] == "stopped", "end")
            container.ok("delete")
            self.assertFalse(place.exists())

    def test_kill_all_ends_what_the_first_process_left(self):
        spec = config("sleep 1000 & sleep 1000 & wait")
        with Created(self, spec) as container:
            place = container.start().cgroup
            wait_for(lambda: len((place / "cgroup.procs").read_text().split()) == 3, "three processes")
            container.ok("kill", "--all", after=["KILL"])
            wait_for(lambda: container.state()["status"] == "stopped", "end")
            self.assertEqual((place / "cgroup.procs").read_text(), "")


class Update(Verbs):
    """update"""

    def assert_files(self, container, wanted):
        self.assertEqual({name: container.file(name) for name in wanted}, wanted)

    def test_every_option_becomes_its_file(self):
        with self.create() as container:
            container.start()
            container.ok("update", "--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "16m", "--pids-limit", "31",
                         "--cpu-share", "2048", "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "10000",
                         "--cpuset-cpus", "1", "--cpuset-mems", "0", "--blkio-weight", "500")
            self.assert_files(container, {
                "memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB), "memory.low": str(16 * MIB), "pids.max": "31",
                "cpu.weight": "174", "cpu.max": "50000 100000", "cpu.max.burst": "10000", "cpuset.cpus": "1", "cpuset.mems": "0",
                "io.weight": "default 4950"})
            self.assertEqual(os.sched_getaffinity(container.pid), {1})

    def test_idle_makes_the_least_weight(self):
        with self.create() as container:
            container.ok("update", "--cpu-idle", "1")
            self.assert_files(container, {"cpu.idle": "1", "cpu.weight": "0"})

    def test_what_is_not_named_stays(self):
        with self.create(resources={"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}) as container:
            container.ok("update", "--pids-limit", "-1")
            self.assert_files(container, {"memory.max": str(64 * MIB), "pids.max": "max"})

    def test_a_file_of_resources_is_taken_whole(self):
        with self.create() as container:
            file = container.dir / "resources.json"
            file.write_text(json.dumps({
                "memory": {"limit": 48 * MIB, "swap": 48 * MIB}, "unified": {"memory.high": str(40 * MIB), "cpu.weight": "77"},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}], "pids": {"limit": 9},
                "blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": MIB}]}}))
            container.ok("update", "--resources", file)
            self.assert_files(container, {
                "memory.max": str(48 * MIB), "memory.swap.max": "0", "memory.high": str(40 * MIB), "cpu.weight": "77",
                "hugetlb.2MB.max": str(4 * MIB), "pids.max": "9", "io.max": f"{DISK} rbps={MIB} wbps=max riops=max wiops=max"})

    def test_a_limit_holds_from_now_on(self):
        with self.create("while :; do sleep 0.1 & sleep 0.1 & sleep 0.1; wait; done") as container:
            events = container.start().cgroup / "pids.events"
            container.ok("update", "--pids-limit", "2")
            wait_for(lambda: int(values(events)["max"]) > 0, "refused fork")

    def test_checked_before_the_update_a_limit_below_what_is_used_changes_nothing(self):
        line = "dd if=/dev/zero of=/tmp/filled bs=1M count=24 2>/dev/null; echo filled; sleep 1000"
        with self.create(line, {"memory": {"limit": 64 * MIB}}) as container:
            container.start()
            wait_for(lambda: "filled" in container.output.read_text(), "memory in use")
            file = container.dir / "resources.json"
            file.write_text(json.dumps({"memory": {"limit": 8 * MIB, "checkBeforeUpdate": True}}))
            done = container.verb("update", "--resources", file)
            self.assertNotEqual(done.returncode, 0, done)
            self.assertEqual(container.file("memory.max"), str(64 * MIB))
            self.assertEqual(container.state()["status"], "running")


class Pause(Verbs):
    """pause and resume"""

    def test_a_paused_container_uses_no_processor(self):
        with self.create(COUNT) as container:
            stat = container.start().cgroup / "cpu.stat"

            def used():
                return int(values(stat)["usage_usec"])

            container.ok("pause")
            self.assertEqual(values(container.cgroup / "cgroup.events")["frozen"], "1")
            self.assertEqual(container.state()["status"], "paused")
            before = used()
            time.sleep(1)
            self.assertEqual(used(), before)
            container.ok("resume")
            self.assertEqual(container.state()["status"], "running")
            wait_for(lambda: used() > before, "use of the processor")

    def test_a_paused_container_can_be_deleted(self):
        with self.create(COUNT) as container:
            place = container.start().cgroup
            container.ok("pause")
            container.ok("delete", "--force")
            self.assertFalse(place.exists())

    def test_update_leaves_a_paused_container_paused(self):
        with self.create(COUNT) as container:
            container.start().ok("pause")
            container.ok("update", "--memory", "64m")
            self.assertEqual((container.file("memory.max"), container.state()["status"]), (str(64 * MIB), "paused"))


class Events(Verbs):
    """events"""

    def test_statistics_are_those_of_the_kernel(self):
        line = "dd if=/dev/zero of=/tmp/filled bs=1M count=8 2>/dev/null; echo filled; sleep 1000"
        with self.create(line, {"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}) as container:
            container.start()
            wait_for(lambda: "filled" in container.output.read_text(), "memory in use")
            event = json.loads(container.ok("events", "--stats"))
            self.assertEqual((event["type"], event["id"]), ("stats", container.id))
            data = event["data"]
            self.assertEqual((data["pids"]["current"], data["pids"]["limit"]), (1, 20))
            self.assertEqual(data["memory"]["usage"]["limit"], 64 * MIB)
            self.assertGreater(data["memory"]["usage"]["usage"], 8 * MIB)
            self.assertGreater(data["cpu"]["usage"]["total"], 0)

    def test_running_out_of_memory_is_an_event(self):
        resources = {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}}
        with self.create("while :; do tail /dev/zero; done", resources) as container:
            container.start()
            argv = ["timeout", "40", SHIM, "--root", self.state(), "events", "--interval", "1h", container.id]
            with subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
                self.addCleanup(process.kill)
                self.assertEqual(json.loads(process.stdout.readline()), {"type": "oom", "id": container.id})
                container.ok("kill", after=["KILL"])
                process.stdout.read()
                self.assertEqual(process.wait(), 0)


class Exec(Verbs):
    """exec"""

    def test_it_joins_the_cgroup_and_its_limits(self):
        with self.create("sleep 1000", {"pids": {"limit": 8}}) as container:
            container.start()
            self.assertEqual(container.ok("exec", after=["cat", "/proc/self/cgroup"]), "0::/\n")
            line = "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done; wait"
            self.assertIn("can't fork", container.verb("exec", after=["sh", "-c", line]).stderr)

    def test_memory_is_counted_together(self):
        with self.create("sleep 1000", {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}}) as container:
            container.start()
            self.assertEqual(container.verb("exec", after=["tail", "/dev/zero"]).returncode, 137)
            self.assertEqual(container.state()["status"], "running")

    def test_a_cgroup_below_the_containers_can_be_named(self):
        with self.create() as container:
            (container.start().cgroup / "inner").mkdir()
            self.assertEqual(container.ok("exec", "--cgroup", "inner", after=["cat", "/proc/self/cgroup"]), "0::/inner\n")

    def test_a_paused_container_takes_nobody(self):
        with self.create() as container:
            container.start().ok("pause")
            done = container.verb("exec", after=["true"])
            self.assertNotEqual(done.returncode, 0, done)
            self.assertIn("paused", done.stderr)

    def test_device_rules_hold(self):
        rules = {"devices": [{"allow": False, "access": "rwm"}]}
        with self.create(resources=rules) as container:
            container.start()
            line = "mknod /dev/one b 7 0 && head -c 0 /dev/one"
            self.assertIn("Operation not permitted", container.verb("exec", "--cap", "CAP_MKNOD", after=["sh", "-c", line]).stderr)


class OfAUser(Verbs):
    """The same verbs of an ordinary user, below the cgroup that his systemd delegated to him."""

    def setUp(self):
        super().setUp()
        user_manager()

    def test_update_pause_exec_and_delete_work_on_his_container(self):
        with self.create(resources={"memory": {"limit": 64 * MIB}}, user=True) as container:
            place = container.start().cgroup
            limits = place.parent if place.name == "c" else place
            self.assertEqual(read(limits / "memory.max"), str(64 * MIB))
            container.ok("update", "--memory", "48m", "--pids-limit", "12")
            self.assertEqual((read(limits / "memory.max"), read(limits / "pids.max")), (str(48 * MIB), "12"))
            container.ok("pause")
            self.assertEqual(container.state()["status"], "paused")
            container.ok("resume")
            self.assertEqual(container.ok("exec", after=["id", "-u"]), "0\n")
            self.assertEqual(json.loads(container.ok("events", "--stats"))["data"]["memory"]["usage"]["limit"], 48 * MIB)
            container.ok("delete", "--force")
            self.assertFalse(limits.exists())


class Namespaces(Verbs):
    """Cgroup namespaces where they are the border of delegation, as systemd mounts it."""

    def test_a_container_joins_the_cgroup_namespace_of_another(self):
        with self.create() as first:
            first.start()
            spec = config("cat /proc/self/cgroup", {"pids": {"limit": 9}})
            for entry in spec["linux"]["namespaces"]:
                if entry["type"] == "cgroup":
                    entry["path"] = f"/proc/{first.pid}/ns/cgroup"
            text, _ = self.run_line("", spec=spec)
            self.assertRegex(text, r"^0::/\.\./gt\d+\n$")

    def test_a_container_without_one_shows_the_hosts(self):
        spec = config("sleep 1000")
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "cgroup"]
        with Created(self, spec) as container:
            container.start()
            self.assertEqual(container.ok("exec", after=["cat", "/proc/self/cgroup"]), f"0::/guest-tests/{container.id}\n")
