"""How `locald admin` speaks: what status found, to whom, and how little when asked; and that it takes away only what it made."""

import json
import os

from tests.setuid.test_setup import SetupCase, load_tests  # noqa: F401  (unittest's)
from tests.setuid.test_setup_places import CgroupCase


class Words(SetupCase):
    def found(self, script=":"):
        done = self.host(f"$L admin setup --prefix $P >/dev/null; {script}; $L admin status --json --prefix $P")
        return {item["id"]: (item["state"], item["what"]) for item in json.loads(done.text)["items"]}

    def test_status_says_what_it_found(self):
        done = self.host("$L admin status --prefix $P")
        self.assertRegex(done.text, f"missing +shim.installed: {self.stable} is not there\n +sudo locald admin setup")
        self.assertRegex(done.text, "missing +run.states: /run/locald is no tmpfs of its own")
        for script, words in (("chmod 755 $P/libexec/locald/locald-shim", "belongs to 0:0 with mode 0755"),
                              ("rm $P/libexec/locald/locald-shim", "is not there"),
                              ("rm -r $P/libexec/locald/[0-9]*", "is another file than"),
                              ("mkdir $P/libexec/locald/0.0.1-abc; cp $L-shim $P/libexec/locald/0.0.1-abc/locald-shim",
                               "still has 0.0.1-abc/locald-shim of an older setup"),
                              ("echo >>$P/libexec/locald/locald-shim", "is of another build than")):
            with self.subTest(script):
                state, what = self.found(script)["shim.installed"]
                self.assertEqual(state, "missing")
                self.assertIn(words, what)

    def test_removing_says_what_is_removed(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin remove --prefix $P --dry-run; $L admin remove --prefix $P")
        self.assertIn(f"shim.installed: {self.stable} would be removed\n", self.assert_ok(done))
        self.assertIn(f"shim.installed: {self.stable} is removed\n", done.text)

    def test_quiet_says_nothing(self):
        done = self.host("$L --quiet admin setup --prefix $P; $L admin --quiet setup --prefix $P; $L admin setup --quiet --prefix $P;"
                         "$L admin remove --quiet --prefix $P")
        self.assertEqual(done.text, "", done)

    def test_a_dry_run_is_for_everybody(self):
        for verb, words in (("setup", "would +shim.installed"), ("remove", "good +shim.installed: .* is not there")):
            done = self.who.run([self.bin / "locald", "admin", verb, "--dry-run", "--prefix", self.prefix])
            self.assertEqual(done.code, 0, done)
            self.assertRegex(done.text, words)
        self.assertFalse(self.prefix.exists())
        self.assert_ok(self.setup("--group", "shadow"))
        done = self.who.run([self.bin / "locald", "admin", "setup", "--dry-run", "--prefix", self.prefix])
        self.assertEqual(done.code, 125, done)
        self.assertRegex(done.errors, "Permission denied; sudo locald admin setup --dry-run")

    def test_a_pipe_that_nobody_reads_ends_what_only_shows_and_no_work(self):
        # The reader is gone before the first word.
        done = self.host("{ sleep 0.2; $L admin status --prefix $P; } | true; { sleep 0.2; $L admin setup --prefix $P; echo $? >&2; } | true")
        self.assertEqual((done.text, done.errors), ("", "0\n"), done)
        self.assert_installed()

    def test_directories_that_setup_made_go_and_others_stay(self):
        done = self.host("$L admin setup >/dev/null; $L admin setup >/dev/null; ls /usr/local; $L admin remove >/dev/null; ls -A /usr/local; echo .;"
                         "mkdir /usr/local/libexec; $L admin setup >/dev/null; $L admin remove >/dev/null; ls -A /usr/local")
        self.assertEqual(self.assert_ok(done), "libexec\n.\nlibexec\n")
        self.assert_ok(self.setup())
        (self.prefix / "libexec/other").mkdir()
        self.assert_ok(self.host("$L admin remove --prefix $P"))
        self.assertEqual(os.listdir(self.prefix / "libexec"), ["other"])


class OthersCgroups(CgroupCase):
    """A tree that an administrator made and perhaps delegated is not setup's to remove."""

    def test_one_from_before_stays(self):
        os.makedirs(f"{self.root}/locald/user-4711")
        self.assert_ok(self.setup(variables={"CGROUPS": self.root}))
        done = self.host("$L admin remove --prefix $P", variables={"CGROUPS": self.root})
        self.assertIn("/sys/fs/cgroup/locald was not made by setup: it stays", self.assert_ok(done))
        self.assertTrue(os.path.exists(f"{self.root}/locald/user-4711"))

