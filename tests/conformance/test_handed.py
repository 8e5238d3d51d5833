"""What a caller hands to a container beside its streams: listening descriptors, and a word to systemd."""

import array
import os
import socket
import subprocess
import tempfile
import threading

from tests.conformance.bundle import BundleTest
from tests.conformance.support import PROGRAMS, call, world

# As libsystemd does it; the first message is no business of the host's.
SAY_READY = (
    "python3 -c 'import os,socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);"
    's.connect(os.environ["NOTIFY_SOCKET"]); s.send(b"STATUS=early\\nMAINPID=1"); s.send(b"READY=1\\n")\''
)


class TestListenFds(BundleTest):
    """sd_listen_fds(3)."""

    shown = 'echo "${LISTEN_FDS-none} ${LISTEN_PID-none}"; cat <&3; cat <&4'

    def with_files(self, words, pid="$$", fds="1"):
        """Runs a command with two files as descriptors 3 and 4 and the environment of socket activation."""
        files = []
        for text in ("first", "second"):
            file = tempfile.NamedTemporaryFile("w", dir=world().dir, delete=False)
            file.write(text + "\n")
            file.close()
            self.addCleanup(os.unlink, file.name)
            files.append(file.name)
        script = f'export LISTEN_PID={pid} LISTEN_FDS={fds}; exec "$@" 3<{files[0]} 4<{files[1]}'
        return call(["/bin/sh", "-c", script, "sh", *words])

    def run_words(self, bundle, *words):
        return bundle.words("run", "--bundle", bundle.dir, *words, bundle.id)

    def test_they_come_first_and_the_preserved_ones_after_them(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                bundle = self.bundle(runtime, self.shown)
                done = self.ok(self.with_files(self.run_words(bundle, "--preserve-fds", "1")))
                self.assertEqual(done.out, "1 1\nfirst\nsecond\n")

    def test_those_of_another_process_are_left_alone(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                bundle = self.bundle(runtime, 'echo "${LISTEN_FDS-none}"; : <&3')
                done = self.with_files(self.run_words(bundle), pid="1")
                self.assertEqual(done.out, "none\n", done)
                self.assertNotEqual(done.code, 0)

    def test_the_locald_form_of_run_hands_them_on(self):
        bundle = self.bundle("shim", self.shown)
        words = [PROGRAMS["shim"], "--root", world().state("shim"), "bundle", "run", "--bundle", bundle.dir, "--id", bundle.id]
        self.assertEqual(self.with_files(words, fds="2").out, "2 1\nfirst\nsecond\n")

    def test_create_keeps_them_until_start(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                bundle = self.bundle(runtime, f"({self.shown}) > /tmp/out")
                self.ok(self.with_files(bundle.words("create", "--bundle", bundle.dir, bundle.id), fds="2"))
                self.ok(bundle.call("start"))
                self.wait_for_end(bundle)
                self.assertEqual((bundle.dir / "rootfs/tmp/out").read_text(), "2 1\nfirst\nsecond\n")

    def wait_for_end(self, bundle):
        self.wait_until(lambda: bundle.state()["status"] == "stopped")

    def test_a_process_that_joins_gets_them_by_its_own_pid(self):
        # Others tell it LISTEN_PID=1, which it is not: sd_listen_fds would take nothing.
        bundle = self.bundle("shim", "sleep 300")
        self.ok(bundle.call("run", "-d"))
        self.assertEqual(self.with_files(bundle.words("exec", bundle.id, "sh", "-c", '[ $LISTEN_PID = $$ ] && cat <&3')).out, "first\n")

    def test_one_that_is_not_there_is_an_error(self):
        bundle = self.bundle("shim", "true")
        done = self.with_files(self.run_words(bundle), fds="3")
        self.assertEqual(done.code, 1)
        self.assertIn("unable to stat descriptor of LISTEN_FDS 2 (of 3): Bad file descriptor", done.err)


class Host:
    """The service manager's end of NOTIFY_SOCKET: collects what is said, and lets go of barriers."""

    def __init__(self, test, name=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.path = name or str(world().dir / f"notify-{os.urandom(4).hex()}")
        self.socket.bind("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        if not self.path.startswith("@"):
            test.addCleanup(os.unlink, self.path)
        self.socket.settimeout(10)
        self.environment = {**os.environ, "NOTIFY_SOCKET": self.path}

    def next(self):
        text, control, *_ = self.socket.recvmsg(4096, socket.CMSG_LEN(4))
        for _, _, data in control:
            os.close(array.array("i", data)[0])
        return text.decode()

    def nothing_more(self):
        self.socket.settimeout(0.2)
        try:
            return self.next()
        except TimeoutError:
            return None


class TestNotifySocket(BundleTest):
    """sd_notify(3)."""

    def begin(self, bundle, *words, environment):
        process = subprocess.Popen(list(map(str, words)), env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        return process

    def started(self, runtime, host):
        bundle = self.bundle(runtime, f"sleep 0.3; {SAY_READY}; sleep 300", host_programs=True)
        self.ok(bundle.call("create", env=host.environment))
        self.assertIsNone(host.nothing_more())
        host.socket.settimeout(10)
        return bundle, self.begin(bundle, *bundle.words("start", bundle.id), environment=host.environment)

    def test_start_ends_when_the_container_is_ready_and_the_host_has_noticed(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                host = Host(self)
                bundle, start = self.started(runtime, host)
                self.assertEqual(host.next(), "READY=1\n")
                self.assertEqual(host.next(), f"MAINPID={bundle.state()['pid']}\n")
                self.assertIsNone(start.poll())
                self.assertEqual(host.next(), "BARRIER=1")
                self.assertEqual(start.wait(10), 0)
                self.assertIsNone(host.nothing_more())

    def test_a_detached_run_ends_when_the_container_is_ready(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                host = Host(self)
                bundle = self.bundle(runtime, f"{SAY_READY}; sleep 300", host_programs=True)
                words = bundle.words("run", "-d", "--bundle", bundle.dir, bundle.id)
                run = self.begin(bundle, *words, environment=host.environment)
                self.assertEqual(host.next(), "READY=1\n")
                self.assertEqual(host.next(), f"MAINPID={bundle.state()['pid']}\n")
                self.assertEqual(host.next(), "BARRIER=1")
                self.assertEqual(run.wait(10), 0)

    def test_a_foreground_run_passes_it_on(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                host = Host(self)
                bundle = self.bundle(runtime, f"{SAY_READY}; sleep 0.5", host_programs=True)
                words = bundle.words("run", "--bundle", bundle.dir, bundle.id)
                run = self.begin(bundle, *words, environment=host.environment)
                self.assertEqual(host.next(), "READY=1\n")
                self.assertTrue(host.next().startswith("MAINPID="))
                threading.Thread(target=host.nothing_more).start()  # runc sends a barrier here too
                self.assertEqual(run.wait(10), 0)

    def test_start_ends_with_a_container_that_never_becomes_ready(self):
        # As a process that nobody has reaped, which is what it is here, and which runc waits for without end.
        host = Host(self)
        bundle = self.bundle("shim", "sleep 0.2")
        self.ok(bundle.call("create", env=host.environment))
        self.ok(bundle.call("start", env=host.environment))
        self.assertIsNone(host.nothing_more())

    def test_an_abstract_name_is_a_host_too(self):
        host = Host(self, f"@locald-test-{os.getpid()}")
        bundle = self.bundle("shim", f"{SAY_READY}; sleep 300", host_programs=True)
        run = self.begin(bundle, *bundle.words("run", "-d", "--bundle", bundle.dir, bundle.id), environment=host.environment)
        self.assertEqual(host.next(), "READY=1\n")
        self.assertTrue(host.next().startswith("MAINPID="))
        self.assertEqual(host.next(), "BARRIER=1")
        self.assertEqual(run.wait(10), 0)

    def test_a_host_that_does_not_listen_is_a_warning(self):
        environment = {**os.environ, "NOTIFY_SOCKET": str(world().dir / "nobody")}
        bundle = self.bundle("shim", f"{SAY_READY}; sleep 300", host_programs=True)
        done = self.ok(bundle.call("run", "-d", env=environment))
        self.assertIn("nobody: connect: No such file or directory", done.err)

    def test_without_it_the_container_has_none(self):
        bundle = self.bundle("shim", "env; ls /run")
        environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        self.assertNotIn("notify", self.ok(bundle.call("run", env=environment)).out.lower())
