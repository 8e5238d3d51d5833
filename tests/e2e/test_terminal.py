"""`container run -t`: raw mode, resize, Ctrl-C, and a terminal that is as before on every way out."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from tests.e2e import images
from tests.e2e.support import NOISE, descendants, for_each


class Terminal:
    """A terminal with a program of the actor on it."""

    def __init__(self, who, words, rows=33, columns=101):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        os.fchown(self.slave, who.uid, who.gid)
        self.seen = b""
        self.process = who.start(
            *words, stdin=self.slave, stdout=self.slave, stderr=self.slave, env={"TERM": "xterm-256color"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def type(self, data):
        os.write(self.master, data)

    def read_until(self, wanted, seconds=20):
        deadline = time.monotonic() + seconds
        while wanted not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {wanted!r} after {seconds} s, but {self.seen!r}")
            self.seen += os.read(self.master, 65536)
        found, self.seen = self.seen[: self.seen.index(wanted)], self.seen[self.seen.index(wanted) + len(wanted):]
        return found

    def wait(self, seconds=20):
        """The exit status; what still comes is read meanwhile, so that nobody blocks on a full terminal."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"no end after {seconds} s; {self.seen!r}")
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return self.process.returncode

    def shown(self):
        """What came, without warnings of ours."""
        return NOISE.sub("", self.seen.decode()).encode()

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@for_each("root", "user")
class Pty:
    def run_on_terminal(self, *words, options=("-it",)):
        terminal = Terminal(self.who, ["container", "run", "--rm", *options, images.image(), *words])
        self.addCleanup(terminal.close)
        return terminal

    def test_the_container_has_a_terminal_of_its_own(self):
        terminal = self.run_on_terminal("sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo terminal; echo $TERM")
        self.assertEqual(terminal.wait(), 0, terminal.seen)
        self.assertEqual(terminal.shown().split(), [b"/dev/pts/0", b"terminal", b"xterm"])

    def test_the_exit_status_passes_through(self):
        self.assertEqual(self.run_on_terminal("sh", "-c", "exit 21").wait(), 21)

    def test_the_size_is_there_from_the_start_and_follows(self):
        terminal = self.run_on_terminal("sh", "-c", "stty size; trap 'stty size; exit 0' WINCH; echo ready; "
                                        "while :; do sleep 0.1; done")
        terminal.read_until(b"33 101\r\n")
        terminal.read_until(b"ready")
        time.sleep(0.2)
        terminal.resize(44, 155)
        terminal.read_until(b"44 155\r\n")
        self.assertEqual(terminal.wait(), 0)

    def test_the_terminal_is_raw_meanwhile_and_restored_after(self):
        terminal = self.run_on_terminal("sh", "-c", "echo ready; read line; echo \"<$line>\"")
        terminal.read_until(b"ready")
        self.assertTrue(terminal.is_raw())
        terminal.type(b"typed\r")
        terminal.read_until(b"<typed>")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_as_before())

    def test_ctrl_c_reaches_the_container(self):
        terminal = self.run_on_terminal("sh", "-c", "trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 0.1; done")
        terminal.read_until(b"ready")
        time.sleep(0.2)
        terminal.type(b"\x03")
        terminal.read_until(b"interrupted")
        self.assertEqual(terminal.wait(), 6)
        self.assertTrue(terminal.is_as_before())

    def test_a_shell_with_job_control_works(self):
        terminal = self.run_on_terminal("sh")
        terminal.type(b"echo $((6 * 7))\r")
        terminal.read_until(b"42")
        terminal.type(b"exit 3\r")
        self.assertEqual(terminal.wait(), 3)

    def test_the_terminal_is_restored_after_kill_9_of_the_container(self):
        terminal = self.run_on_terminal("sh", "-c", "echo ready; exec sleep 985.5")
        terminal.read_until(b"ready")
        self.assertTrue(terminal.is_raw())
        [pid] = self.wait_for(lambda: [p for p, line in descendants().items() if line.startswith("sleep 985.5")], "payload")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(terminal.wait(), 137)
        self.assertTrue(terminal.is_as_before())

    def test_the_terminal_is_restored_after_kill_9_of_the_shim(self):
        terminal = self.run_on_terminal("sh", "-c", "echo ready; exec sleep 984.5")
        terminal.read_until(b"ready")
        shim = [p for p, line in descendants().items() if "locald-shim" in line and "bundle" in line]
        os.kill(shim[0], signal.SIGKILL)
        self.assertNotIn(terminal.wait(), (0, None))
        self.assertTrue(terminal.is_as_before())

    def test_the_terminal_is_restored_after_term_of_locald(self):
        terminal = self.run_on_terminal("sh", "-c", "trap 'exit 8' TERM; echo ready; while :; do sleep 0.1; done")
        terminal.read_until(b"ready")
        time.sleep(0.2)
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.wait(), 8)
        self.assertTrue(terminal.is_as_before())

    def test_a_lot_of_output_comes_whole(self):
        terminal = self.run_on_terminal("seq", "1", "20000")
        self.assertEqual(terminal.wait(60), 0)
        self.assertEqual(terminal.shown().split(), [str(number).encode() for number in range(1, 20001)])

    def test_an_error_before_the_start_leaves_the_terminal_alone(self):
        terminal = self.run_on_terminal("no-such-command")
        self.assertEqual(terminal.wait(), 127)
        self.assertTrue(terminal.is_as_before())

    def test_t_without_a_terminal_still_gives_the_container_one(self):
        done = self.who.container("-t", images.image(), "sh", "-c", "test -t 1 && echo terminal")
        self.assertEqual((done.code, done.text.strip()), (0, "terminal"), done)
