"""`container attach`: somebody takes part in a container in the background, and leaves it again."""

import signal
import time

from tests.e2e import images
from tests.e2e.detached import Detached
from tests.e2e.support import for_each


@for_each("root", "user")
class Attach(Detached):
    ECHO = "while read line; do echo \"<$line>\"; [ \"$line\" = end ] && exit 5; done; exit 6"

    def attach(self, name, *options, **kwargs):
        process = self.who.start("container", "attach", *options, name, **kwargs)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_output_from_now_on_and_the_status(self):
        name = self.script("echo before; sleep 1; echo out; echo err >&2; exit 7")
        time.sleep(0.3)
        done = self.finish(self.attach(name))
        self.assertEqual((done.code, done.text, done.own_errors), (7, "out\n", "err\n"), done)

    def test_input_of_one_with_open_stdin(self):
        name = self.script(self.ECHO, "-i")
        process = self.attach(name, stdin=-1)
        process.stdin.write(b"word\n")
        process.stdin.flush()
        self.read_until(process.stdout, b"<word>\n")
        process.stdin.close()
        process.stdin = None
        self.wait_for(lambda: self.state_of(name) == "running", "the container to go on")
        second = self.attach(name, stdin=-1)
        second.stdin.write(b"end\n")
        second.stdin.flush()
        self.assertEqual(self.finish(process).code, 5)
        self.assertEqual(self.finish(second).code, 5)

    def test_two_at_once_see_the_same(self):
        name = self.script("sleep 1; seq 1 20000; exit 3")
        both = [self.attach(name), self.attach(name)]
        expected = "".join(f"{number}\n" for number in range(1, 20001))
        for process in both:
            done = self.finish(process)
            self.assertEqual((done.code, done.text), (3, expected))

    def test_signals_are_handed_on_or_not(self):
        name = self.script("trap 'exit 8' TERM; while :; do echo x; sleep 0.05; done")
        other = self.attach(name, "--sig-proxy=false")
        self.read_until(other.stdout, b"x\n")
        other.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(other).code, 143)
        self.assertEqual(self.state_of(name), "running")
        process = self.attach(name)
        self.read_until(process.stdout, b"x\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 8)

    def test_kill_9_of_one_who_is_attached_leaves_the_container_alone(self):
        name = self.script("while :; do echo x; sleep 0.05; done")
        process = self.attach(name)
        self.read_until(process.stdout, b"x\n")
        process.kill()
        process.communicate()
        time.sleep(0.3)
        self.assertEqual(self.state_of(name), "running")
        again = self.attach(name)
        self.read_until(again.stdout, b"x\n")
        again.kill()
        again.communicate()

    def test_one_who_does_not_read_stops_nobody(self):
        name = self.script("sleep 0.5; seq 1 300000; exit 4")
        self.attach(name)
        self.assert_prints(self.verb("wait", name), "4\n")

    def test_a_terminal_and_the_detach_keys(self):
        name = self.detach("sh", options=("-it",))
        terminal = self.on_terminal("attach", name)
        self.assert_is_a_shell(terminal)
        terminal.type(b"\x10\x11")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_as_before())
        self.assertEqual(self.state_of(name), "running")
        self.assert_ends_by_exit(self.on_terminal("attach", "--detach-keys", "x,ctrl-y", name), 3)
        self.assert_prints(self.verb("wait", name), "3\n")

    def test_keys_that_are_none_are_refused(self):
        name = self.detach("sh", options=("-it",))
        self.assert_error(self.verb("attach", "--no-stdin", "--detach-keys", "ctrl-?", name), 125, "--detach-keys", "ctrl-p")

    def test_what_does_not_run_is_refused(self):
        name = self.script("true")
        self.verb("wait", name)
        self.assert_error(self.verb("attach", name), 125, "not running")
        self.assert_error(self.verb("attach", "nobody"), 125, "no such container")

    def test_the_keeper_killed_is_an_error_and_never_0(self):
        name = self.script("echo x; sleep 60")
        process = self.attach(name)
        time.sleep(0.5)
        self.kill_keeper()
        self.assertEqual(self.finish(process).code, 125)
        self.assertEqual(self.verb("run", "--rm", images.image(), "true").code, 0)
