"""The limits of a user's containers together: they follow /etc/locald/shim.conf from one start to the next, and what says that
they do is root's."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.setuid.support import SAFE_PATH, SetuidCase, User, in_files, processes, reap, subtrees, traced, wait_until, world

CONF = Path("/etc/locald/shim.conf")


class LimitsCase(SetuidCase):
    def setUp(self):
        super().setUp()
        self.who = User()
        self.addCleanup(self.who.remove)
        self.source = world().dir / f"conf-{self.new_id()}"
        if not CONF.exists():
            CONF.parent.mkdir(exist_ok=True)
            CONF.touch()
            self.addCleanup(CONF.parent.rmdir)
            self.addCleanup(CONF.unlink)
        self.now = self.bundle("true")

    def argv(self, *before, shim=None, bundle=None):
        """`bundle run` of the user's where `self.source` is root's file: what is written to it, a start that waits sees too."""
        who = () if before else ("setpriv", f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--clear-groups", "--")
        command = (shim or world().shim, "bundle", "run", "--bundle", (bundle or self.now).dir, "--id", self.new_id())
        return [str(word) for word in in_files({CONF: self.source}, *before, *who, *command)]

    def start_with(self, text, **kwargs):
        self.source.write_text(text)
        done = subprocess.run(self.argv(**kwargs), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, cwd=self.who.home,
                              env={"PATH": SAFE_PATH})
        self.assertEqual(done.returncode, 0, done)
        return done.stderr.decode()

    def guards(self):
        """File → value of everything that bounds the whole of it."""
        files = ("cgroup.max.descendants", "pids.max", "memory.max", "memory.limit_in_bytes")
        return {file: (path / file).read_text().strip() for path in subtrees(self.who.uid) for file in files if (path / file).exists()}

    def marked(self):
        return next(path / file for path in subtrees(self.who.uid) for file in ("cgroup.max.descendants", "pids.max") if (path / file).exists())


class Limits(LimitsCase):
    def assert_guards(self, containers, pids, memory):
        got = self.guards()
        self.assertTrue(got, "no guard is there")
        wanted = {"cgroup.max.descendants": 2 * containers + 1, "pids.max": pids, "memory.max": memory, "memory.limit_in_bytes": memory}
        self.assertEqual(got, {file: str(wanted[file]) for file in got})

    def test_a_change_is_in_force_at_the_next_start(self):
        self.start_with("containers = 5\npids = 200\nmemory = 64M\n")
        self.assert_guards(5, 200, 64 << 20)
        self.start_with("containers = 3\npids = 100\nmemory = 32M\n")
        self.assert_guards(3, 100, 32 << 20)
        self.start_with("containers = 4\npids = 150\nmemory = 128M\n")
        self.assert_guards(4, 150, 128 << 20)

    def test_a_line_that_is_gone_and_a_file_that_is_gone_leave_the_defaults(self):
        self.start_with("")
        before = self.guards()
        self.start_with("containers = 3\npids = 100\nmemory = 32M\n")
        self.assert_guards(3, 100, 32 << 20)
        self.start_with("# nothing\n")
        self.assertEqual(self.guards(), before)
        self.start_with("containers = 3\npids = 100\nmemory = 32M\n")
        self.assert_runs(self.now)
        self.assertEqual(self.guards(), before)

    def test_what_root_writes_by_hand_lasts_until_the_next_start(self):
        self.start_with("pids = 100\n")
        file = self.marked()
        value = file.read_text()
        file.write_text("77")
        self.start_with("# the same\npids = 100\n")
        self.assertEqual(file.read_text(), value)

    def test_a_container_too_many_is_told_of_the_limit_and_its_file(self):
        self.start_with("containers = 1\n")
        self.start(self.bundle("sleep", "100"))
        self.source.write_text("containers = 1\n")
        done = subprocess.run(self.argv(), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, env={"PATH": SAFE_PATH})
        self.assertEqual(done.returncode, 125, done)
        subtree = next(path for path in subtrees(self.who.uid) if (path / "cgroup.max.descendants").exists())
        self.assertIn("your limit of 1 container is reached (containers = 1 in /etc/locald/shim.conf; "
                      f"cgroup.max.descendants of {subtree} is 3)", done.stderr.decode())

    def test_a_process_too_many_is_refused_and_not_put_elsewhere(self):
        """pids.max of version 2, which no controller here has: the kernel's answer is made by root's tracer."""
        words = ("bundle", "run", "--bundle", self.now.dir, "--id", self.new_id())
        done = traced(self.who, ["-o", "/dev/null", "--inject=clone3:error=EAGAIN:when=1"], world().shim, *words)
        self.assert_refused(done, "`pids` in /etc/locald/shim.conf", "pids.max")

    def test_no_limit_is_looser_than_on_the_callers_own_way(self):
        pids = Path("/sys/fs/cgroup/pids")
        if not (pids / "tasks").exists():
            return
        self.start_with("pids = 100\n")
        session = pids / f"session-{self.who.uid}"
        session.mkdir()
        self.addCleanup(session.rmdir)
        (session / "pids.max").write_text("120")
        self.source.write_text("pids = 200\n")
        argv = ["sh", "-c", f'echo $$ >{session}/cgroup.procs && exec "$@"', "sh", *self.argv()]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, env={"PATH": SAFE_PATH})
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.guards()["pids.max"], "120")

    def test_a_caller_does_not_reach_the_mark(self):
        self.start_with("pids = 100\n")
        for path in subtrees(self.who.uid):
            for file in path.iterdir():
                if file.name in ("cgroup.max.descendants", "pids.max", "memory.limit_in_bytes"):
                    for words in (["touch", file], ["touch", "-d", "@5", file], ["sh", "-c", f"echo 5 >{file}"]):
                        self.assertNotEqual(self.who.run(words).code, 0, file)

    def stopped_start(self, shim=None):
        """One start has read a policy and is stopped; root lowers the limit; another start; the first goes on."""
        self.start_with("pids = 100\ncontainers = 5\n")
        self.source.write_text("pids = 900\ncontainers = 9\n")
        trace = ("strace", "-f", "-qq", "-u", self.who.name, "-o", "/dev/null", "--inject=mkdirat:signal=SIGSTOP:when=1")
        first = subprocess.Popen(self.argv(*trace, shim=shim), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env={"PATH": SAFE_PATH})
        self.addCleanup(self.end, first)

        def stopped():
            """Where it stays: the stops of each call, which strace makes, are over in a moment."""
            seen = []
            for _ in range(2):
                time.sleep(0.05)
                texts = {pid: Path(f"/proc/{pid}/status").read_text() for pid, uids in processes().items() if uids[0] == self.who.uid}
                seen.append({(pid, text.split("voluntary")[1]) for pid, text in texts.items() if re.search(r"^State:\t[Tt]", text, re.M)})
            return [pid for pid, _ in seen[0] & seen[1]]

        pid = wait_until(stopped)[0]
        self.start_with("pids = 50\ncontainers = 2\n", shim=shim)
        self.assert_guards(2, 50, self.memory())
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(first.wait(20), 0)
        reap()

    def memory(self):
        return next((value for file, value in self.guards().items() if file.startswith("memory")), None)

    def test_a_start_that_was_stopped_does_not_put_an_older_policy_back(self):
        self.stopped_start()
        self.assert_guards(2, 50, self.memory())

    def test_it_would_where_the_policy_is_not_read_again(self):
        self.stopped_start(world().weak("turn"))
        self.assertNotIn("50", self.guards().values())

    def test_the_mark_could_be_faked_if_the_file_were_his(self):
        self.start_with("pids = 100\ncontainers = 4\n", shim=world().weak("limits"))
        path = next(path for path in subtrees(self.who.uid) if (path / "cgroup.max.descendants").exists())
        self.assertEqual(self.who.run(["touch", "-d", "@5", path / "cgroup.max.descendants"]).code, 0)

    def test_memory_that_is_in_use_is_kept_and_said_on_version_1(self):
        if not Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
            return
        self.start_with("memory = 256M\n")
        bundle = self.bundle("sh", "-c", "dd if=/dev/zero of=/tmp/held bs=1M count=48; echo held; sleep 100")
        (bundle.dir / "rootfs/bin/dd").symlink_to("busybox")
        bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        bundle.config["linux"]["resources"] = {"memory": {"limit": 128 << 20}}
        bundle.write()
        shim = self.who.popen([world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id()])
        self.addCleanup(self.end, shim)
        self.assertEqual(shim.stdout.readline(), b"held\n")
        self.start_with("memory = 256M\n")
        said = self.start_with("memory = 16M\n")
        self.assertIn("`memory` in /etc/locald/shim.conf", said)
        self.assertEqual(self.memory(), str(256 << 20))
        os.killpg(shim.pid, signal.SIGTERM)
        shim.kill()
        shim.wait()
        self.assertTrue(wait_until(lambda: (reap(), not any(self.who.uid in uids for uids in processes().values()))[1]))
        for state in json.loads(self.who.shim("list", "--format", "json").text or "[]"):
            self.who.shim("delete", "--force", state["id"])
        self.assertEqual(self.start_with("memory = 16M\n"), "")
        self.assertEqual(self.memory(), str(16 << 20))
        shutil.rmtree(bundle.dir, ignore_errors=True)
