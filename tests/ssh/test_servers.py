"""Servers that are set up in other ways, and another kind of server: all of it works, or one clear error says what is lacking."""

import os

os.environ["LOCALD_E2E_OVER"] = "ssh"  # before the world is made, which has a server then

# pylint: disable=wrong-import-position
import hashlib
import itertools
import shutil
import socket
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import IS_ROOT, ContainerCase, require, world
from tests.ssh.server import Server, free_port, make_key

#: Bytes through a container in both directions.
BULK = 6 << 20

_count = itertools.count()


class Servers(ContainerCase):
    kind = "user"

    def serve(self, *lines, host_key="ed25519"):
        """A server of this test's alone, to which `self.there` commands go."""
        server = Server(world().dir / f"server-{next(_count)}", *lines, host_key=host_key)
        self.addCleanup(server.remove)
        self.server, self.known = server, self.who.write(f"known-{server.port}", server.known_line)
        self.key = self.new_key(f"key-{server.port}")
        server.authorize(self.who.name, self.key, self.who.session)

    def new_key(self, name, kind="ed25519"):
        key = make_key(self.who.home / name, kind)
        for path in (key, Path(f"{key}.pub")):
            os.chown(path, self.who.uid, self.who.gid)
        return key

    @property
    def there(self):
        return {"LOCALD_HOST": f"{self.server.url(self.who.name)}?known-hosts={self.known}&identity={self.key}", "LOCALD_HOLDER": "no"}

    def bulk(self, **kwargs):
        data = os.urandom(1 << 20) * (BULK >> 20)
        done = self.assert_ok(self.who.container("--quiet", "-i", images.image(), "cat", input=data, env=self.there, timeout=120, **kwargs))
        self.assertEqual(hashlib.sha256(done.out).hexdigest(), hashlib.sha256(data).hexdigest())

    def ends_with(self, code):
        done = self.who.container("--quiet", "locald/hello", "exit", code, env=self.there)
        self.assertEqual(done.code, code, done)

    def test_keys_are_made_anew_in_the_middle(self):
        self.serve("RekeyLimit 64K", "LogLevel DEBUG1")
        self.bulk()
        self.assertGreater(self.server.log.read_text().count("SSH2_MSG_NEWKEYS received"), 20)
        self.ends_with(7)

    def test_one_session_a_connection_is_enough(self):
        self.serve("MaxSessions 1")
        self.ends_with(7)
        with ThreadPoolExecutor(4) as pool:
            self.assertEqual(list(pool.map(lambda code: self.who.container("--quiet", "locald/hello", "exit", code, env=self.there).code,
                                           range(4))), list(range(4)))

    def test_host_keys_of_other_kinds(self):
        self.serve(host_key="ecdsa")
        self.ends_with(7)
        self.serve(host_key="rsa")
        done = self.who.locald("image", "ls", env=self.there)
        if done.code != 0:
            self.assert_error(done, 125, "127.0.0.1", "libssh2 1.10", "no RSA with SHA-2", "ed25519")

    def test_a_server_that_has_another_kind_of_key_now_is_told_by_it(self):
        """As after an installation that made other keys: it is the key that is wrong, not the way to agree on one."""
        self.serve(host_key="ecdsa")
        other = make_key(self.server.dir / "other")
        known = Path(f"{other}.pub").read_text().split()[1]
        self.known.write_text(f"[127.0.0.1]:{self.server.port} ssh-ed25519 {known}\n")
        self.assert_error(self.who.locald("image", "ls", env=self.there), 125, "host key", "ecdsa-sha2-nistp256 SHA256:")

    def test_a_banner_before_the_login_is_no_output(self):
        text = self.who.write("banner", "Only for those who may.\n" * 50 + "\x1b[31m")
        self.serve(f"Banner {text}", "VersionAddendum of_the_tests", "PrintMotd yes", "PrintLastLog yes")
        done = self.assert_ok(self.who.container("--quiet", "locald/hello", "exit", "0", env=self.there))
        self.assertEqual((done.out, done.err), (b"", b""))

    def test_nothing_in_common_is_named(self):
        for line, word in (("Ciphers chacha20-poly1305@openssh.com", "cipher"), ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "key")):
            with self.subTest(line):
                self.serve(line)
                self.assert_error(self.who.locald("image", "ls", env=self.there), 125, "127.0.0.1", word)

    def test_macs_that_an_older_libssh2_lacks_work_or_are_named(self):
        self.serve("Ciphers aes256-ctr", "MACs hmac-sha2-256-etm@openssh.com")
        done = self.who.locald("image", "ls", env=self.there)
        if done.code != 0:
            self.assert_error(done, 125, "127.0.0.1", "libssh2 1.10", "MACs")

    def test_an_rsa_key_of_the_users_works_or_is_named(self):
        self.serve()
        self.key = self.new_key("rsa", "rsa")
        self.server.authorize(self.who.name, self.key, self.who.session)
        done = self.who.locald("image", "ls", env=self.there)
        if done.code != 0:
            self.assert_error(done, 125, "127.0.0.1", "is an RSA key", "libssh2 1.10", "ed25519")

    def test_a_server_that_lets_nobody_forward_runs_containers_all_the_same(self):
        self.serve("DisableForwarding yes", "PermitTTY no", "AllowAgentForwarding no")
        self.ends_with(7)

    def test_a_forced_command_is_named(self):
        self.serve("ForceCommand echo this machine is for backups")
        self.assert_error(self.who.locald("image", "ls", env=self.there), 125, "127.0.0.1", "start a shell|backups")

    def test_dropbear(self):
        require(IS_ROOT, "root to serve several users")
        require(os.access("/usr/sbin/dropbear", os.X_OK), "dropbear")
        base = world().dir / f"dropbear-{next(_count)}"
        base.mkdir()
        self.addCleanup(shutil.rmtree, base)
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", base / "key"], check=True, capture_output=True)
        public = subprocess.run(["dropbearkey", "-y", "-f", base / "key"], check=True, capture_output=True, text=True).stdout
        blob = next(line for line in public.splitlines() if line.startswith("ssh-ed25519 ")).split()[1]
        port = free_port()
        # It has no environment of a key's own: XDG_DATA_HOME and the like are what is usual below the home that passwd names.
        home = Path(subprocess.run(["getent", "passwd", self.who.name], check=True, capture_output=True, text=True).stdout.split(":")[5])
        made = not home.exists()
        home.mkdir(exist_ok=True)
        (home / ".ssh").mkdir(exist_ok=True)
        key = self.new_key("key-dropbear")
        shutil.copy(f"{key}.pub", home / ".ssh/authorized_keys")
        for path in (home, *home.rglob("*")):
            os.chown(path, self.who.uid, self.who.gid)
        if made:
            self.addCleanup(shutil.rmtree, home, True)
        server = subprocess.Popen(["dropbear", "-F", "-E", "-s", "-p", f"127.0.0.1:{port}", "-r", base / "key", "-P", base / "pid"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(lambda: (server.kill(), server.wait()))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            time.sleep(0.05)
        known = self.who.write("known-dropbear", f"[127.0.0.1]:{port} ssh-ed25519 {blob}\n")
        env = {"LOCALD_HOST": f"ssh://{self.who.name}@127.0.0.1:{port}?known-hosts={known}&identity={key}", "LOCALD_HOLDER": "no"}
        data = os.urandom(1 << 20)
        done = self.assert_ok(self.who.container("--quiet", "-i", images.image(), "cat", input=data, env=env))
        self.assertEqual(done.out, data)
        self.assertEqual(self.who.container("--quiet", "locald/hello", "exit", "7", env=env).code, 7)


if __name__ == "__main__":
    unittest.main()
