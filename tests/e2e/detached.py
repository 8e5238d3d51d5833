"""What the tests of detached containers share."""

import json
import os
import signal

from tests.e2e import images
from tests.e2e.support import descendants


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
