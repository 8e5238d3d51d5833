"""SELinux enforcing, by Debian's policy, in which people's sessions are unconfined_t. The machine is booted with it, so no test_*.py:
tests.guest.run names the class."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.guest.support import HERE, USER, WORK, GuestCase, config, read, run

BASE = Path("/usr/local/libexec/locald")
INSTALLED = BASE / "locald-shim"


def label(path):
    return run(["stat", "-c", "%C", path]).stdout.strip()


class Enforcing(GuestCase):
    def setUp(self):
        super().setUp()
        self.assertEqual(read(Path("/sys/fs/selinux/enforce")), "1")
        self.addCleanup(run, [HERE / "locald", "admin", "remove"])

    def as_user(self, *argv):
        return run(["runuser", "-u", USER, "--", "env", f"HOME=/home/{USER}", *argv])

    def ok(self, done):
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def test_setup_gives_the_label_of_the_place_and_its_users_have_containers(self):
        # What is written takes the label of its directory, and this one has a label that no user may execute.
        BASE.mkdir(parents=True)
        self.ok(run(["chcon", "-t", "shadow_t", BASE]))
        text = self.ok(run([HERE / "locald", "admin", "setup"]))
        self.assertIn("has given the installed shim the label of its place", text)
        expected = run(["matchpathcon", "-n", INSTALLED]).stdout.strip()
        self.assertEqual({label(path) for path in (BASE, INSTALLED, *BASE.glob("*/locald-shim"))}, {expected})
        self.assertEqual(self.as_user("id", "-Z").stdout.split(":")[2], "unconfined_t")
        done = self.as_user(HERE / "locald", "container", "run", "--rm", "--memory", "64m", "locald/hello", "exit", "7")
        self.assertEqual(done.returncode, 7, done)
        self.assertIn("SELinux is enforcing", self.ok(self.as_user(HERE / "locald", "doctor")))
        self.exec_and_delete()

    def exec_and_delete(self):
        name = self.new_id()
        place = WORK / name
        place.mkdir()
        self.addCleanup(shutil.rmtree, place)
        spec = config("sleep 1000")
        spec["linux"]["namespaces"].append({"type": "user"})
        (place / "config.json").write_text(json.dumps(spec))
        # The container keeps what it is given as output.
        made = subprocess.run(["runuser", "-u", USER, "--", INSTALLED, "create", "--bundle", place, name], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(made.returncode, 0)
        self.ok(self.as_user(INSTALLED, "start", name))
        self.assertEqual(self.ok(self.as_user(INSTALLED, "exec", name, "id", "-u")), "0\n")
        self.ok(self.as_user(INSTALLED, "delete", "--force", name))


# What a loader of tests takes for tests.
del GuestCase
