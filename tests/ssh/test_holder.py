"""The process that keeps a connection: one a host, private, and no command is worse off for it."""

import os
import re
import shutil
import signal
import stat
import subprocess
import time
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, ContainerCase, descendants
from tests.ssh.server import Server


#: What a holder of an older locald says, and hears.
OLD_HOLDER = r"""
import socket, struct, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens")
hello = b'{"hello":{"protocol":0,"version":"0.0","boot":"b","machine":"m","kernel":"k"}}'
while True:
    connection, _ = listener.accept()
    connection.sendall(struct.pack(">IBI", len(hello), 1, 0) + hello)
    heard = b""
    while part := connection.recv(4096):
        heard += part
        if b"disconnect" in heard:
            print(heard)
            sys.exit()
"""


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Holder(ContainerCase):
    def setUp(self):
        super().setUp()
        self.others = set(descendants(with_way=True))
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.url = self.server.url(self.who.name)
        self.env = {"LOCALD_HOST": f"{self.url}?identity={self.who.home}/.ssh/id_ed25519", "XDG_CONFIG_HOME": self.who.home / "no-names"}
        self.addCleanup(self.end)

    def end(self):
        self.locald("host", "disconnect")
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)
        self.wait_for(lambda: "agent" not in " ".join(self.own().values()), "end of the agent")

    def own(self):
        return {pid: line for pid, line in descendants(with_way=True).items() if pid not in self.others}

    def locald(self, *words, **env):
        return self.who.locald(*words, env={**self.env, **env})

    def hello(self, code=7, **env):
        return self.locald("--quiet", "container", "run", "locald/hello", "exit", str(code), **env)

    def logins(self):
        return len(re.findall("Accepted publickey", self.server.log.read_text()))

    def test_the_second_command_needs_no_login(self):
        for code in (7, 8, 9):
            self.assertEqual(self.hello(code).code, code)
        self.assertEqual(self.logins(), 1)
        listed = self.locald("host", "ls").text.splitlines()
        self.assertEqual(len(listed), 2, listed)
        self.assertIn(self.url + " ", listed[1])
        done = self.locald("--backend", "linux", "--host", self.env["LOCALD_HOST"], "image", "ls")
        self.assert_error(done, 125, f'the host "{re.escape(self.url)}":')

    def test_many_first_commands_at_once_make_one_connection(self):
        started = [self.who.start("--quiet", "container", "run", "locald/hello", "exit", "5", env=self.env) for _ in range(6)]
        self.assertEqual([self.finish(process).code for process in started], [5] * 6)
        self.assertEqual(self.logins(), 1)

    def test_nobody_else_can_use_it(self):
        self.hello()
        [socket] = [path for path in (self.who.runtime / "locald/.hosts").iterdir() if path.is_socket()]
        self.assertEqual(stat.S_IMODE(socket.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(socket.parent.stat().st_mode), 0o700)

    def test_a_killed_one_is_replaced(self):
        self.hello()
        os.kill(int(self.locald("host", "ls").text.splitlines()[1].split()[2]), signal.SIGKILL)
        self.assertEqual(self.hello(3).code, 3)
        self.assertEqual(self.logins(), 2)

    def test_a_command_that_is_killed_leaves_the_next_one_a_holder(self):
        for turn in range(8):
            process = self.who.start("--quiet", "container", "run", "locald/hello", env=self.env)
            self.wait_for(lambda: "host-holder" in " ".join(self.own().values()), "holder")
            time.sleep(turn * 0.02)
            process.kill()
            process.communicate()
            done = self.hello(4)
            self.assertEqual(done.code, 4, done)
            self.assertEqual(self.logins(), turn + 1)
            self.assertEqual(len(self.locald("host", "ls").text.splitlines()), 2)
            self.assertEqual(self.locald("host", "disconnect").code, 0)
            self.wait_for(lambda: "host-holder" not in " ".join(self.own().values()), "end of the holder")

    def test_a_name_that_leads_to_another_host_is_not_believed(self):
        self.assertEqual(self.hello(3).code, 3)
        [first] = self.sockets()
        self.assertEqual(self.locald("host", "disconnect").code, 0)
        self.wait_for(lambda: not first.exists(), "end of the holder")
        other = Server(self.who.home / "sshd-2")
        self.addCleanup(other.remove)
        self.who.enter(other)
        self.assertEqual(self.hello(4, LOCALD_HOST=other.url(self.who.name)).code, 4)
        [second] = self.sockets()
        first.symlink_to(second)
        self.assert_error(self.hello(), 125, "leads to another host", "host disconnect")
        first.unlink()
        self.assertEqual(self.locald("host", "disconnect", other.url(self.who.name)).code, 0)
        self.wait_for(lambda: "agent" not in " ".join(self.own().values()), "end of the agent")

    def test_one_of_another_version_can_be_ended(self):
        self.hello()
        [path] = self.sockets()
        self.assertEqual(self.locald("host", "disconnect").code, 0)
        self.wait_for(lambda: not path.exists(), "end of the holder")
        process = self.who.popen(["/usr/bin/python3", "-u", "-c", OLD_HOLDER, path], stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"listens\n")
        self.assert_error(self.hello(), 125, "protocol 0", "host disconnect")
        self.assertIn("another version", self.locald("host", "ls").text)
        self.assertEqual(self.locald("host", "disconnect").code, 0)
        out, _ = process.communicate(timeout=20)
        self.assertIn(b"disconnect", out)
        path.unlink()
        self.assertEqual(self.hello(5).code, 5)

    def sockets(self):
        return [path for path in (self.who.runtime / "locald/.hosts").iterdir() if path.is_socket()]

    def test_a_command_hears_that_its_connection_was_ended(self):
        process = self.who.start("--quiet", "container", "run", "--rootfs", self.rootfs(), "/bin/busybox", "sleep", "60", env=self.env)
        self.wait_for(lambda: "/bin/busybox sleep 60 " in self.own().values(), "container")
        self.assertEqual(self.locald("host", "disconnect").code, 0)
        done = self.finish(process)
        self.assertEqual(done.code, 125, done)
        self.assert_error(done, 125, re.escape(self.url) + ": `locald host disconnect` ended")
        self.assertNotIn("?", done.errors)  # what is kept beside an address

    def test_a_server_that_is_killed_is_a_lost_connection(self):
        process = self.who.start("--quiet", "container", "run", "--rootfs", self.rootfs(), "/bin/busybox", "sleep", "61", env=self.env)
        self.wait_for(lambda: "/bin/busybox sleep 61 " in self.own().values(), "container")
        for pid in self.sessions():
            os.kill(pid, signal.SIGKILL)
        done = self.finish(process)
        self.assertEqual(done.code, 125, done)
        self.assertRegex(done.errors, f"{re.escape(self.url)}: .*(closed by the other side|lost)")
        self.assertNotIn("?", done.errors)
        self.wait_for(lambda: "/bin/busybox sleep 61 " not in self.own().values(), "end of the container", 20)

    def test_why_there_is_no_connection_reaches_the_command(self):
        (self.who.home / ".ssh/known_hosts").write_text("")
        self.assert_error(self.hello(), 125, "host key", "not known", "SHA256:")
        self.server.stop()
        self.assert_error(self.hello(), 125, "Connection refused", "sshd")
        self.assertEqual(self.locald("host", "ls").text.splitlines()[1:], [])

    def test_without_one_every_command_logs_in(self):
        for _ in range(2):
            self.assertEqual(self.hello(LOCALD_HOLDER="no").code, 7)
        self.assertEqual(self.logins(), 2)

    def rootfs(self):
        root = self.who.directory("rootfs")
        self.who.directory("rootfs/bin")
        if not (root / "bin/busybox").exists():
            self.who.write("rootfs/bin/busybox", Path("/bin/busybox").read_bytes()).chmod(0o755)
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        return root

    def sessions(self):
        """The server's processes of connections."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if line.startswith(f"sshd: {self.who.name}".encode()):
                    found.append(int(entry.name))
        return found


if __name__ == "__main__":
    unittest.main()
