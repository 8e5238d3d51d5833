"""No start goes on outside of its user's limits: what root could not make or write for him ends it, by name."""

import fcntl
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from tests.setuid.support import SAFE_PATH, reap, subtrees, traced, wait_until, world
from tests.setuid.test_limits import LimitsCase


class Guard(LimitsCase):
    def refused(self, done, *parts):
        text = done.stderr.decode()
        self.assertEqual(done.returncode, 125, done)
        for part in parts:
            self.assertRegex(text, part)

    def try_start(self, text="", timeout=30):
        self.source.write_text(text)
        return subprocess.run(self.argv(), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, cwd=self.who.home,
                              env={"PATH": SAFE_PATH})

    def start_under_fault(self, fault):
        words = ("bundle", "run", "--bundle", self.now.dir, "--id", self.new_id())
        return traced(self.who, ["-o", "/dev/null", f"--inject={fault}"], world().shim, *words)

    def states(self):
        return json.loads(self.who.shim("list", "--format", "json").text) or []

    def v2_subtree(self):
        return next(path for path in subtrees(self.who.uid) if (path / "cgroup.max.descendants").exists())

    def test_a_number_that_the_kernel_does_not_take_is_refused_in_the_file(self):
        for line in ("pids = 4194305", "pids = 0", "containers = 1000001"):
            done = self.try_start(line + "\n")
            self.refused(done, "/etc/locald/shim.conf, line 1: value not understood", "1 to")
            self.assertEqual(done.stderr.decode().count("\n"), 1)
        self.start_with("pids = 4194304\ncontainers = 1000000\n")

    def test_a_limit_that_the_kernel_does_not_take_ends_the_start(self):
        done = self.start_under_fault("write:error=EINVAL:when=1")
        self.assert_refused(done, "locald/user-<uid>/.*Invalid argument", "shim.conf")

    def test_any_error_of_the_foothold_ends_the_start(self):
        for name, words in (("ENOMEM", "allocate memory|Out of memory"), ("EBUSY", "rmdir .*/.start"), ("EOPNOTSUPP", "upported")):
            with self.subTest(name):
                self.assert_refused(self.start_under_fault(f"clone3:error={name}:when=1"), "locald/user-<uid>/.start", words)

    def test_a_host_where_root_may_not_write_cgroups_goes_on_with_a_warning(self):
        self.source.write_text("")
        who = ("setpriv", f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--clear-groups", "--")
        script = 'mount -o bind,remount,ro /sys/fs/cgroup; for at in /sys/fs/cgroup/*/; do mount -o bind,remount,ro "$at" 2>&-; done; exec "$@"'
        argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *who, world().shim, "bundle", "run", "--bundle",
                self.now.dir, "--id", self.new_id()]
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
                              env={"PATH": SAFE_PATH})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("no cgroup of its own", done.stderr.decode())

    def test_a_foothold_in_a_cgroup_that_hands_controllers_on_is_refused(self):
        """Nothing can be born there, and to go on would be to go on without limits."""
        self.start_with("")
        subtree = self.v2_subtree()
        place = subtree / ".start"
        controllers = (subtree / "cgroup.controllers").read_text().split()
        if not controllers:
            return
        script = f"rmdir {place} && mkdir {place} && for at in {subtree} {place}; do echo +{controllers[0]} >$at/cgroup.subtree_control; done"
        self.assertEqual(self.who.run(["sh", "-c", script]).code, 0)
        self.refused(self.try_start(), r"locald/user-<uid>/\.start: Device or resource busy; .*rmdir")
        self.assertEqual(self.who.run(["rmdir", place]).code, 0)
        self.start_with("")

    def test_a_foothold_that_its_owner_froze_is_killed_and_the_start_refused(self):
        self.start_with("")
        place = self.v2_subtree() / ".start"
        self.assertEqual(self.who.run(["sh", "-c", f"rmdir {place} && mkdir {place} && echo 1 >{place}/cgroup.freeze"]).code, 0)
        self.refused(self.try_start(), "did not answer", r"cgroup\.freeze")
        self.assertTrue(wait_until(lambda: (reap(), not (place / "cgroup.procs").read_text())[1]))
        place.rmdir()

    def test_a_lock_that_its_owner_holds_ends_the_start_after_some_seconds(self):
        self.start_with("pids = 100\n")
        held = os.open(self.who.state, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.refused(self.try_start("pids = 90\n"), f"lock /run/locald/{self.who.uid}", "fuser")
        os.close(held)
        self.start_with("pids = 90\n")

    def test_a_foothold_that_is_killed_ends_the_start_also_where_sigchld_is_ignored(self):
        """The kernel reaps it then, and wait4 says ECHILD."""
        words = ("bundle", "run", "--bundle", self.now.dir, "--id", self.new_id())
        for ignored in (False, True):
            log = self.who.write("trace", "")
            argv = ["strace", "-f", "-qq", "-u", self.who.name, "-e", "trace=clone3,setns,openat", "-o", log,
                    "--inject=openat:delay_enter=300000:when=20+20", world().shim, *words]
            start = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     env={"PATH": SAFE_PATH}, cwd=self.who.home,
                                     preexec_fn=(lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) if ignored else None)
            foothold = wait_until(lambda: re.search(r"clone3\(.*CLONE_INTO_CGROUP.* = (\d+)", log.read_text()))
            self.assertTrue(foothold)
            os.kill(int(foothold[1]), signal.SIGKILL)
            self.assertNotEqual(start.wait(25), 0)
            self.assertIn("killed", start.stderr.read().decode())
            start.stderr.close()

    def test_a_member_with_very_many_groups_is_let_through(self):
        group = 70000
        self.source.write_text(f"group = {group}\n")
        many = [*range(60000, 62000), group]
        argv = self.argv()
        at = argv.index("--clear-groups")
        argv[at] = "--groups=" + ",".join(map(str, many))
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, env={"PATH": SAFE_PATH})
        self.assertEqual(done.returncode, 0, done)

    def test_a_directory_of_states_with_another_mode_is_named_with_its_remedy(self):
        self.start_with("")
        self.who.state.chmod(0o755)
        self.refused(self.try_start(), f"/run/locald/{self.who.uid}; .* mode 0755: chmod 700 /run/locald/{self.who.uid}")
        self.assertEqual(self.who.run(["chmod", "700", self.who.state]).code, 0)
        self.start_with("")

    def test_a_directory_of_states_that_cannot_be_made_says_why(self):
        self.who.shim("list")
        Path(self.who.state).exists() and os.rmdir(self.who.state)
        self.assert_refused(self.start_under_fault("mkdirat:error=ENOSPC:when=1+"), f"/run/locald/{self.who.uid}: No space left", "df -i /run")

    def test_without_a_cgroup_of_its_own_a_container_stays_within_its_users_limits(self):
        self.start_with("")
        name = self.new_id()
        bundle = self.bundle("sleep", "100")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        shim = self.who.popen([world().shim, "--cgroup-manager", "disabled", "run", "--bundle", bundle.dir, name], **quiet)
        self.addCleanup(self.end, shim)
        self.addCleanup(self.who.shim, "delete", "--force", name)
        self.assertTrue(wait_until(lambda: self.who.shim("state", name).text.find('"running"') >= 0))
        first = json.loads(self.who.shim("state", name).text)["pid"]
        text = Path(f"/proc/{first}/cgroup").read_text()
        self.assertIn(f"0::/locald/user-{self.who.uid}/.start\n", text)
        if any("/pids/" in str(path) for path in subtrees(self.who.uid)):
            self.assertIn(f":pids:/locald/user-{self.who.uid}\n", text)
            self.assertIn(f":memory:/locald/user-{self.who.uid}\n", text)

    def test_version_1_lets_no_process_join_above_the_limit(self):
        """The kernel looks at pids.max when a process forks, not when it is moved."""
        if not Path("/sys/fs/cgroup/pids/tasks").exists():
            return
        subtree = Path(f"/sys/fs/cgroup/pids/locald/user-{self.who.uid}")
        for number in (1, 2):
            self.source.write_text("pids = 2\n")
            shim = subprocess.Popen(self.argv(bundle=self.bundle("sleep", "100")), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, env={"PATH": SAFE_PATH})
            self.addCleanup(self.end, shim)
            running = ["running"] * number
            self.assertTrue(wait_until(lambda: [state["status"] for state in self.states()] == running))
            self.assertTrue(wait_until(lambda: (subtree / "pids.current").read_text() == f"{number}\n"))
        self.refused(self.try_start("pids = 2\n"), f"pids.max of {subtree} is 2", "`pids` in /etc/locald/shim.conf")
        for state in self.states():
            self.who.shim("delete", "--force", state["id"])

    def test_an_id_that_is_a_file_of_the_kernels_is_told_so(self):
        self.start_with("")
        done = self.who.shim("bundle", "run", "--bundle", self.now.dir, "--id", "cgroup.procs")
        self.assert_refused(done, "cgroup.procs.*a file of the kernel's has this name there: choose another id")
