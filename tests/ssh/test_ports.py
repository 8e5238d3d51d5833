"""Ports of a container on another host are ports of this one, over a real SSH server."""

import contextlib
import os
import re
import shutil
import signal
import socket
import threading
import time
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, SANITIZED, ContainerCase, descendants
from tests.ssh.server import Server, free_port

#: What the container's program is: python of this host, which the container sees by its root directory.
ECHO = r"""
import socket, sys, threading
def serve(peer):
    total = 0
    with peer:
        first = peer.recv(1 << 16)
        if first.startswith(b"send "):
            block = bytes(range(256)) * 4096
            for _ in range(int(first.split()[1])):
                peer.sendall(block)
            return
        while first:
            total += len(first)
            peer.sendall(first)
            first = peer.recv(1 << 16)
        # Only after the other side has ended its half: it reads this all the same.
        peer.sendall(b"total %d" % total)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
print("ready", flush=True)
once = len(sys.argv) > 2
while True:
    peer, _ = listener.accept()
    if once:
        peer.sendall(bytes(1 << 22))
        peer.close()
        sys.exit(3)
    threading.Thread(target=serve, args=(peer,), daemon=True).start()
"""


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Ports(ContainerCase):
    kind = "root"  # its root directory may be the host's

    def setUp(self):
        super().setUp()
        self.processes = []
        self.serve()
        self.inside = free_port()

    def serve(self, *lines):
        self.server = Server(self.who.home / "sshd", *lines)
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh", ignore_errors=True)
        self.env = {"LOCALD_HOST": self.server.url(self.who.name)}
        self.addCleanup(self.end)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            self.finish(process)
        self.who.locald("host", "disconnect", env=self.env)
        shutil.rmtree(self.who.state_dir / ".hosts", ignore_errors=True)

    def rootfs(self):
        root = self.who.directory("pyroot")
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        busybox = root / "bin/busybox"
        if not busybox.exists():
            busybox.parent.mkdir()
            shutil.copy("/bin/busybox", busybox)
        return root

    def start(self, *words):
        process = self.who.start("container", "run", "--init", *words, env=self.env)
        self.processes.append(process)
        return process

    def echo(self, *flags, words=()):
        """A container that echoes; returns once it listens. Its first words on stderr come too."""
        process = self.start(*flags, "--rootfs", "/", "/usr/bin/python3", "-u", "-c", ECHO, str(self.inside), *words)
        line = process.stdout.readline()
        if line != b"ready\n":
            raise AssertionError(f"it does not listen: {line!r} {process.stderr.read()!r}")
        return process

    def connect(self, port, address="127.0.0.1"):
        connection = socket.create_connection((address, port), timeout=60)
        self.addCleanup(connection.close)
        return connection

    def everything(self, connection):
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)

    def test_either_loopback_leads_there_and_each_half_ends_by_itself(self):
        port = free_port()
        self.echo("-p", f"{port}:{self.inside}")
        for address in ("127.0.0.1", "::1"):
            with self.subTest(address):
                connection = self.connect(port, address)
                connection.sendall(b"hello")
                self.assertEqual(connection.recv(100), b"hello")
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(self.everything(connection), b"total 5")

    def test_the_listeners_are_on_loopback_unless_an_address_is_named(self):
        port, other = free_port(), free_port()
        self.echo("-p", f"{port}:{self.inside}", "-p", f"127.0.0.2:{other}:{self.inside}")
        self.assertEqual(self.listening(port), {"0100007F", "00000000000000000000000001000000"})
        self.assertEqual(self.listening(other), {"0200007F"})

    def listening(self, port):
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A" and int(local.split(":")[1], 16) == port:
                    found.add(local.split(":")[0])
        return found

    def test_a_thousand_connections(self):
        port = free_port()
        self.echo("-p", f"{port}:{self.inside}")
        wrong = []

        def some(first):
            for number in range(first, first + 50):
                words = f"number {number}".encode()
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                        connection.sendall(words)
                        connection.shutdown(socket.SHUT_WR)
                        got = self.everything(connection)
                except OSError as error:
                    got = error
                if got != words + b"total %d" % len(words):
                    wrong.append((number, got))

        threads = [threading.Thread(target=some, args=(first,)) for first in range(0, 1000, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_reader_that_rests_holds_up_nobody_else_and_gets_all(self):
        port = free_port()
        self.echo("-p", f"{port}:{self.inside}")
        slow = self.connect(port)
        slow.sendall(b"send 64")  # MiB
        time.sleep(0.5)
        quick = self.connect(port)
        quick.sendall(b"hello")
        self.assertEqual(quick.recv(100), b"hello")
        # What nobody reads is not fetched either: it would be kept in memory here.
        most = max(self.memory(process) for process in self.processes)
        if not SANITIZED:  # which keeps memory of its own
            self.assertLess(most, 60 << 20)
        self.assertEqual(self.everything(slow), bytes(range(256)) * 4096 * 64)

    def memory(self, process):
        text = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) << 10

    def test_much_in_both_directions(self):
        port = free_port()
        self.echo("-p", f"{port}:{self.inside}")
        data = os.urandom(1 << 20) * 16
        connection = self.connect(port)

        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = self.everything(connection)
        sender.join()
        self.assertEqual(got, data + b"total %d" % len(data))

    def test_the_last_words_of_a_container_arrive(self):
        port = free_port()
        process = self.echo("-p", f"{port}:{self.inside}", words=["once"])
        connection = self.connect(port)
        self.assertEqual(len(self.everything(connection)), 1 << 22)
        self.assertEqual(self.finish(process).code, 3)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_a_busy_port_is_an_error_before_the_start_and_names_its_holder(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            mark = self.who.home / "mark"
            done = self.finish(self.start("-p", f"{port}:80", "--rootfs", "/", "/usr/bin/touch", str(mark)))
            self.assert_error(done, 125, "publish port 80", f"port {port} of 127.0.0.1", "in use",
                              rf"pid {os.getpid()} \(python", "another port")
        self.assertFalse(mark.exists())

    def test_a_free_port_is_picked_and_told(self):
        process = self.echo("-p", str(self.inside), "-p", f"127.0.0.1:0:{self.inside}")
        told = self.read_until(process.stderr, b"is 127.0.0.1:").decode()
        if not told.endswith("\n"):
            told += self.read_until(process.stderr, b"\n").decode()
        ports = re.findall(rf"port {self.inside} of the container is (?:localhost|127\.0\.0\.1):(\d+)\n", told)
        self.assertEqual(len(ports), 2, told)
        for port in ports:
            connection = self.connect(int(port))
            connection.sendall(b"hello")
            self.assertEqual(connection.recv(100), b"hello")

    def test_nobody_who_listens_is_a_connection_that_is_reset(self):
        port = free_port()
        process = self.start("-p", f"{port}:{self.inside}", "--rootfs", "/", "/usr/bin/sleep", "60")
        self.wait_for(lambda: self.listening(port), "listener")
        connection = self.connect(port)
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)
        process.send_signal(signal.SIGTERM)

    def test_udp_is_an_error(self):
        self.assert_error(self.finish(self.start("-p", "53:53/udp", "locald/hello")), 125, "53:53/udp", "TCP alone")

    def holders(self):
        return [pid for pid, line in descendants().items() if "locald port-holder " in line]

    def test_a_container_in_the_background_has_its_ports_until_it_ends(self):
        port = free_port()
        done = self.finish(self.start("-d", "--name", "web", "-p", f"{port}:{self.inside}", "--rootfs", "/", "/usr/bin/python3",
                                      "-u", "-c", ECHO, str(self.inside)))
        self.addCleanup(self.who.locald, "container", "rm", "--force", "web", env=self.env)
        self.assertEqual((done.code, done.text), (0, "web\n"), done)
        self.wait_for(lambda: "ready" in self.who.locald("container", "logs", "web", env=self.env).text, "server")
        for _ in range(2):
            connection = self.connect(port)
            connection.sendall(b"hello")
            self.assertEqual(connection.recv(100), b"hello")
            # A connection that breaks is made again, and the container knows nothing of it.
            self.who.locald("host", "disconnect", env=self.env)
        self.assertEqual(len(self.holders()), 1)
        self.assert_ok(self.who.locald("container", "stop", "web", env=self.env))
        self.wait_for(lambda: not self.holders(), "end of the process that holds the port")
        self.assertEqual(self.listening(port), set())

    def test_a_busy_port_is_an_error_before_a_start_in_the_background_and_nobody_stays(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            done = self.finish(self.start("-d", "--name", "web", "-p", f"{port}:80", "locald/hello"))
            self.assert_error(done, 125, "publish port 80", f"port {port} of 127.0.0.1", "in use")
        done = self.finish(self.start("-d", "--name", "web", "-p", "0:80", "--rootfs", "/none", "true"))
        self.assertEqual(done.code, 125, done)
        self.wait_for(lambda: not self.holders(), "end of the process that held the port")
        self.assertEqual(self.who.locald("container", "ls", "-aq", env=self.env).text, "")

    def test_a_port_that_is_taken_there_is_told(self):
        with socket.create_server(("127.0.0.1", self.inside)):
            done = self.finish(self.start("-p", f"0:{self.inside}", "--rootfs", "/", "/usr/bin/true"))
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"something listens on port {self.inside} of", done.errors)

    def test_a_server_that_does_not_forward_is_one_error(self):
        self.server.remove()
        self.serve("AllowTcpForwarding no")
        mark = self.who.home / "mark"
        done = self.finish(self.start("-p", "0:80", "--rootfs", "/", "/usr/bin/touch", str(mark)))
        self.assert_error(done, 125, "publish port 80", "127.0.0.1", "prohibited", "AllowTcpForwarding")
        self.assertFalse(mark.exists())

    def test_a_server_that_wants_a_word_now_and_then_costs_nothing_and_no_connection(self):
        self.server.remove()
        self.serve("ClientAliveInterval 1", "ClientAliveCountMax 1")
        port = free_port()
        process = self.echo("-p", f"{port}:{self.inside}")
        before = self.seconds(process)
        time.sleep(5)  # nobody comes meanwhile, and the server hangs up
        self.assertLess(self.seconds(process) - before, 1)
        connection = self.connect(port)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(100), b"hello")

    @staticmethod
    def seconds(process):
        """What it had of a processor."""
        words = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def test_a_connection_that_broke_is_made_anew(self):
        port = free_port()
        self.echo("-p", f"{port}:{self.inside}")
        first = self.connect(port)
        first.sendall(b"hello")
        self.assertEqual(first.recv(100), b"hello")
        # The forwards have the youngest of the server's connections.
        sessions = sorted(self.sessions(), key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]))
        pids = [pid for pid in sessions if self.is_forwarding(pid)]
        self.assertEqual(len(pids), 1, sessions)
        os.kill(pids[0], signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(first.recv(100), b"")
        second = self.connect(port)
        second.sendall(b"again")
        self.assertEqual(second.recv(100), b"again")

    def sessions(self):
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().startswith(f"sshd: {self.who.name}".encode()):
                        found.append(int(entry.name))
        return found

    def is_forwarding(self, pid):
        """Whether that process of the server has a connection to the container's port."""
        sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if os.path.islink(fd)}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if int(words[2].split(":")[1], 16) == self.inside and f"socket:[{words[9]}]" in sockets:
                return True
        return False


if __name__ == "__main__":
    unittest.main()
