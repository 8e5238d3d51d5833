"""Too much of everything, and two at once: the host stays usable, nothing hangs, nothing is left."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path

from tests.setuid.test_difference import EVERYTHING
from tests.setuid.support import Done, SetuidCase, User, in_files, processes, subtrees, user, wait_until, world


# Ten thousand take minutes: they are for whoever changes how a container is started.
STARTS = int(os.environ.get("LOCALD_SETUID_STARTS", "200"))


class Abuse(SetuidCase):
    def test_a_bomb_of_processes_ends_with_its_container(self):
        bundle = self.bundle("sh", "-c", "bomb() { bomb | bomb & }; ulimit -u 300; bomb; sleep 1")
        start = time.monotonic()
        process = self.who.popen([world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id()],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        self.assertEqual(subprocess.run(["true"], check=False, timeout=10).returncode, 0, "the host still starts programs")
        process.wait(30)
        self.assertLess(time.monotonic() - start, 30)

    def memory_bomb(self, files, **resources):
        """`tail` keeps a line without an end. With what it ended, and how many seconds it took."""
        bundle = self.bundle("tail", "/dev/zero")
        (bundle.dir / "rootfs/bin/tail").symlink_to("busybox")
        bundle.config["linux"]["devices"] = [{"path": "/dev/zero", "type": "c", "major": 1, "minor": 5}]
        bundle.config["linux"]["resources"] = resources
        bundle.write()
        argv = in_files(files, "setpriv", f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--clear-groups", "--", world().shim, "bundle", "run",
                        "--bundle", bundle.dir, "--id", self.new_id())
        start = time.monotonic()
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        return Done(argv, done.returncode, done.stdout, done.stderr), time.monotonic() - start

    def test_a_bomb_of_memory_ends_with_its_container(self):
        done, seconds = self.memory_bomb({}, memory={"limit": 32 << 20})
        if done.code == 125:  # this layout has no such controller: a limit that would not hold is refused
            self.assertIn('the controller "memory" is not available', done.errors)
            return
        self.assertEqual(done.code, 137, done)
        self.assertLess(seconds, 30)

    def test_a_bomb_of_memory_without_a_limit_ends_at_the_users(self):
        if not Path("/sys/fs/cgroup/memory/tasks").exists():
            return  # tests/guest has every controller of version 2
        conf = Path("/etc/locald/shim.conf")
        if not conf.exists():
            conf.parent.mkdir(exist_ok=True)
            conf.touch()
            self.addCleanup(conf.parent.rmdir)
            self.addCleanup(conf.unlink)
        self.who = User()
        self.addCleanup(self.who.remove)
        source = world().dir / f"conf-{self.new_id()}"
        source.write_text("memory = 48M\n")
        done, _ = self.memory_bomb({str(conf): source})
        self.assertEqual(done.code, 137, done)

    def test_many_quick_starts_leave_nothing(self):
        bundle = self.bundle("true")
        failures = []

        def some(first):
            for i in range(first, first + STARTS // 4):
                done = self.who.shim("bundle", "run", "--bundle", bundle.dir, "--id", f"quick{i}")
                if done.code != 0:
                    failures.append(repr(done))

        threads = [threading.Thread(target=some, args=(k * STARTS,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_two_users_race_on_the_same_id(self):
        other = user("other")
        theirs, ours = [], []
        bundle = self.bundle("true")

        def race(who, into):
            for _ in range(30):
                into.append(who.shim("bundle", "run", "--bundle", bundle.dir, "--id", "same").code)

        bundle.dir.chmod(0o755)
        threads = [threading.Thread(target=race, args=pair) for pair in ((self.who, ours), (other, theirs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((set(ours), set(theirs)), ({0}, {0}))

    def test_the_first_start_of_a_user_races_with_itself(self):
        bundle, codes = self.bundle("true"), []
        for subtree in subtrees(self.who.uid):
            for child in [path for path in subtree.iterdir() if path.is_dir()]:
                child.rmdir()
            subtree.rmdir()
        threads = [threading.Thread(target=lambda i=i: codes.append(
            self.who.shim("bundle", "run", "--bundle", bundle.dir, "--id", f"first{i}").code)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [0] * 12)

    def test_too_many_mounts_are_taken_away_again(self):
        bundle = self.bundle("true")
        bundle.config["mounts"] += [{"destination": f"/tmp/{i}", "type": "tmpfs", "source": "tmpfs"} for i in range(3000)]
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertIn(done.code, (0, 125), done)

    def test_the_bundle_is_swapped_for_links_all_the_time(self):
        bundle = self.bundle("cat", "/etc/shadow")
        shadow = self.who.write("fake-shadow", "")
        os.chown(shadow, self.who.uid, self.who.gid)
        script = (f"cd {bundle.dir}; while [ ! -e stop ]; do mv rootfs kept; ln -s / rootfs; rm rootfs; mv kept rootfs; "
                  "cp config.json copy; mv config.json was; ln -s /etc/shadow config.json; rm config.json; mv was config.json; done")
        swapper = self.who.popen(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(60):
                done = self.run_bundle(bundle)
                self.assertNotRegex(done.text + done.errors, r"root:[*!$]|daemon:\*", done)
        finally:
            (bundle.dir / "stop").write_text("")
            swapper.wait(20)

    def test_a_container_ends_with_its_supervisor_even_when_it_asks_not_to(self):
        bundle = self.bundle("sh", "-c", "trap '' TERM HUP INT; sleep 100")
        process, first, name = self.start(bundle)
        process.kill()
        process.wait()
        self.assertTrue(wait_until(lambda: first not in processes()))
        self.assertEqual(self.who.shim("delete", "--force", name).code, 0)

    def test_a_namespace_inside_gives_no_more(self):
        bundle = self.bundle("sh", "-c", "unshare -U -r sh -c 'cat /proc/self/uid_map; echo x >/mnt/locald-was-here; cat /mnt/shadow'")
        bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
        bundle.config["process"]["capabilities"] = EVERYTHING  # to map 0 again takes CAP_SETFCAP
        (bundle.dir / "rootfs/bin/unshare").symlink_to("busybox")
        bundle.config["mounts"].append({"destination": "/mnt", "source": "/etc", "options": ["rbind", "ro"]})
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertEqual([int(word) for word in done.text.split()], [0, 0, 1], done)
        self.assertFalse(Path("/etc/locald-was-here").exists())

    def test_the_listener_of_a_filter_is_the_callers(self):
        bundle = self.bundle("true")
        bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/systemd/private",
                                             "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]}
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertEqual(done.code, 125, done)
        self.assertIn("/run/systemd/private", done.errors)

    def test_sockets_of_others_are_not_connected_to_with_rights(self):
        directory = user("other").write("closed/x", "").parent
        directory.chmod(0o700)
        os.chown(directory, user("other").uid, user("other").gid)
        bundle = self.bundle("sh")
        bundle.config["process"]["terminal"] = True
        bundle.write()
        done = self.who.shim("run", "--console-socket", directory / "socket", "--bundle", bundle.dir, self.new_id())
        self.assertNotEqual(done.code, 0)
        self.assertIn("Permission denied", done.errors, done)

    def test_files_that_are_named_are_written_with_the_callers_rights(self):
        bundle = self.bundle("true")
        target = Path("/etc/locald-was-here")
        for words in (("--pid-file", target), ):
            self.run_bundle(bundle, *words)
            self.assertFalse(target.exists())
        self.who.shim("--log", target, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id())
        self.assertFalse(target.exists())
        link = self.who.home / "link"
        link.symlink_to("/etc/shadow")
        before = Path("/etc/shadow").read_bytes()
        self.who.shim("--log", link, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id())
        self.run_bundle(bundle, "--pid-file", link)
        self.assertEqual(Path("/etc/shadow").read_bytes(), before)

    def test_no_core_of_it_is_written(self):
        bundle = self.bundle("sleep", "100")
        process, _, _ = self.start(bundle)
        limits = dict(re.findall(r"^(Max core file size) +(\S+)", Path(f"/proc/{process.pid}/limits").read_text(), re.M))
        self.assertIn("Max core file size", limits)
        process.send_signal(11)
        process.wait(10)
        self.assertEqual([path.name for path in self.who.home.glob("core*")], [])
