"""Every stage of a connection has an error of its own, which says what to do."""

import shutil
import socket
import subprocess
import time
import unittest

from tests.e2e.support import IS_ROOT, ContainerCase
from tests.ssh.server import Server, free_port, make_key


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Stages(ContainerCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.server.admit(self.who.name, self.who.home, self.who.uid, self.who.gid)
        self.ssh = self.who.home / ".ssh"
        self.addCleanup(shutil.rmtree, self.ssh)

    def connect(self, port=None, **env):
        url = f"ssh://{self.who.name}@127.0.0.1:{port or self.server.port}"
        return self.who.locald("image", "ls", env={"LOCALD_HOST": url, "LOCALD_HOLDER": "no", **env})

    def test_nothing_listens(self):
        self.assert_error(self.connect(free_port()), 125, "Connection refused", "is sshd running")

    def test_what_listens_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            begin = time.monotonic()
            done = self.connect(listener.getsockname()[1], LOCALD_LEASE="3")
            self.assert_error(done, 125, "greeting", "takes connections there and says nothing", "is it an SSH server")
            self.assertLess(time.monotonic() - begin, 10)

    def test_what_listens_is_no_ssh_server(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = self.who.start("image", "ls", env={
                "LOCALD_HOST": f"ssh://{self.who.name}@127.0.0.1:{listener.getsockname()[1]}", "LOCALD_HOLDER": "no"})
            client, _ = listener.accept()
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()
            self.assert_error(self.finish(process), 125, "greeting", "no SSH server")

    def test_the_host_key_is_another(self):
        make_key(self.who.home / "sshd/other")
        known = (self.who.home / "sshd/other.pub").read_text().split()[:2]
        (self.ssh / "known_hosts").write_text(f"[127.0.0.1]:{self.server.port} {' '.join(known)}\n")
        self.assert_error(self.connect(), 125, "host key", "not the one that is known", "ssh-keygen -R")

    def test_the_server_refuses_the_key(self):
        make_key(self.ssh / "id_ed25519")
        subprocess.run(["chown", f"{self.who.uid}:{self.who.gid}", self.ssh / "id_ed25519"], check=True)
        self.assert_error(self.connect(), 125, f"authentication as {self.who.name}", "the server refused", "authorized_keys")

    def test_both_have_no_cipher_in_common(self):
        self.server.stop()
        with open(self.server.config, "a") as config:
            config.write("Ciphers chacha20-poly1305@openssh.com\n")
        self.server.start()
        self.assert_error(self.connect(), 125, "key exchange", "AES-CTR", "Ciphers and MACs")

    def test_a_lease_that_is_no_number_is_named(self):
        self.assert_error(self.connect(LOCALD_LEASE="soon"), 125, "LOCALD_LEASE", "soon", "1 to 86400")


if __name__ == "__main__":
    unittest.main()
