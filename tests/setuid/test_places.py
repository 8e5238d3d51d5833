"""A user's containers are found wherever his shim kept them: with the setuid bit, without it, and as root who has to end them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.setuid.support import SAFE_PATH, Bundle, Done, SetuidCase, User, wait_until, world


class PlacesCase(SetuidCase):
    def setUp(self):
        super().setUp()
        self.newcomer = User()
        self.addCleanup(self.newcomer.remove)
        self.before = Path(f"/tmp/locald-{self.newcomer.uid}")
        self.addCleanup(shutil.rmtree, self.before, ignore_errors=True)
        self.plain = world().install("locald-shim", "plain-shim", mode=0o755)

    def detached(self, name, shim=None, **changes):
        bundle = Bundle(self.newcomer, "sleep", "100", **changes)
        if shim:  # its starts make no maps
            bundle.config["linux"].update(uidMappings=[{"containerID": 0, "hostID": self.newcomer.uid, "size": 1}],
                                          gidMappings=[{"containerID": 0, "hostID": self.newcomer.gid, "size": 1}])
            bundle.write()
        done = self.newcomer.shim("run", "--detach", "--bundle", bundle.dir, name, shim=shim)
        self.assertEqual(done.code, 0, done)
        self.addCleanup(self.newcomer.shim, "delete", "--force", name)
        return bundle

    def status(self, name, **kwargs):
        return json.loads(self.newcomer.shim("state", name, **kwargs).text)["status"]


class Places(PlacesCase):
    def test_what_ran_before_the_first_setuid_start_is_still_there(self):
        self.detached("old", shim=self.plain)
        self.assertTrue(self.before.is_dir())
        self.detached("new")
        for shim in (None, self.plain):
            self.assertEqual(self.newcomer.shim("list", "--quiet", shim=shim).text.split(), ["new", "old"])
            self.assertEqual([self.status(name, shim=shim) for name in ("old", "new")], ["running"] * 2)
        done = self.newcomer.shim("run", "--bundle", Bundle(self.newcomer, "true").dir, "old")
        self.assert_refused(done, "container with given ID already exists; it was made with another state directory", code=1)
        self.assertEqual(self.newcomer.shim("exec", "old", "true").code, 0)
        self.assertEqual(self.newcomer.shim("kill", "old", "KILL").code, 0)
        self.assertTrue(wait_until(lambda: self.status("old") == "stopped"))
        self.assertEqual(self.newcomer.shim("delete", "old").code, 0)
        self.assertEqual(self.newcomer.shim("list", "--quiet").text.split(), ["new"])

    def test_a_place_that_another_made_hides_and_shows_nothing(self):
        self.detached("new")
        self.before.mkdir(mode=0o777)
        (self.before / "forged").mkdir()
        os.chown(self.before, self.who.uid, self.who.gid)
        done = self.newcomer.shim("list", "--quiet")
        self.assertEqual((done.code, done.text.split()), (0, ["new"]), done)
        self.assert_refused(self.newcomer.shim("state", "forged"), "does not exist", code=1)

    def test_help_says_which_place_is_whose(self):
        self.assertIn(f"For you: {self.before})", self.newcomer.shim("--help").text)
        self.detached("new")
        self.assertIn(f"For you: {self.newcomer.state})", self.newcomer.shim("--help").text)


class ByRoot(PlacesCase):
    """Root sees and ends what a user runs, with that user's rights."""

    def root(self, *words, state=None):
        done = subprocess.run([world().shim, "--root", state or self.newcomer.state, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=30, check=False, env={"PATH": SAFE_PATH}, cwd="/")
        return Done(words, done.returncode, done.stdout, done.stderr)

    def test_root_ends_what_a_user_runs(self):
        self.detached("box")
        listed = json.loads(self.root("list", "--format", "json").text)
        self.assertEqual([(box["id"], box["status"], box["owner"]) for box in listed], [("box", "running", self.newcomer.name)])
        self.assertEqual(self.root("kill", "box", "KILL", state=f"{self.newcomer.state}/").code, 0)
        self.assertTrue(wait_until(lambda: json.loads(self.root("state", "box").text)["status"] == "stopped"))
        done = self.root("delete", "box")
        self.assertEqual((done.code, done.errors), (0, ""), done)
        self.assertEqual(self.root("list", "--quiet").text, "")
        self.detached("box")
        done = self.root("delete", "--force", "box")
        self.assertEqual((done.code, done.errors), (0, ""), done)
        self.assertEqual([*self.newcomer.state.glob("*")], [])

    def forge(self, name, pid):
        """A state of the user's that names a process of somebody else's."""
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            started = int(file.read().rsplit(")", 1)[1].split()[19])
        record = json.loads((self.newcomer.state / "box/state.json").read_text())
        text = json.dumps({**record, "id": name, "pid": pid, **{key: started for key in record if "tart" in key and "Time" in key}})
        (self.newcomer.state / name).mkdir(mode=0o700)
        (self.newcomer.state / name / "state.json").write_text(text)
        for path in (self.newcomer.state / name, self.newcomer.state / name / "state.json"):
            os.chown(path, self.newcomer.uid, self.newcomer.gid)

    def test_a_forged_state_makes_root_end_nothing_of_others(self):
        self.detached("box")
        victim = subprocess.Popen(["sleep", "100"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.forge("forged", victim.pid)
        for words in (("kill", "forged", "KILL"), ("delete", "--force", "forged")):
            done = self.root(*words)
            self.assertNotEqual(done.code, 0, done)
            self.assertIn("Operation not permitted", done.errors, done)
        self.assertIsNone(victim.poll())

    def test_his_hooks_are_not_run_by_root(self):
        mark = self.newcomer.home / "mark"
        hook = self.newcomer.write("hook", f"#!/bin/sh\necho ran >>{mark}\n", mode=0o755)
        self.detached("box", hooks={"poststop": [{"path": str(hook)}]})
        done = self.root("delete", "--force", "box")
        self.assertEqual(done.code, 0, done)
        self.assertIn("its poststop hooks are not run", done.errors)
        self.assertFalse(mark.exists())

    def test_what_cannot_be_read_is_not_called_stopped(self):
        self.detached("box", shim=self.plain)
        done = self.root("list", state=self.before)
        self.assertRegex(done.text, r"box +0 +unknown", done)
        self.assertIn("not ours alone", done.errors)
