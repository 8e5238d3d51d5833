"""A user's containers are found wherever his shim kept them: with the setuid bit, without it, and as root who has to end them."""

import json
import os
import shutil
from pathlib import Path

from tests.setuid.support import Bundle, SetuidCase, User, wait_until, world


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
