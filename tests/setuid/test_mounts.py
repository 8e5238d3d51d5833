"""Mounts that a configuration asks for where they would do harm, and places of the host that the kernel keeps from a user namespace:
each is refused in one line that says why. And a handle of a file outside, which needs no path at all."""

import contextlib
import fcntl
import os
import pty
import subprocess
import termios
from pathlib import Path

from tests.setuid.support import Done, SAFE_PATH, SYS, SetuidCase, build_program, processes, user, wait_until, world
from tests.setuid.test_difference import EVERYTHING

MAGIC = ("/proc/self/exe", "/proc/self/fd/3", "/proc/self/cwd/x", "/proc/self/root/etc", "/proc/1/root", "/proc/sys", "/proc/kcore", "/proc/self/task")


class Mounts(SetuidCase):
    def refused(self, *mounts, prepare=None, **kwargs):
        bundle = self.bundle("ls", "/")
        bundle.config["mounts"] += mounts
        if prepare:
            prepare(bundle)
        bundle.write()
        return self.run_bundle(bundle, **kwargs)

    def test_nothing_is_mounted_over_proc(self):
        for place in MAGIC:
            for mount in ({"type": "tmpfs", "source": "tmpfs"}, {"source": "/etc/passwd", "options": ["bind"]}):
                with self.subTest(place=place, mount=mount):
                    self.assert_refused(self.refused({"destination": place, **mount}), f'"{place}" cannot be mounted')
        self.assert_refused(self.refused({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}), '"/proc" cannot be mounted')

    def test_nothing_is_mounted_through_a_magic_link(self):
        for link in ("/proc/self/root", "/proc/1/root/etc", "/proc/self/cwd", "/proc/self/fd/3"):
            with self.subTest(link=link):
                def plant(bundle, link=link):
                    (bundle.dir / "rootfs/mnt").rmdir()
                    (bundle.dir / "rootfs/mnt").symlink_to(link)
                for mount in ({"type": "tmpfs", "source": "tmpfs"}, {"source": "/etc", "options": ["rbind"]}):
                    self.assert_refused(self.refused({"destination": "/mnt/x", **mount}, prepare=plant), "/mnt/x inside the root filesystem")

    def test_descriptors_of_the_shim_are_no_way_out(self):
        """As rootfs, as source and as working directory: what the shim has open is nobody's path."""
        for fd in range(3, 20):
            bundle = self.bundle("sh", "-c", "cat ../../../../../../etc/shadow; ls")
            bundle.config["process"]["cwd"] = f"/proc/self/fd/{fd}"
            bundle.write()
            done = self.run_bundle(bundle)
            self.assertNotRegex(done.text, r"root:|locald", done)
            bundle.config["process"]["cwd"] = "/"
            bundle.config["mounts"].append({"destination": "/mnt", "source": f"/proc/self/fd/{fd}", "options": ["rbind"]})
            bundle.config["process"]["args"] = ["sh", "-c", "ls /mnt; cat /mnt/shadow /mnt/../shadow"]
            bundle.write()
            self.assertNotRegex(self.run_bundle(bundle).text, r"root:|user-|cgroup\.procs", fd)
        text = self.assert_runs(self.bundle("ls", "/proc/self/fd"))
        self.assertLessEqual(set(text.split()), {"0", "1", "2", "3"}, "3 is the directory that is listed")

    def test_sysfs_of_the_hosts_network_is_refused_with_the_way_out(self):
        sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
        self.assert_refused(self.refused(sysfs), "/sys", "Operation not permitted", "network namespace", "bind /sys")

        def network(bundle):
            bundle.config["linux"]["namespaces"].append({"type": "network"})
        self.assertEqual(self.refused(sysfs, prepare=network).code, 0)

    def test_a_host_that_hides_parts_of_proc_and_sys_is_told_of_in_one_line(self):
        """As inside a container of another engine: the kernel shows a user namespace no procfs that shows more."""
        for script, words in (("mount -t tmpfs tmpfs /proc/sys", ("/proc", "nothing mounted over it")),
                              ("mount -t tmpfs tmpfs /sys/kernel", ("/sys", "nothing mounted over it", "bind /sys"))):
            with self.subTest(script):
                bundle = self.bundle("true")
                bundle.config["linux"]["namespaces"].append({"type": "network"})
                bundle.config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs"})
                bundle.write()
                argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh", "setpriv",
                        f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--clear-groups", "--", str(world().shim), "bundle", "run",
                        "--bundle", str(bundle.dir), "--id", self.new_id()]
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, cwd="/")
                self.assert_refused(Done(argv, done.returncode, done.stdout, done.stderr), *words)

    def test_a_handle_opens_nothing_that_a_path_does_not(self):
        """open_by_handle_at with every capability and no filter: of the host's root, and of a file that is root's alone."""
        program = build_program("attempt")
        secret = world().dir / "secret"
        secret.write_text("of root's\n")
        secret.chmod(0o600)

        def handle(path):
            return subprocess.run([program, "handle-of", path], check=True, capture_output=True, text=True).stdout.split()
        own = self.who.write("shared/x", "").parent
        os.chown(own, self.who.uid, self.who.gid)
        mine = self.who.write("shared/mine", "his own\n")
        if handle(secret)[0] == "none:":
            self.skipTest("this file system has no handles")
        direct = subprocess.run([program, "handle", own, *handle(secret)], check=True, capture_output=True, text=True).stdout
        self.assertEqual(direct, "opened: of root's\n\n", "the attack itself, by root")
        for what in (secret, Path("/"), Path("/etc/shadow"), mine):
            with self.subTest(what):
                bundle = self.bundle("/bin/attempt", "handle", "/mnt", *handle(what), programs=["attempt"])
                bundle.config["mounts"].append({"destination": "/mnt", "source": str(own), "options": ["rbind"]})
                bundle.config["process"]["capabilities"] = EVERYTHING
                bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
                bundle.write()
                self.assertRegex(self.assert_runs(bundle), r"\Aopened: (EPERM|EACCES|ESTALE|ENOTDIR)\n\Z")


class SingleMap(SetuidCase):
    kind = "plain"

    def test_a_group_of_terminals_that_is_not_mapped_is_named(self):
        bundle = self.bundle("true")
        bundle.config["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]})
        bundle.write()
        self.assert_refused(self.run_bundle(bundle), "/dev/pts", "gid=5", "leave it out")


class Terminal(SetuidCase):
    def typed(self, *argv):
        """What a program on the caller's own terminal could put into its input, and what lies there afterwards."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        modes = termios.tcgetattr(slave)
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        os.fchown(slave, self.who.uid, self.who.gid)
        try:
            return self.who.run(argv, stdin=slave, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)).text
        finally:
            os.close(slave)

    def test_the_callers_terminal_cannot_be_typed_into(self):
        if self.typed(build_program("attempt"), "type") != "typed: yes\n":
            self.skipTest("dev.tty.legacy_tiocsti=0: nobody may")
        bundle = self.bundle("/bin/attempt", "type", programs=["attempt"])
        bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
        bundle.write()
        said = self.typed(world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id())
        self.assertEqual(said, "typed: EPERM\n")
        _, _, name = self.start(self.bundle("sleep", "100", programs=["attempt"]))
        self.assertEqual(self.typed(world().shim, "exec", name, "/bin/attempt", "type"), "typed: EPERM\n")


class Parent(SetuidCase):
    def test_a_program_that_clears_its_parents_death_signal_is_ended_by_delete(self):
        """getppid() is 0 in a new pid namespace and tells nobody of a parent that died."""
        bundle = self.bundle("/bin/attempt", "outlive", programs=["attempt"])
        out = self.who.write("said", "")
        with open(out, "wb") as file:
            process, first, name = self.start(bundle, stdout=file)
        self.assertTrue(wait_until(out.read_text))
        self.assertEqual(out.read_text(), "parent 0, signal 9\n")
        process.kill()
        process.wait()
        self.assertFalse(wait_until(lambda: first not in processes(), 0.5), "it would end anyway")
        self.assertIn(name, self.who.shim("list", "--quiet").text)
        self.assertEqual(self.who.shim("delete", "--force", name).code, 0)
        self.assertTrue(wait_until(lambda: first not in processes()))

    def run_orphaned(self, which, shim=None, attempts=5):
        """The parent dies while the container's first process is about to ask for its parent's death signal for the `which`th
        time. Whether its program ran, and whether there was such a time."""
        bundle = self.bundle("sh", "-c", "echo ran >/tmp/ran; sleep 100")
        bundle.config["process"]["user"] = {"uid": 1, "gid": 1}  # a change of ids clears the signal
        (bundle.dir / "rootfs/tmp").chmod(0o1777)
        bundle.write()
        name = self.new_id()
        words = ["strace", "-f", "-qq", "-u", self.who.name, "-o", "/dev/null", "--inject=prctl:delay_enter=40000",
                 str(shim or world().shim), "bundle", "run", "--bundle", str(bundle.dir), "--id", name]
        tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                  start_new_session=True, env={"PATH": SAFE_PATH})

        first_id, count = self.who.ranges()[0]

        def ours():
            return sorted(pid for pid, ids in processes().items() if self.who.uid in ids or first_id <= ids[0] < first_id + count)

        def asking():
            """The container's first process, held at prctl(PR_SET_PDEATHSIG, SIGKILL)."""
            for pid in ours():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                        return Path(f"/proc/{pid}/syscall").read_text().split()[:3] == [str(SYS["prctl"]), "0x1", "0x9"]
            return False
        seen = 0
        while seen < which and wait_until(lambda: asking() or tracer.poll() is not None, 8, 0.002) and tracer.poll() is None:
            seen += 1
            if seen < which:
                wait_until(lambda: not asking(), 2, 0.002)
        os.kill(ours()[0], 9)
        wait_until(lambda: not ours(), 3)
        ran = (bundle.dir / "rootfs/tmp/ran").exists()
        for pid in ours():
            os.kill(pid, 9)
        tracer.wait()
        self.assertEqual(self.who.shim("delete", "--force", name).code, 0)
        if seen < which and attempts > 1:  # a busy machine looks too late
            return self.run_orphaned(which, shim, attempts - 1)
        return ran, seen == which

    def test_a_parent_that_died_before_its_signal_was_asked_for(self):
        for which in (1, 2, 3):
            with self.subTest(time=which):
                self.assertEqual(self.run_orphaned(which), (False, True))

    def test_it_would_run_on_if_the_parent_were_not_looked_for(self):
        self.assertEqual(self.run_orphaned(3, world().weak("parent")), (True, True))


class Victims(SetuidCase):
    def test_namespaces_of_another_user_cannot_be_joined(self):
        other, mine = user("other"), self.who
        self.who = other
        _, first, _ = self.start(self.bundle("sleep", "100"))
        self.who = mine
        for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("pid", "pid"), ("cgroup", "cgroup"),
                           ("user", "user")):
            with self.subTest(kind=kind):
                bundle = self.bundle("true")
                spaces = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != kind]
                bundle.config["linux"]["namespaces"] = [*spaces, {"type": kind, "path": f"/proc/{first}/ns/{name}"}]
                if kind == "mount":
                    bundle.config["mounts"] = []
                bundle.write()
                self.assert_refused(self.run_bundle(bundle), f"/proc/{first}/ns/{name}")
