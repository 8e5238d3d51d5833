"""What `locald admin` says of /etc/locald/shim.conf, which it never writes."""

import json

from tests.setuid.test_setup import SetupCase, load_tests  # noqa: F401  (unittest's)


class Policy(SetupCase):
    def conf(self, text):
        return f"mkdir -p /etc/locald; printf '{text}' >/etc/locald/shim.conf; chmod 644 /etc/locald/shim.conf"

    def status(self, before):
        done = self.host("$L admin status --json --prefix $P", before=before)
        found = {item["id"]: item for item in json.loads(done.text)["items"]}
        return done.code, found["shim.policy"]["state"], found["shim.policy"]["what"]

    def test_setup_says_which_one_holds_and_writes_none(self):
        text = self.assert_ok(self.setup("; ls /etc/locald 2>/dev/null || true", before="rm -rf /etc/locald"))
        self.assertRegex(text, "note +shim.policy: .*1024 containers, .*the defaults: there is no /etc/locald/shim.conf")
        self.assertNotIn("\nshim.conf", text)
        self.assertRegex(self.assert_ok(self.setup(before=self.conf("containers = 7\\n"))), "of one user together: 7 containers")
        # It installs beside a policy that refuses everybody, and says so.
        self.assertRegex(self.assert_ok((done := self.setup(before=self.conf("containers\\n")))), "wrong +shim.policy: every start of ordinary users is refused: .*line 1: expected KEY = VALUE")
        self.assertNotIn("All is as it should be", done.text)
        for words in ("", "--dry-run"):
            done = self.host(f"$L admin setup --prefix $P >/dev/null; $L admin setup --prefix $P {words}", before=self.conf("containers\\n"))
            self.assertTrue(self.assert_ok(done).endswith("What is marked `wrong` is not setup's to change: root has to see to it by hand.\n"), done)

    def test_status_shows_it_and_a_fault_in_it_is_an_error(self):
        self.assert_ok(self.setup())
        _, state, what = self.status(self.conf("group = shadow\\nmemory = 1536M\\n"))
        self.assertEqual(state, "good")
        self.assertRegex(what, "only members of the group shadow .*1536M of memory")
        self.assertRegex(self.status(self.conf("group = 4000000\\n"))[2], "group 4000000, a number that no line of /etc/group has, may start")
        for text, more, words in (("group = no-such-group\\n", "", "line 1: .*group"), ("pids = 9\\n", "; chmod 666 /etc/locald/shim.conf", "regular file of root's"),
                                  ("", "; chmod 777 /etc/locald", "directory of root's alone.*chmod go-w /etc/locald"),
                                  ("", "; rm /etc/locald/shim.conf; chown 1000 /etc/locald", "directory of root's alone.*chown root /etc/locald"),
                                  ("pids = 9\\n", "; cd /etc/locald; mv shim.conf x; ln -s x shim.conf; cd /", "is no regular file"),
                                  ("pids = 9\\n", "; cd /etc; mv locald x; ln -s x locald; cd /", "directory of root's alone, and no link")):
            with self.subTest(text):
                code, state, what = self.status(self.conf(text) + more)
                self.assertEqual((code, state), (1, "wrong"), what)
                self.assertRegex(what, words)
