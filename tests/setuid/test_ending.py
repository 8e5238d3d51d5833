"""Who is refused can start nothing, and can still see and end what he runs: verbs that make no process ask root for nothing."""

import json
import re

from tests.setuid.support import User, traced, wait_until, world
from tests.setuid.test_files import FilesCase

NO_START = ("kill", "delete", "state", "list", "ps", "pause", "resume", "events", "update", "features", "spec", "start", "checkpoint",
            "--version", "--help", "no-such-verb")


class Ending(FilesCase):
    def refusals(self):
        """What root may have done to a user meanwhile, and what his starts are told."""
        first, _ = self.who.ranges()[0]
        return {
            "no policy that is understood": ({"/etc/locald/shim.conf": "nonsense\n"}, {}, "shim.conf, line 1"),
            "a policy that others may write": ({"/etc/locald/shim.conf": ""}, {"mode": 0o666}, "chmod go-w /etc/locald/shim.conf"),
            "taken out of the group": ({"/etc/locald/shim.conf": "group = shadow\n"}, {}, f"usermod -aG shadow {self.who.name}"),
            "a range outside of `ids`": ({"/etc/locald/shim.conf": f"ids = 1-{first}\n"}, {}, "root can widen `ids`"),
            "a range that is none": ({"/etc/subuid": f"{self.who.name}:0:1\n"}, {}, "/etc/subuid, line 1"),
        }

    def test_who_is_refused_can_end_what_he_runs_and_start_nothing(self):
        for what, (files, how, words) in self.refusals().items():
            with self.subTest(what):
                _, _, name = self.start(self.bundle("sleep", "100"))

                def shim(*argv):
                    return self.shim_with(files, *argv, **how)

                self.assert_refused(self.run_with(files, **how), words)
                done = shim("exec", name, "true")
                self.assert_refused(done, re.escape(words), code=1 if done.code == 1 else 255)
                bundle = self.bundle("true")
                self.assertNotEqual(shim("create", "--bundle", bundle.dir, self.new_id()).code, 0)
                self.assertIn(name, shim("list", "--quiet").text)
                self.assertEqual(json.loads(shim("state", name).text)["status"], "running")
                for verb in ("ps", "pause", "resume"):
                    done = shim(verb, name)
                    self.assertEqual((done.code, done.own_errors), (0, ""), done)
                self.assertEqual(shim("kill", name, "KILL").code, 0)
                # In the foreground its own shim takes the state away.
                self.assertTrue(wait_until(lambda: name not in shim("list", "--quiet").text))
                self.assertEqual(shim("delete", "--force", name).code, 0)

    def test_what_he_has_created_can_be_deleted(self):
        files, name = {"/etc/locald/shim.conf": "group = shadow\n"}, self.new_id()
        self.assertEqual(self.who.shim("create", "--bundle", self.bundle("sleep", "100").dir, name).code, 0)
        self.addCleanup(self.who.shim, "delete", "--force", name)
        self.assertEqual(self.shim_with(files, "delete", "--force", name).code, 0)
        self.assertEqual(self.who.shim("list", "--quiet").text, "")

    def test_nothing_of_roots_is_asked_for_where_nothing_starts(self):
        """Neither his files are read nor a place is made before root is gone."""
        stranger = User()
        self.addCleanup(stranger.remove)
        for verb in NO_START:
            with self.subTest(verb):
                log = stranger.write("trace", "")
                traced(stranger, ["-o", log], world().shim, verb, "one")
                calls = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
                dropped = max(i for i, call in enumerate(calls) if re.match(r"setresuid\(-1, 0, -1\)\s+= -1 EPERM", call))
                for call in calls[:dropped]:
                    self.assertNotRegex(call, r"^(mkdirat|fchownat|openat2|write|clone3?|flock|utimensat)\(", call)
                self.assertFalse(stranger.state.exists())
