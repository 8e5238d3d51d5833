"""Limits on a pure cgroup v2 machine: what the kernel's files say, and what the kernel does."""

import contextlib
import os
import time
from pathlib import Path

from tests.guest.support import WORK, GuestCase, config, read, run, values, wait_for

MIB = 1 << 20
DISK = "254:0"  # /dev/vda, checked below


class Limits(GuestCase):
    """Starts a container and reads its cgroup."""

    def files(self, resources, names):
        with self.start(resources=resources) as container:
            return {name: container.file(name) for name in names}

    def assert_files(self, resources, wanted):
        self.assertEqual(self.files(resources, wanted), wanted, resources)


class Memory(Limits):
    """linux.resources.memory"""

    def test_limit_reservation_and_swap_become_their_files(self):
        table = [
            ({"limit": 64 * MIB}, {"memory.max": str(64 * MIB), "memory.swap.max": "max", "memory.low": "0"}),
            ({"limit": 64 * MIB, "swap": 64 * MIB}, {"memory.max": str(64 * MIB), "memory.swap.max": "0"}),
            ({"limit": 64 * MIB, "swap": 96 * MIB}, {"memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB)}),
            ({"limit": 64 * MIB, "swap": -1}, {"memory.swap.max": "max"}),
            ({"limit": -1}, {"memory.max": "max", "memory.swap.max": "max"}),
            ({"limit": -1, "swap": 32 * MIB}, {"memory.max": "max", "memory.swap.max": str(32 * MIB)}),
            ({"reservation": 16 * MIB}, {"memory.max": "max", "memory.low": str(16 * MIB)}),
            ({"limit": 0, "reservation": -1}, {"memory.max": "max", "memory.low": "max"})]
        for memory, wanted in table:
            with self.subTest(str(memory)):
                self.assert_files({"memory": memory}, wanted)

    def test_swap_below_the_limit_or_without_one_is_refused(self):
        for memory, text in (({"limit": 64 * MIB, "swap": 32 * MIB}, "memory+swap limit should be >= memory limit"),
                             ({"swap": 32 * MIB}, "unable to set swap limit without memory limit")):
            with self.subTest(text):
                _, ended = self.run_line("true", {"memory": memory})
                self.assertIn(text, ended.get("message", ""), ended)

    def test_a_program_that_takes_more_is_killed_and_that_is_reported(self):
        _, ended = self.run_line("exec tail /dev/zero", {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}})
        self.assertEqual((ended.get("signal"), ended.get("oom")), (9, True), ended)

    def test_a_program_that_is_killed_otherwise_is_not_reported_as_out_of_memory(self):
        _, ended = self.run_line("kill -9 $$", {"memory": {"limit": 24 * MIB}})
        self.assertEqual(ended.get("oom"), False, ended)

    def test_swap_is_what_a_container_may_use_above_its_memory(self):
        swap = WORK / "swap"
        run(["fallocate", "-l", "128M", swap])
        swap.chmod(0o600)
        self.addCleanup(swap.unlink)
        self.assertEqual(run(["mkswap", swap]).returncode, 0)
        self.assertEqual(run(["swapon", swap]).returncode, 0)
        self.addCleanup(run, ["swapoff", swap])
        line = "dd if=/dev/zero of=/tmp/filled bs=1M count=40 2>/dev/null && echo done"
        text, _ = self.run_line(line, {"memory": {"limit": 24 * MIB, "swap": 96 * MIB}})
        self.assertEqual(text, "done\n")
        text, ended = self.run_line(line, {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}})
        self.assertNotIn("done", text, ended)

    def test_the_smallest_containers_fit_into_little_memory(self):
        text, ended = self.run_line("echo fits", {"memory": {"limit": 4 * MIB, "swap": 4 * MIB}})
        self.assertEqual(text, "fits\n", ended)


class Processes(Limits):
    """linux.resources.pids"""

    def test_the_limit_becomes_its_file(self):
        for limit, text in ((23, "23"), (-1, "max")):
            with self.subTest(limit):
                self.assert_files({"pids": {"limit": limit}}, {"pids.max": text})

    def test_a_fork_above_the_limit_is_refused(self):
        text, _ = self.run_line("for i in 1 2 3 4 5 6 7 8; do sleep 0.1 & done; wait", {"pids": {"limit": 4}})
        self.assertIn("can't fork", text)

    def test_a_fork_below_the_limit_is_not(self):
        text, _ = self.run_line("for i in 1 2 3; do sleep 0.1 & done; wait; echo fine", {"pids": {"limit": 16}})
        self.assertEqual(text, "fine\n")


class Processors(Limits):
    """linux.resources.cpu"""

    def test_shares_become_a_weight(self):
        for shares, weight in ((2, 1), (3, 2), (1000, 99), (1024, 100), (1025, 101), (2048, 174), (4096, 303), (262143, 10000),
                               (262144, 10000)):
            with self.subTest(shares):
                self.assert_files({"cpu": {"shares": shares}}, {"cpu.weight": str(weight)})

    def test_quota_period_burst_and_idle_become_their_files(self):
        table = [
            ({"quota": 50000, "period": 100000}, {"cpu.max": "50000 100000"}), ({"quota": 20000}, {"cpu.max": "20000 100000"}),
            ({"period": 50000}, {"cpu.max": "max 50000"}), ({"quota": -1, "period": 20000}, {"cpu.max": "max 20000"}),
            ({"quota": 50000, "period": 100000, "burst": 30000}, {"cpu.max": "50000 100000", "cpu.max.burst": "30000"}),
            ({"idle": 1}, {"cpu.idle": "1", "cpu.weight": "0"}), ({"idle": 0}, {"cpu.idle": "0", "cpu.weight": "100"})]
        for cpu, wanted in table:
            with self.subTest(str(cpu)):
                self.assert_files({"cpu": cpu}, wanted)

    def test_a_quota_throttles(self):
        with self.start("while :; do :; done", {"cpu": {"quota": 10000, "period": 100000}}) as container:
            stat = container.cgroup / "cpu.stat"
            wait_for(lambda: int(values(stat)["nr_throttled"]) >= 3, "throttled period")
            used, started = int(values(stat)["usage_usec"]), time.monotonic()
            time.sleep(2)
            used, passed = int(values(stat)["usage_usec"]) - used, time.monotonic() - started
            self.assertLess(used / 1e6, passed * 0.3, "a tenth of a processor was allowed")

    def test_a_heavier_container_gets_more_of_one_processor(self):
        go = WORK / "go"
        self.addCleanup(go.unlink, missing_ok=True)

        def busy(shares):
            spec = config("until [ -e /mnt/go ]; do sleep 0.1; done; while :; do :; done", {"cpu": {"shares": shares, "cpus": "0"}})
            spec["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(WORK), "options": ["bind", "ro"]})
            return self.start(spec=spec)

        def used(container):
            return int(values(container.cgroup / "cpu.stat")["usage_usec"])

        with busy(10240) as heavy, busy(102) as light:
            go.touch()
            time.sleep(1)
            before = used(heavy), used(light)
            time.sleep(3)
            self.assertGreater(used(heavy) - before[0], 3 * (used(light) - before[1]))

    def test_processors_and_memory_nodes_are_those_of_the_cpuset(self):
        with self.start("nproc; grep _allowed_list /proc/self/status; sleep 1000", {"cpu": {"cpus": "1", "mems": "0"}}) as container:
            self.assertEqual((container.file("cpuset.cpus"), container.file("cpuset.mems")), ("1", "0"))
            self.assertEqual(os.sched_getaffinity(container.pid), {1})

    def test_a_processor_that_is_not_there_is_an_error(self):
        _, ended = self.run_line("true", {"cpu": {"cpus": "7-8"}})
        self.assertEqual(ended["event"], "error", ended)
        self.assertIn("linux.resources.cpu.cpus: write 7-8", ended["message"])


class Disk(Limits):
    """linux.resources.blockIO"""

    def setUp(self):
        super().setUp()
        device = os.stat("/").st_dev
        self.assertEqual(f"{os.major(device)}:{os.minor(device)}", DISK)

    def throttle(self, **rates):
        major, minor = map(int, DISK.split(":"))
        return {"blockIO": {field: [{"major": major, "minor": minor, "rate": rate}] for field, rate in rates.items()}}

    def test_throttles_become_one_line(self):
        resources = self.throttle(throttleReadBpsDevice=MIB, throttleWriteBpsDevice=2 * MIB, throttleReadIOPSDevice=100,
                                  throttleWriteIOPSDevice=200)
        self.assert_files(resources, {"io.max": f"{DISK} rbps={MIB} wbps={2 * MIB} riops=100 wiops=200"})

    def test_a_read_throttle_slows_reads_down(self):
        data = WORK / "data"
        data.write_bytes(os.urandom(4 * MIB))
        self.addCleanup(data.unlink)
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("1")
        spec = config("dd if=/mnt/data of=/dev/null bs=1M 2>/dev/null; echo read", self.throttle(throttleReadBpsDevice=MIB))
        spec["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(WORK), "options": ["bind", "ro"]})
        started = time.monotonic()
        text, _ = self.run_line("", spec=spec)
        self.assertEqual(text, "read\n")
        self.assertGreater(time.monotonic() - started, 2.5, "four MiB at one MiB a second")

    def test_weight_becomes_io_weight(self):
        for weight, text in ((10, "default 1"), (500, "default 4950"), (1000, "default 10000")):
            with self.subTest(weight):
                self.assert_files({"blockIO": {"weight": weight}}, {"io.weight": text})

    def test_weight_is_bfqs_own_where_it_is_loaded(self):
        self.assertEqual(run(["modprobe", "bfq"]).returncode, 0)
        self.addCleanup(run, ["modprobe", "-r", "bfq"])
        self.assert_files({"blockIO": {"weight": 500}}, {"io.bfq.weight": "default 500"})


class HugePages(Limits):
    """linux.resources.hugepageLimits"""

    limit = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}

    def test_the_limit_and_that_of_reservations_become_their_files(self):
        self.assert_files(self.limit, {"hugetlb.2MB.max": str(4 * MIB), "hugetlb.2MB.rsvd.max": str(4 * MIB)})

    def test_a_third_page_is_refused(self):
        pages = Path("/proc/sys/vm/nr_hugepages")
        pages.write_text("8")
        self.addCleanup(pages.write_text, "0")
        self.assertGreaterEqual(int(pages.read_text()), 4)
        lines = "fallocate -l 4M /mnt/two && echo two; rm /mnt/two; fallocate -l 6M /mnt/three || echo refused; rm -f /mnt/three"
        spec = config(lines, self.limit)
        spec["mounts"].append({"destination": "/mnt", "type": "hugetlbfs", "source": "huge", "options": ["pagesize=2M"]})
        text, _ = self.run_line("", spec=spec)
        self.assertTrue(text.startswith("two\n") and text.endswith("refused\n"), text)


class Unified(Limits):
    """linux.resources.unified"""

    def test_every_key_is_a_file(self):
        unified = {"memory.high": str(48 * MIB), "memory.min": str(4 * MIB), "memory.oom.group": "1", "pids.max": "17",
                   "cpu.weight": "55", "cpu.max": "30000 60000", "cpuset.cpus": "0", "io.max": f"{DISK} rbps=1048576 wiops=50",
                   "hugetlb.2MB.max": str(2 * MIB), "cgroup.max.descendants": "3"}
        wanted = dict(unified, **{"io.max": f"{DISK} rbps=1048576 wbps=max riops=max wiops=50"})
        self.assert_files({"unified": unified}, wanted)

    def test_a_value_of_two_lines_is_two_writes(self):
        text = f"{DISK} rbps=1048576\n{DISK} wbps=2097152"
        self.assert_files({"unified": {"io.max": text}}, {"io.max": f"{DISK} rbps=1048576 wbps=2097152 riops=max wiops=max"})

    def test_it_goes_before_the_other_fields(self):
        self.assert_files({"pids": {"limit": 10}, "unified": {"pids.max": "12"}}, {"pids.max": "12"})

    def test_a_file_that_is_not_there_is_named(self):
        for key in ("memory.nothing", "nothing.max", "a/b"):
            with self.subTest(key):
                _, ended = self.run_line("true", {"unified": {key: "1"}})
                self.assertEqual(ended["event"], "error", ended)
                self.assertIn(key, ended["message"])


class View(Limits):
    """What the container sees of its cgroup."""

    def test_it_sees_itself_at_the_top(self):
        text, _ = self.run_line("cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max", {"pids": {"limit": 31}})
        self.assertEqual(text, "0::/\n31\n")

    def test_it_cannot_lift_its_limits(self):
        text, _ = self.run_line("echo 99 > /sys/fs/cgroup/pids.max; cat /sys/fs/cgroup/pids.max", {"pids": {"limit": 31}})
        self.assertIn("\n31\n", text)


class Ends(Limits):
    """What is left when containers end."""

    bomb = "bomb() { while :; do sleep 0.01 & bomb & done; }; bomb & bomb & sleep 1; exit 0"

    def test_a_fork_bomb_ends_with_its_first_process(self):
        with self.start(self.bomb, {"pids": {"limit": 64}}) as container:
            place = container.cgroup
            container.finish()
        self.assertFalse(place.exists(), place)

    def test_delete_force_ends_a_fork_bomb_whose_shim_was_killed(self):
        with self.start(self.bomb.replace("exit 0", "sleep 1000"), {"pids": {"limit": 64}}) as container:
            place = container.cgroup
            wait_for(lambda: int(read(place / "pids.current")) > 20, "bomb")
            container.process.kill()
            container.process.wait()
            self.assertEqual(self.shim("delete", "--force", container.id).returncode, 0)
            with contextlib.suppress(FileNotFoundError):
                self.fail(f"left: {os.listdir(place)}")
