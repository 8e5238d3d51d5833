"""Containers of an ordinary user below the cgroup that his systemd delegated to him."""

from tests.guest.support import UID, GuestCase, user_manager

MIB = 1 << 20


class DelegatedUser(GuestCase):
    """`bundle run` by an ordinary user."""

    def setUp(self):
        super().setUp()
        user_manager()

    def test_every_limit_he_was_given_is_kept(self):
        resources = {"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 8 * MIB}, "pids": {"limit": 21},
                     "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "cpus": "1"}, "blockIO": {"weight": 500}}
        wanted = {"memory.max": str(64 * MIB), "memory.swap.max": "0", "memory.low": str(8 * MIB), "pids.max": "21",
                  "cpu.weight": "174", "cpu.max": "50000 100000", "cpuset.cpus": "1", "io.weight": "default 4950"}
        with self.start(resources=resources, user=True) as container:
            self.assertIn(f"/user-{UID}.slice/user@{UID}.service/", str(container.cgroup))
            self.assertEqual({name: container.file(name) for name in wanted}, wanted)

    def test_memory_that_runs_out_kills_and_is_reported(self):
        _, ended = self.run_line("exec tail /dev/zero", {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}}, user=True)
        self.assertEqual((ended.get("signal"), ended.get("oom")), (9, True), ended)

    def test_a_fork_above_the_limit_is_refused(self):
        text, _ = self.run_line("for i in 1 2 3 4 5 6 7 8; do sleep 0.1 & done; wait", {"pids": {"limit": 4}}, user=True)
        self.assertIn("can't fork", text)

    def test_a_controller_he_was_not_given_is_named(self):
        _, ended = self.run_line("true", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}, user=True)
        self.assertEqual(ended["event"], "error", ended)
        self.assertRegex(ended["message"] + ended["remedy"], "hugetlb")

    def test_the_container_is_root_inside_and_sees_itself_at_the_top(self):
        text, _ = self.run_line("id -u; cat /proc/self/cgroup", user=True)
        self.assertEqual(text, "0\n0::/\n")
