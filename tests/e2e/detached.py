"""What the tests of detached containers share."""

import json
import os
import signal

from tests.e2e import images
from tests.e2e.support import descendants
from tests.e2e.test_terminal import Terminal


class Detached:
    """A test's part that starts containers in the background and removes what it did not remove itself."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_all)

    def remove_all(self):
        for one in self.listed("-a"):
            if one["Detached"]:
                self.who.locald("container", "rm", "-f", one["ID"])

    def detach(self, *words, options=(), **kwargs):
        """The id of a container with a shell's script, or other words, in the background."""
        done = self.assert_ok(self.who.locald("container", "run", "-d", *options, images.image(), *words, **kwargs))
        return done.text.strip()

    def script(self, text, *options):
        return self.detach("sh", "-c", text, options=options)

    def verb(self, *words, **kwargs):
        return self.who.locald("container", *words, **kwargs)

    def on_terminal(self, *words):
        """A verb with a terminal of its own."""
        terminal = Terminal(self.who, ["container", *words])
        self.addCleanup(terminal.close)
        return terminal

    def assert_is_a_shell(self, terminal):
        """It knows the size of our terminal, and runs what is typed."""
        terminal.type(b"stty size; echo $((6 * 7))\r")
        terminal.read_until(b"33 101\r\n")
        terminal.read_until(b"42")

    def assert_ends_by_exit(self, terminal, code):
        terminal.type(f"exit {code}\r".encode())
        self.assertEqual(terminal.wait(), code)
        self.assertTrue(terminal.is_as_before())

    def listed(self, *options):
        done = self.assert_ok(self.verb("ls", "--format", "json", *options))
        return [json.loads(line) for line in done.text.splitlines()]

    def state_of(self, name):
        found = [one for one in self.listed("-a") if one["ID"] == name]
        return found[0]["State"] if found else None

    def keepers(self):
        return [pid for pid, line in descendants().items() if " keeper " in line and "locald" in line.split(" ")[0]]

    def payloads(self, mark):
        return [pid for pid, line in descendants().items() if line.startswith(mark)]

    def kill_keeper(self):
        for pid in self.keepers():
            os.kill(pid, signal.SIGKILL)
