"""A setuid shim on a machine with every controller: the guards of a user's subtree, and a host that forbids user namespaces."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.guest.support import CGROUPS, HERE, SHIM, UID, USER, WORK, GuestCase, as_user, config, read, run, user_manager, wait_for

BASE = CGROUPS / "locald"
SUBTREE = BASE / f"user-{UID}"
CONF = Path("/etc/locald/shim.conf")


class Setuid(GuestCase):
    def setUp(self):
        super().setUp()
        user_manager()
        self.place = Path("/usr/local/libexec/locald-test")
        self.place.mkdir(parents=True, exist_ok=True)
        self.program = self.place / "locald-shim"
        shutil.copy(SHIM, self.program)
        self.program.chmod(0o4755)
        self.addCleanup(shutil.rmtree, self.place)
        # What `locald admin setup` does of the cgroups.
        (CGROUPS / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        BASE.mkdir(exist_ok=True)
        (BASE / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        self.addCleanup(self.remove_subtree)
        CONF.parent.mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, CONF.parent)
        self.addCleanup(shutil.rmtree, f"/run/locald/{UID}", True)

    @staticmethod
    def remove_subtree():
        if not BASE.exists():
            return
        wait_for(lambda: not list(SUBTREE.glob("*/c")), "end of the containers' cgroups", 5)
        for path in (SUBTREE / ".start", SUBTREE, BASE):
            if path.exists():
                path.rmdir()

    def bundle(self, line, resources=None):
        spec = config(line, resources)
        spec["linux"]["namespaces"].append({"type": "user"})
        directory = WORK / self.new_id()
        directory.mkdir()
        self.addCleanup(shutil.rmtree, directory)
        (directory / "config.json").write_text(json.dumps(spec))
        return directory

    def run_line(self, line, resources=None, start=("runuser", "-u", USER, "--")):
        directory = self.bundle(line, resources)
        return run([*start, self.program, "bundle", "run", "--bundle", directory, "--id", directory.name])

    def test_a_limit_is_in_force_and_out_of_the_containers_reach(self):
        done = self.run_line("for i in 1 2 3 4 5 6 7 8; do sleep 0.1 & done; wait; cat /sys/fs/cgroup/pids.max; ls /sys/fs/cgroup/..",
                             {"pids": {"limit": 4}})
        self.assertIn("can't fork", done.stderr + done.stdout, done)
        self.assertNotIn(f"user-{UID}", done.stdout)

    def test_the_guard_of_the_whole_subtree_holds(self):
        CONF.write_text("pids = 12\nmemory = 64M\ncontainers = 2\n")
        done = self.run_line("i=0; while [ $i -lt 40 ]; do sleep 0.2 & i=$((i+1)); done; wait")
        self.assertIn("can't fork", done.stderr + done.stdout, done)
        self.assertEqual((read(SUBTREE / "pids.max"), read(SUBTREE / "memory.max"), read(SUBTREE / "cgroup.max.descendants")),
                         ("12", str(64 << 20), "5"))
        for file in ("pids.max", "memory.max", "cgroup.max.descendants"):
            done = run(["runuser", "-u", USER, "--", "sh", "-c", f"echo max > {SUBTREE / file}"])
            self.assertNotEqual(done.returncode, 0, done)

    def test_a_guard_is_no_looser_than_what_binds_the_caller(self):
        start = ["systemd-run", "--quiet", "--scope", "--collect", "--property=TasksMax=37", "--property=MemoryMax=100M", "runuser", "-u",
                 USER, "--"]
        done = self.run_line("true", start=start)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual((read(SUBTREE / "pids.max"), read(SUBTREE / "memory.max")), ("37", str(100 << 20)))

    def test_a_controller_that_comes_later_has_a_guard_at_once_and_the_callers_at_his_next_start(self):
        (BASE / "cgroup.subtree_control").write_text("-memory -pids -cpu")
        CONF.write_text("pids = 120\nmemory = 64M\n")
        self.assertEqual(self.run_line("true").returncode, 0)
        self.assertFalse((SUBTREE / "pids.max").exists())
        # Without systemd in sight, which would have a unit of its own for this.
        line = f"mount -t tmpfs -o mode=755 run /run && exec {HERE}/locald admin setup --prefix /opt/later"
        done = run(["unshare", "-m", "sh", "-c", line])
        self.addCleanup(shutil.rmtree, "/opt/later")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual((read(SUBTREE / "pids.max"), read(SUBTREE / "memory.max"), SUBTREE.stat().st_uid), ("120", str(64 << 20), UID))
        start = ["systemd-run", "--quiet", "--scope", "--collect", "--property=TasksMax=37", "runuser", "-u", USER, "--"]
        self.assertEqual(self.run_line("true", start=start).returncode, 0)
        self.assertEqual(read(SUBTREE / "pids.max"), "37")

    def test_memory_that_runs_out_ends_the_container_alone(self):
        done = self.run_line("exec tail /dev/zero", {"memory": {"limit": 24 << 20, "swap": 24 << 20}})
        self.assertEqual(done.returncode, 137, done)

    def test_exec_goes_from_a_session_into_the_containers_cgroup(self):
        directory = self.bundle("sleep 100")
        name = directory.name
        as_him = ["runuser", "-u", USER, "--", self.program]
        # The container keeps what it is given as output.
        made = subprocess.run([*as_him, "create", "--bundle", directory, name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(made.returncode, 0)
        self.addCleanup(run, [*as_him, "delete", "--force", name])
        self.assertEqual(run([*as_him, "start", name]).returncode, 0)
        done = run(as_user(self.program, "exec", name, "cat", "/proc/self/cgroup", scope=False))
        self.assertEqual((done.returncode, done.stdout), (0, "0::/\n"), done)

    def test_where_root_forbids_user_namespaces_the_shim_gives_them_back(self):
        switch = Path("/proc/sys/kernel/unprivileged_userns_clone")
        self.assertTrue(switch.exists(), "Debian's kernel has it")
        switch.write_text("0")
        self.addCleanup(switch.write_text, "1")
        self.assertNotEqual(run(["runuser", "-u", USER, "--", "unshare", "-Ur", "true"]).returncode, 0)
        done = self.run_line("id -u")
        self.assertEqual((done.returncode, done.stdout), (0, "0\n"), done)

    def test_a_host_with_no_user_namespace_left_is_named(self):
        value = Path("/proc/sys/user/max_user_namespaces")
        before = value.read_text()
        value.write_text("0")
        self.addCleanup(value.write_text, before)
        done = self.run_line("true")
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("user.max_user_namespaces", done.stderr)

    def test_without_the_bit_it_is_rootless_and_says_why(self):
        directory = self.bundle("id -u")
        done = run(["runuser", "-u", USER, "--", "setpriv", "--no-new-privs", self.program, "bundle", "run", "--bundle", directory, "--id",
                    directory.name])
        self.assertIn("no_new_privs", done.stderr, done)

    def test_a_refusal_is_in_the_journal(self):
        CONF.write_text("group = shadow\n")
        done = self.run_line("true")
        self.assertEqual(done.returncode, 125, done)
        found = wait_for(lambda: "shadow" in subprocess.run(["journalctl", "-t", "locald-shim", "-n", "5", "--no-pager"], check=False,
                                                           capture_output=True, text=True).stdout, "line in the journal", 10)
        self.assertTrue(found)
        self.assertFalse(os.path.exists(SUBTREE))

    def test_what_is_refused_after_the_prologue_is_in_the_journal_too(self):
        directory = self.bundle("true")
        spec = json.loads((directory / "config.json").read_text())
        spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
        (directory / "config.json").write_text(json.dumps(spec))
        done = run(["runuser", "-u", USER, "--", self.program, "bundle", "run", "--bundle", directory, "--id", directory.name])
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("linux.uidMappings", done.stderr)
        wait_for(lambda: "linux.uidMappings" in subprocess.run(["journalctl", "-t", "locald-shim", "-n", "5", "--no-pager"], check=False,
                                                               capture_output=True, text=True).stdout, "line in the journal", 10)
