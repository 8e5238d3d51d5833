"""version, doctor and help; and the shim's own words."""

import json

from tests.e2e.support import for_each, world


@for_each("root", "user", "plain")
class About:
    def test_version(self):
        done = self.assert_ok(self.who.locald("version"))
        self.assertRegex(done.text, r"\d+\.\d+\.\d+")
        self.assertEqual(done.errors, "")

    def test_version_as_json(self):
        found = json.loads(self.assert_ok(self.who.locald("version", "--json")).text)
        self.assertRegex(json.dumps(found), r"\d+\.\d+\.\d+")

    def test_the_shim_answers_the_handshake(self):
        done = self.assert_ok(self.who.run([world().shim, "--shim-version"]))
        self.assertRegex(done.text, r"^\d+\.\d+\.\d+\n$")

    def test_doctor_finds_a_usable_host(self):
        done = self.who.locald("doctor")
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.text, "(?i)kernel")

    def test_doctor_as_json(self):
        found = json.loads(self.assert_ok(self.who.locald("doctor", "--json")).text)
        self.assertGreaterEqual({check["id"] for check in found["checks"]}, {"kernel.version", "shim.version"})

    def test_doctor_tells_a_user_without_ranges_how_to_get_them(self):
        done = self.assert_ok(self.who.locald("doctor"))
        if self.kind == "plain":
            self.assertIn("subuid", done.text)

    def test_doctor_changes_nothing(self):
        before = sorted(str(path) for path in self.who.home.rglob("*"))
        self.assert_ok(self.who.locald("doctor"))
        self.assertEqual(sorted(str(path) for path in self.who.home.rglob("*")), before)

    def test_help_teaches_every_verb(self):
        for words in ((), ("container",), ("container", "run"), ("image",), ("bundle",), ("admin",), ("admin", "setup"), ("doctor",), ("version",)):
            with self.subTest(" ".join(words)):
                done = self.assert_ok(self.who.locald(*words, "--help"))
                self.assertGreater(len(done.text), 100)
                self.assertNotIn("storage-worker", done.text)

    def test_an_unknown_verb_is_125(self):
        done = self.who.locald("no-such-verb")
        self.assertEqual((done.code, done.out), (125, b""), done)
