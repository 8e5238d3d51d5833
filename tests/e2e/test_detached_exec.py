"""`container exec`: one more program in a container that runs."""

import signal
import time

from tests.e2e.detached import Detached
from tests.e2e.support import for_each, reap


@for_each("root", "user")
class Exec(Detached):
    def begin(self, *options):
        return self.script("trap 'exit 0' TERM; while :; do sleep 0.05; done", *options)

    def test_it_is_in_the_container(self):
        name = self.begin("--hostname", "inside")
        self.assert_prints(self.verb("exec", name, "hostname"), "inside\n")
        self.assertIn("while :", self.verb("exec", name, "cat", "/proc/1/cmdline").text)

    def test_streams_and_status_pass_through(self):
        name = self.begin()
        done = self.verb("exec", "-i", name, "sh", "-c", "cat; echo error >&2; exit 23", input=b"typed\n")
        self.assertEqual((done.code, done.text, done.own_errors), (23, "typed\n", "error\n"), done)
        self.assert_prints(self.verb("exec", name, "cat", input=b"not given"), "")

    def test_exit_codes_are_dockers(self):
        name = self.begin()
        self.assert_error(self.verb("exec", name, "no-such-program"), 127, "no-such-program")
        self.assert_error(self.verb("exec", name, "/etc/passwd"), 126, "/etc/passwd")
        self.assertEqual(self.verb("exec", name, "sh", "-c", "kill -9 $$").code, 137)
        self.assert_error(self.verb("exec", "nobody", "true"), 125, "no such container")
        self.verb("stop", name)
        self.assert_error(self.verb("exec", name, "true"), 125, "not running")

    def test_environment_directory_and_user(self):
        name = self.begin("-e", "A=1", "-e", "B=2", "-w", "/srv")
        script = "echo $A $B $C; pwd; id -u; id -g; echo $HOME"
        self.assert_prints(self.verb("exec", name, "sh", "-c", script), "1 2\n/srv\n0\n0\n/root\n")
        done = self.verb("exec", "-e", "B=3", "-e", "C=4", "-w", "/tmp", "-u", "app", name, "sh", "-c", script)
        self.assert_prints(done, "1 3 4\n/tmp\n1000\n1001\n/home/app\n")
        self.assert_prints(self.verb("exec", "-u", "1000:50", name, "sh", "-c", "id -u; id -g"), "1000\n50\n")
        self.assert_error(self.verb("exec", "-u", "stranger", name, "true"), 125, "stranger")

    def test_another_user_than_root_has_no_capabilities(self):
        name = self.begin()
        found = self.verb("exec", "-u", "app", name, "grep", "CapEff", "/proc/self/status").text.split()[1]
        self.assertEqual(int(found, 16), 0)
        self.assertNotEqual(int(self.verb("exec", name, "grep", "CapEff", "/proc/self/status").text.split()[1], 16), 0)

    def test_detached_it_goes_on(self):
        name = self.begin()
        self.assert_prints(self.verb("exec", "-d", name, "sh", "-c", "sleep 0.3; echo done > /tmp/done"), "")
        self.wait_for(lambda: self.verb("exec", name, "cat", "/tmp/done").text == "done\n", "file")
        self.assertEqual(self.verb("exec", "-d", name, "no-such-program").code, 127)
        time.sleep(0.3)
        reap()  # the tests are its parent now, and without them the container's first process cannot end

    def test_a_terminal(self):
        name = self.begin()
        terminal = self.on_terminal("exec", "-it", name, "sh")
        terminal.type(b"tty\r")
        terminal.read_until(b"/dev/pts/")
        self.assert_is_a_shell(terminal)
        self.assert_ends_by_exit(terminal, 3)

    def test_it_ends_with_its_container(self):
        name = self.begin()
        process = self.who.start("container", "exec", name, "sh", "-c", "echo ready; sleep 60")
        self.read_until(process.stdout, b"ready\n")
        self.verb("kill", name)
        self.assertEqual(self.finish(process).code, 137)
        self.assert_prints(self.verb("wait", name), "137\n")

    def test_signals_reach_it_and_not_the_container(self):
        name = self.begin()
        process = self.who.start("container", "exec", name, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
        self.read_until(process.stdout, b"ready\n")
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 9)
        self.assertEqual(self.state_of(name), "running")
