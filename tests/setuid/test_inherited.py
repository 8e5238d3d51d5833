"""What a caller hands over that he should not: environment, descriptors, limits, signals, a directory that is gone."""

import ctypes
import os
import resource
import signal
import subprocess

from tests.setuid.support import SetuidCase, world

PRLIMITS = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK", "RLIMIT_NOFILE", "RLIMIT_NPROC",
            "RLIMIT_RSS", "RLIMIT_SIGPENDING", "RLIMIT_STACK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO")


class Inherited(SetuidCase):
    def run_after(self, prepare, *args, said=True, **kwargs):
        """A run whose process did `prepare` just before it executed the shim; either it works or it says in words why not."""
        done = self.run_bundle(self.bundle(*(args or ("echo", "fine"))), preexec_fn=prepare, **kwargs)
        if done.code == 0:
            return done.text
        self.assertTrue(done.errors.strip() or done.code < 0 or not said, done)
        return None

    def test_a_hostile_environment_changes_nothing(self):
        for name in ("newuidmap", "newgidmap", "systemctl", "busctl", "sh"):
            self.who.write(f"fake/{name}", f"#!/bin/sh\necho fake >>{self.who.home}/fakes\n", 0o755)
        library = self.who.write("evil.so", b"\x7fELF not really", 0o755)
        places = str(self.who.home / "fake")
        environment = {
            "PATH": places, "LD_PRELOAD": str(library), "LD_LIBRARY_PATH": places, "LD_AUDIT": str(library), "GCONV_PATH": places,
            "LOCPATH": places, "NLSPATH": places, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "1", "GLIBC_TUNABLES": "glibc.malloc.check=1",
            "GLIBCXX_TUNABLES": "glibcxx.eh_pool.obj_count=-1", "TMPDIR": "/proc/1/root", "IFS": "/", "LANG": "../../x", "LC_ALL": "../x",
            "TZ": "../../../etc/shadow", "RES_OPTIONS": "debug", "HOSTALIASES": places, "NOTIFY_SOCKET": "@x", "LISTEN_FDS": "100000",
            "LISTEN_PID": "1", "LOCALD_HOST": "x", "XDG_RUNTIME_DIR": "/root",
        }
        for name, value in environment.items():
            with self.subTest(variable=name):
                done = self.run_bundle(self.bundle("echo", "fine"), env={name: value})
                if name == "LISTEN_FDS":  # a promise of descriptors that are not there
                    continue
                self.assertEqual((done.code, done.text), (0, "fine\n"), done)
        self.assertFalse((self.who.home / "fakes").exists(), "a program of the caller's was executed")

    def test_closed_standard_streams(self):
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            with self.subTest(closed=closed):
                def close(closed=closed):
                    for fd in closed:
                        os.close(fd)
                done = self.run_bundle(self.bundle("ls", "-l", "/proc/self/fd"), preexec_fn=close)
                self.assertEqual(done.code, 0, done)
                self.assertNotRegex(done.text, "shadow|cgroup|locald|uid_map")

    def test_a_full_table_of_descriptors(self):
        def fill():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            while True:
                try:
                    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
                except OSError:
                    return
        done = self.run_bundle(self.bundle("echo", "fine"), preexec_fn=fill, close_fds=False)
        self.assertNotEqual(done.code, 0, done)
        self.assertTrue(done.errors.strip(), done)

    def test_a_descriptor_at_the_end_of_a_huge_table(self):
        def reach():
            most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            os.dup2(0, most - 1, inheritable=True)
        text = self.run_after(reach, "ls", "/proc/self/fd", close_fds=False)
        self.assertEqual(text.split(), ["0", "1", "2", "3"])

    def test_limits_at_zero_and_at_odd_values(self):
        for name in PRLIMITS:
            for value in (0, 1, 4096):
                with self.subTest(limit=name, value=value):
                    def low(name=name, value=value):
                        number = getattr(resource, name)
                        hard = resource.getrlimit(number)[1]
                        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
                        resource.setrlimit(number, (top, top if value else hard))
                    # A limit of files would keep the words out of the file that they are read from.
                    self.run_after(low, said=name != "RLIMIT_FSIZE")

    def test_soft_limits_are_the_payloads_as_they_were(self):
        def soft():
            resource.setrlimit(resource.RLIMIT_FSIZE, (123 * 1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            resource.setrlimit(resource.RLIMIT_NOFILE, (77, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        text = self.run_after(soft, "cat", "/proc/self/limits")
        lines = {line[:25].strip(): line[25:].split()[0] for line in text.splitlines()}
        self.assertEqual((lines["Max file size"], lines["Max open files"]), (str(123 * 1024), "77"))

    def test_ignored_and_blocked_signals(self):
        def ignore():
            for number in range(1, 65):
                if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                    signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {32, 33})
        self.assertEqual(self.run_after(ignore), "fine\n")

    def test_a_working_directory_that_is_gone(self):
        gone = self.who.home / "gone"
        gone.mkdir()
        def leave():
            os.chdir(gone)
            os.rmdir(gone)
        os.chown(self.who.home, self.who.uid, self.who.gid)
        self.assertEqual(self.run_after(leave), "fine\n")

    def test_the_umask_is_the_payloads_and_not_the_states(self):
        self.assertEqual(self.run_after(lambda: os.umask(0), "sh", "-c", "umask"), "0022\n")
        self.assertEqual(self.who.state.stat().st_mode & 0o777, 0o700)

    def test_no_arguments_at_all(self):
        for argv in ([], [""]):
            with self.subTest(argv=argv):
                pid = os.fork()
                if pid == 0:
                    try:
                        os.setgroups([])
                        os.setgid(self.who.gid)
                        os.setuid(self.who.uid)
                        null = os.open("/dev/null", os.O_RDWR)
                        for fd in (0, 1, 2):
                            os.dup2(null, fd)
                        libc_execve(str(world().shim), argv)
                    finally:
                        os._exit(99)
                _, status = os.waitpid(pid, 0)
                self.assertIn(os.waitstatus_to_exitcode(status), (1, 2, 125))

    def test_very_many_and_very_long_arguments(self):
        for words in (["x"] * 20000, ["run"] * 5000, ["--root=" + "a" * 100000, "list"], ["--root", "run", "exec", "id"]):
            done = self.who.shim(*words)
            self.assertNotEqual(done.code, 0)
            self.assertGreaterEqual(done.code, 0, "no crash")

    def test_a_lost_bit_is_told_in_one_line(self):
        def no_new_privileges():
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        bundle = self.bundle("true")
        del bundle.config["linux"]["namespaces"][-1]
        bundle.config["linux"]["namespaces"].append({"type": "user"})
        for field, own in (("uidMappings", self.who.uid), ("gidMappings", self.who.gid)):
            bundle.config["linux"][field] = [{"containerID": 0, "hostID": own, "size": 1}]
        bundle.write()
        done = self.run_bundle(bundle, preexec_fn=no_new_privileges)
        self.assertEqual(done.code, 0, done)
        lines = [line for line in done.errors.splitlines() if "setuid bit has no effect" in line]
        self.assertEqual(len(lines), 1, done)
        self.assertIn("no_new_privs", lines[0])

    def test_a_copy_is_not_setuid_and_works_with_the_callers_rights(self):
        copy = self.who.home / "copy"
        subprocess.run(["cp", world().shim, copy], check=True)
        os.chown(copy, self.who.uid, self.who.gid)
        copy.chmod(0o755)
        done = self.who.shim("--shim-version", shim=copy)
        self.assertEqual(done.code, 0, done)
        linked = self.who.run(["ln", world().shim, self.who.home / "linked"])
        self.assertNotEqual(linked.code, 0, "protected_hardlinks lets nobody link a setuid file of root's")


def libc_execve(path, argv):
    """execve with an argv that os.execve refuses."""
    libc = ctypes.CDLL(None)
    words = (ctypes.c_char_p * (len(argv) + 1))(*[word.encode() for word in argv], None)
    libc.execve(path.encode(), words, (ctypes.c_char_p * 1)(None))
