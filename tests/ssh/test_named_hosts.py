"""Hosts that have names: the words that make, choose and remove one, and what of them counts when a connection is made."""

import json
import os
import re
import shutil
import stat
import subprocess
import unittest

from tests.e2e.support import IS_ROOT, ContainerCase
from tests.ssh.server import Server, make_key


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class NamedHosts(ContainerCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.config = self.who.directory("config")
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.addCleanup(shutil.rmtree, self.config)
        self.addCleanup(self.end)
        self.url = self.server.url(self.who.name)

    def end(self):
        self.locald("host", "disconnect")
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)

    @property
    def file(self):
        return self.config / "locald/hosts.json"

    def locald(self, *words, **env):
        return self.who.locald(*words, env={"XDG_CONFIG_HOME": self.config, "LOCALD_HOST": None, **env})

    def add(self, *words):
        return self.assert_ok(self.locald("host", "add", *words))

    def logins(self):
        return self.server.log.read_text().count("Accepted publickey")

    @property
    def fingerprint(self):
        done = subprocess.run(["ssh-keygen", "-l", "-f", self.server.host_key], check=True, capture_output=True, text=True)
        return re.escape(done.stdout.split()[1])

    def went_there(self, *flags, **env):
        before = self.logins()
        done = self.locald(*flags, "--quiet", "container", "run", "locald/hello", "exit", "7", LOCALD_HOLDER="no", **env)
        self.assertEqual(done.code, 7, done)
        return self.logins() > before

    def test_the_flag_comes_before_the_variable_and_that_before_the_one_in_use(self):
        self.add("box", self.url)
        self.assertFalse(self.went_there())
        self.assertTrue(self.went_there("--host", "box"))
        self.assertTrue(self.went_there(LOCALD_HOST="box"))
        self.assertFalse(self.went_there("--host", "local", LOCALD_HOST="box"))
        self.assert_ok(self.locald("host", "use", "box"))
        self.assertTrue(self.went_there())
        self.assertFalse(self.went_there(LOCALD_HOST="local"))
        self.assertFalse(self.went_there("--host", "local"))
        self.assert_ok(self.locald("host", "use", "local"))
        self.assertFalse(self.went_there())

    def test_it_is_listed_with_its_connection_and_a_star_when_in_use(self):
        self.add("box", self.url, "--use")
        self.add("other", "ssh://nobody@other.example")
        self.assertEqual(self.locald("--quiet", "container", "run", "locald/hello", "exit", "7").code, 7)
        lines = [line.split() for line in self.locald("host", "ls").text.splitlines()]
        self.assertEqual(lines[0], ["NAME", "HOST", "PID", "COMMANDS"])
        self.assertEqual(lines[1][:3], ["box", "*", self.url])
        self.assertTrue(lines[1][3].isdigit(), lines)
        self.assertEqual(lines[2], ["other", "ssh://nobody@other.example", "-", "-"])
        shown = json.loads(self.locald("host", "show", "box").text)
        self.assertEqual(shown["hosts"], {"box": {"url": self.url}})
        done = self.assert_ok(self.locald("host", "disconnect", "box"))
        self.assertEqual(done.text.strip(), self.url)

    def test_names_that_there_are_not_are_errors_that_list_the_others(self):
        self.add("box", self.url)
        for words in (["--host", "bix", "image", "ls"], ["host", "use", "bix"], ["host", "rm", "bix"], ["host", "show", "bix"]):
            self.assert_error(self.locald(*words), 125, '"bix"', "known are box", "locald host add bix")
        self.assert_error(self.locald("image", "ls", LOCALD_HOST="bix"), 125, '"bix"', "known are box")
        self.assert_error(self.locald("host", "add", "box", self.url), 125, "box", self.url, "--replace")
        self.assert_error(self.locald("host", "add", "local", self.url), 125, "this host")
        self.assert_error(self.locald("host", "add", "b", "me@h"), 125, "ssh://me@h")
        self.add("box", "ssh://other", "--replace", "--use")
        self.assert_error(self.locald("host", "rm", "box"), 125, "in use", "locald host use local")
        self.assert_ok(self.locald("host", "use", "local"))
        self.assert_ok(self.locald("host", "rm", "box"))
        self.assertEqual(json.loads(self.file.read_text())["hosts"], {})
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.file.parent)), ["hosts.json", "hosts.json.lock"])

    def test_a_broken_file_is_named_and_kept(self):
        self.add("box", self.url)
        self.file.write_text('{"version": 1,\n "hosts": {"box": {"url": 7}}}')
        for words in (["image", "ls"], ["host", "ls"], ["host", "add", "b", "ssh://b"], ["host", "use", "local"]):
            self.assert_error(self.locald(*words), 125, str(self.file), "hosts.box.url", "expected a text")
        self.file.write_text('{"version": 1,\n "hosts"')
        self.assert_error(self.locald("image", "ls"), 125, str(self.file), "line 2", "mend")
        self.assertEqual(self.file.read_text(), '{"version": 1,\n "hosts"')

    def test_a_key_of_its_own_is_used_alone(self):
        moved = self.who.home / "moved key"
        shutil.move(self.who.home / ".ssh/id_ed25519", moved)
        self.add("box", self.url, "--identity", "moved key")
        self.add("plain", self.url)
        self.assertTrue(self.went_there("--host", "box"))
        self.assert_error(self.locald("--host", "plain", "image", "ls"), 125, "authentication")
        self.assert_error(self.locald("host", "add", "b", self.url, "--identity", "none"), 125, "--identity", "none", "No such file")

    def test_a_fingerprint_takes_the_place_of_known_hosts(self):
        known = self.who.home / ".ssh/known_hosts"
        known.unlink()
        self.add("box", self.url)
        self.assert_error(self.locald("--host", "box", "image", "ls"), 125, "not known", f"--host-key {self.fingerprint}")
        self.add("box", self.url, "--replace", "--host-key", self.fingerprint.replace("\\", ""))
        self.assertTrue(self.went_there("--host", "box"))
        self.add("box", self.url, "--replace", "--host-key", (self.server.dir / "host_key.pub").read_text())
        self.assertTrue(self.went_there("--host", "box"))
        # A file of known hosts does not count any more, be it right or wrong.
        known.write_text(self.server.known_line)
        wrong = "SHA256:" + "A" * 43
        self.add("box", self.url, "--replace", "--host-key", wrong)
        self.assert_error(self.locald("--host", "box", "image", "ls"), 125, "host key", self.fingerprint, wrong, "--replace")

    def test_a_file_of_known_hosts_counts_alone(self):
        self.add("box", self.url, "--known-hosts", self.who.write("empty", ""))
        self.assert_error(self.locald("--host", "box", "image", "ls"), 125, "not known", str(self.who.home / "empty"))
        (self.who.home / ".ssh/known_hosts").unlink()
        self.add("box", self.url, "--replace", "--known-hosts", self.who.write("full", self.server.known_line))
        self.assertTrue(self.went_there("--host", "box"))

    def test_pinning_shows_the_key_that_is_believed_and_another_one_is_refused(self):
        (self.who.home / ".ssh/known_hosts").unlink()
        before = self.logins()
        done = self.add("box", self.url, "--pin")
        self.assertRegex(done.errors, f"ssh-ed25519 {self.fingerprint}")
        self.assertEqual(self.logins(), before, "nobody logs in to a server whose key nobody has looked at")
        self.assertEqual(json.loads(self.file.read_text())["hosts"]["box"]["hostKey"],
                         f"ssh-ed25519 {self.fingerprint}".replace("\\", ""))
        self.assertTrue(self.went_there("--host", "box"))
        self.server.stop()
        make_key(self.server.host_key)
        self.server.start()
        self.assert_error(self.locald("--host", "box", "image", "ls"), 125, "host key", self.fingerprint, "listening")
        self.server.stop()
        self.assert_error(self.locald("host", "add", "b", self.url, "--pin"), 125, "Connection refused")
        self.assertNotIn('"b"', self.file.read_text())


if __name__ == "__main__":
    unittest.main()
