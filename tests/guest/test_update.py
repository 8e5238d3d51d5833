"""update and events on a pure cgroup v2 machine with every controller."""

import json
import subprocess

from tests.guest.support import SHIM, GuestCase, wait_for

MIB = 1 << 20


class Update(GuestCase):
    """Changes of a container that runs."""

    def update(self, container, *options, resources=None):
        words = [SHIM, "--root", self.state(), "update", *options]
        if resources is not None:
            words += ["--resources", "-"]
        done = subprocess.run([str(word) for word in [*words, container.id]], input=json.dumps(resources or {}), text=True,
                              capture_output=True, timeout=60, check=False)
        return done.stderr

    def test_what_is_not_named_stays(self):
        start = {"memory": {"limit": 64 * MIB, "reservation": 8 * MIB}, "cpu": {"quota": 20000, "period": 50000, "shares": 512},
                 "pids": {"limit": 40}}
        with self.start(resources=start) as container:
            table = [
                (["--cpu-period", "100000"], "cpu.max", "20000 100000"),
                (["--cpu-quota", "30000"], "cpu.max", "30000 100000"),
                (["--cpu-quota", "-1"], "cpu.max", "max 100000"),
                (["--cpu-share", "1024"], "cpu.weight", "100"),
                (["--memory", "96m"], "memory.max", str(96 * MIB)),
                (["--memory", "-1"], "memory.max", "max"),
                (["--memory-reservation", "4m"], "memory.low", str(4 * MIB)),
                (["--pids-limit", "50"], "pids.max", "50"),
                (["--cpuset-cpus", "0"], "cpuset.cpus", "0"),
                (["--cpu-idle", "1"], "cpu.idle", "1"),
                (["--cpu-idle", "0"], "cpu.idle", "0")]
            for options, file, wanted in table:
                with self.subTest(str(options)):
                    self.assertEqual(self.update(container, *options), "")
                    self.assertEqual(container.file(file), wanted)
            self.assertEqual(container.file("pids.max"), "50")

    def test_burst_and_quota_fit_each_other_in_any_order(self):
        with self.start(resources={"cpu": {"quota": 20000, "period": 100000, "burst": 10000}}) as container:
            for quota, burst in ((60000, 50000), (10000, 5000)):
                self.assertEqual(self.update(container, resources={"cpu": {"quota": quota, "burst": burst}}), "")
                self.assertEqual((container.file("cpu.max"), container.file("cpu.max.burst")), (f"{quota} 100000", str(burst)))

    def test_swap_is_counted_together_with_memory(self):
        with self.start(resources={"memory": {"limit": 64 * MIB, "swap": 96 * MIB}}) as container:
            self.assertEqual(self.update(container, "--memory-swap", "128m"), "")
            self.assertEqual(container.file("memory.swap.max"), str(64 * MIB))
            self.assertEqual(self.update(container, "--memory", "80m"), "")
            self.assertEqual((container.file("memory.max"), container.file("memory.swap.max")), (str(80 * MIB), str(48 * MIB)))
            self.assertIn("memory+swap limit should be >= memory limit", self.update(container, "--memory", "256m"))
            self.assertEqual(container.file("memory.max"), str(80 * MIB))

    def test_a_limit_below_the_usage_is_refused_when_asked_to_look(self):
        line = "dd if=/dev/zero of=/tmp/filled bs=1M count=20 2>/dev/null; sleep 1000"
        with self.start(line, {"memory": {"limit": 64 * MIB}}) as container:
            wait_for(lambda: int(container.file("memory.current")) > 20 * MIB, "usage")
            said = self.update(container, resources={"memory": {"limit": 8 * MIB, "checkBeforeUpdate": True}})
            self.assertIn("is below the current usage", said)
            self.assertEqual(container.file("memory.max"), str(64 * MIB))

    def test_weights_and_throttles_of_disks_and_huge_pages(self):
        with self.start() as container:
            resources = {"blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1048576}]},
                         "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}
            self.assertEqual(self.update(container, resources=resources), "")
            self.assertEqual(container.file("io.max"), "254:0 rbps=1048576 wbps=max riops=max wiops=max")
            self.assertEqual(container.file("hugetlb.2MB.rsvd.max"), str(4 * MIB))


class Events(GuestCase):
    """Statistics and out-of-memory kills."""

    def test_a_kill_for_memory_is_told_and_the_end_ends_it(self):
        line = "sleep 3; (exec tail /dev/zero); sleep 1000"
        with self.start(line, {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}, "pids": {"limit": 20}}) as container:
            words = [str(word) for word in (SHIM, "--root", self.state(), "events", "--interval", "500ms", container.id)]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
                found = next(event for event in map(json.loads, events.stdout) if event["type"] == "oom")
                self.assertEqual(found, {"type": "oom", "id": container.id})
                stats = next(event for event in map(json.loads, events.stdout) if event["type"] == "stats")["data"]
                self.assertEqual(self.shim("kill", container.id, "KILL").returncode, 0)
                events.communicate(timeout=60)
                self.assertEqual(events.returncode, 0)
        self.assertEqual(stats["memory"]["usage"]["limit"], 24 * MIB)
        self.assertGreater(stats["memory"]["usage"]["failcnt"], 0)
        self.assertGreaterEqual(stats["memory"]["event_count"]["oom_kill"], 1)
        self.assertEqual(stats["pids"]["limit"], 20)
        self.assertGreater(stats["cpu"]["usage"]["total"], 0)
        self.assertIn("psi", stats["cpu"])
        self.assertIn("anon", stats["memory"]["raw"])
