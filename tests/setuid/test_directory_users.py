"""An account that only a directory service knows, by a real module of NSS (libnss-extrausers): `locald` asks NSS, the shim never does."""

import os

from tests.setuid.test_discovery import InstalledCase
from tests.setuid.test_doctor import Somebody
from tests.setuid.test_setup import load_tests  # noqa: F401  (unittest's)

MODULE = "/usr/lib/libnss_extrausers.so.2"
NAME = "somebody@example.org"
DIRECTORY = (f"mount -t tmpfs -o mode=755 extra /var/lib/extrausers; echo '{NAME}:x:1234567:1234567::/nowhere:/bin/sh' >/var/lib/extrausers/passwd; "
             "sed -i 's/^passwd:.*/passwd: files extrausers/' /etc/nsswitch.conf; id -un 1234567 >&2")
LINES = "for file in subuid subgid; do echo %s:700000000:65536 >>/etc/$file; done"


class DirectoryUsers(InstalledCase):
    def setUp(self):
        super().setUp()
        if not os.path.exists(MODULE):
            self.skipTest(f"{MODULE} is missing: sudo apt-get install libnss-extrausers")
        self.who = Somebody(self.who)
        self.before = f"{DIRECTORY}; chown -R 1234567 {self.home}"

    def ids(self, lines):
        """The finding on his ranges."""
        done = self.as_user("doctor", before=f"{self.before}; {lines}")
        self.assertIn(NAME, done.errors, "NSS knows him")
        text = done.text[done.text.index("ids.directory"):]
        return text[:text.index("ok ")]

    def test_doctor_knows_his_name_and_says_that_a_line_of_it_is_not_his(self):
        text = self.ids(LINES % NAME)
        self.assertIn(f"lines of /etc/subuid with the name {NAME} are not his", text)
        self.assertIn("1234567:700000000:65536", text)
        self.assertIn("sudo locald admin setup --write-subids", self.ids("true"))

    def test_setup_writes_lines_by_number_and_his_containers_have_them(self):
        done = self.host(f"{DIRECTORY}; $L admin setup --prefix $P --write-subids; tail -n 1 /etc/subuid >$P/line",
                         variables={"SUDO_USER": NAME, "SUDO_UID": "1234567"})
        self.assertEqual(done.code, 0, done)
        user, first, count = (self.prefix / "line").read_text().strip().split(":")
        self.assertEqual((user, count), ("1234567", "65536"))
        lines = f"for file in subuid subgid; do echo 1234567:{first}:{count} >>/etc/$file; done"
        done = self.as_user("container", "run", "--rm", "locald/hello", before=f"{self.before}; {lines}")
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"1 to {count} are {first} to {int(first) + int(count) - 1} outside", done.text)
