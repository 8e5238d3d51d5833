"""Keys that a real ssh-agent holds: they let in where the user asked for it, and no agent hears of a connection otherwise."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, ContainerCase, require, servers
from tests.ssh.server import Server, make_key


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class KeyAgent(ContainerCase):
    def setUp(self):
        super().setUp()
        require(shutil.which("ssh-agent"), "ssh-agent")
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        # The right key is in no file that anybody looks for.
        self.key = Path(shutil.move(self.who.home / ".ssh/id_ed25519", self.who.home / "agents key"))
        self.public = Path(shutil.move(self.who.home / ".ssh/id_ed25519.pub", self.who.home / "agents key.pub"))
        self.addCleanup(self.public.unlink)
        self.addCleanup(self.key.unlink, True)
        self.socket = self.who.home / "agent.sock"
        self.url = self.server.url(self.who.name)

    def agent(self, *keys):
        """An ssh-agent of this user's with these keys, until the test ends."""
        process = self.who.popen(["ssh-agent", "-D", "-a", self.socket], stdout=subprocess.DEVNULL)
        servers.add(process.pid)

        def end():
            process.kill()
            process.communicate()
            servers.discard(process.pid)
            self.socket.unlink(True)
        self.addCleanup(end)
        deadline = time.monotonic() + 10
        while not self.socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        for key in keys:
            done = self.who.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": self.socket})
            self.assertEqual(done.code, 0, done)
        return process

    def other_key(self, name, kind="ed25519"):
        key = make_key(self.who.home / name, kind)
        for path in (key, Path(f"{key}.pub")):
            os.chown(path, self.who.uid, self.who.gid)
            self.addCleanup(path.unlink)
        return key

    def fingerprint(self, key):
        done = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], check=True, capture_output=True, text=True)
        return done.stdout.split()[1].replace("+", r"\+")

    def connect(self, query="?agent=yes", **env):
        return self.who.locald("image", "ls", env={"LOCALD_HOST": self.url + query, "LOCALD_HOLDER": "no",
                                                   "SSH_AUTH_SOCK": self.socket, **env})

    def test_its_key_lets_in_when_the_address_asks_for_it(self):
        self.agent(self.other_key("wrong"), self.key)
        self.key.unlink()  # the agent alone has it
        self.assert_ok(self.connect())
        self.assertEqual(self.who.container("--quiet", "locald/hello", "exit", "7", env={
            "LOCALD_HOST": f"{self.url}?agent=yes", "LOCALD_HOLDER": "no", "SSH_AUTH_SOCK": self.socket}).code, 7)

    def test_a_named_host_asks_for_it_and_the_kept_connection_too(self):
        self.agent(self.key)
        config = self.who.directory("config")
        self.addCleanup(shutil.rmtree, config)
        env = {"XDG_CONFIG_HOME": config, "LOCALD_HOST": None, "SSH_AUTH_SOCK": self.socket}
        self.assert_ok(self.who.locald("host", "add", "--ssh-agent", "box", self.url, env=env))
        self.assertEqual(json.loads((config / "locald/hosts.json").read_text())["hosts"]["box"], {"url": self.url, "sshAgent": True})
        self.assert_ok(self.who.locald("--host", "box", "image", "ls", env=env))
        # The connection is there: no agent is needed any more.
        self.assert_ok(self.who.locald("--host", "box", "image", "ls", env={**env, "SSH_AUTH_SOCK": None}))
        self.assert_ok(self.who.locald("host", "disconnect", "box", env=env))
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)

    def test_unasked_it_is_not_contacted(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket))
            self.addCleanup(self.socket.unlink)
            os.chown(self.socket, self.who.uid, self.who.gid)
            listener.listen()
            listener.setblocking(False)
            self.who.write(".ssh/config", f"IdentityAgent {self.socket}\n")
            for query in ("", "?agent=no"):
                self.assert_error(self.connect(query), 125, "there is no key to try", "--ssh-agent")
            with self.assertRaises(BlockingIOError):
                listener.accept()

    def test_its_keys_that_the_server_refuses_are_named(self):
        wrong, rsa = self.other_key("wrong"), self.other_key("rsa", "rsa")
        self.agent(rsa, wrong)
        self.assert_error(self.connect(), 125, f"authentication as {self.who.name}", "the server refused",
                          f'{self.fingerprint(wrong)} "test" of ssh-agent', self.fingerprint(rsa), "authorized_keys")

    def test_none_is_an_error_that_says_why(self):
        self.assert_error(self.connect(SSH_AUTH_SOCK=None), 125, "authentication", "SSH_AUTH_SOCK is not set", "ssh-add")
        self.assert_error(self.connect(), 125, "authentication", str(self.socket), "No such file", "ssh-add")
        agent = self.agent()
        self.assert_error(self.connect(), 125, "authentication", "ssh-agent has no key", "ssh-add")
        agent.kill()
        agent.wait()
        self.assert_error(self.connect(), 125, "authentication", str(self.socket), "Connection refused")
        # A key of a file will do then.
        shutil.copy(self.key, self.who.home / ".ssh/id_ed25519")
        os.chown(self.who.home / ".ssh/id_ed25519", self.who.uid, self.who.gid)
        self.assert_ok(self.connect())

    def test_one_that_stands_still_is_not_waited_for_without_end(self):
        agent = self.agent(self.key)
        os.kill(agent.pid, signal.SIGSTOP)
        self.other_key(".ssh/id_ed25519")  # for which there is no time left
        self.assert_error(self.connect(LOCALD_LEASE="3"), 125, "ssh-agent", "no answer in time", "confirmation")

    def test_one_that_will_not_sign_is_named(self):
        self.agent()
        self.who.write("askpass", "#!/bin/sh\nexit 1\n").chmod(0o755)
        self.addCleanup((self.who.home / "askpass").unlink)
        done = self.who.run(["ssh-add", "-q", "-c", self.key], env={"SSH_AUTH_SOCK": self.socket})  # asks before each use
        self.assertEqual(done.code, 0, done)
        self.assert_error(self.connect(), 125, f'{self.fingerprint(self.key.parent / "agents key")} "test" of ssh-agent', "does not sign")

    def test_the_socket_may_be_named_by_ssh_config(self):
        self.agent(self.key)
        for name, env in ((self.socket, {}), ("%d/agent.sock", {}), ("$MY_AGENT", {"MY_AGENT": self.socket})):
            self.who.write(".ssh/config", f'Host 127.0.0.1\n IdentityAgent "{name}"\n')
            self.assert_ok(self.connect(SSH_AUTH_SOCK=None, **env))
        self.who.write(".ssh/config", "IdentityAgent none\n")
        self.assert_error(self.connect(), 125, "ssh_config says IdentityAgent none", "agent=yes")

    def test_a_key_among_too_many_is_chosen_by_its_public_half(self):
        self.agent(*[self.other_key(f"wrong-{number}") for number in range(8)], self.key)
        self.assert_error(self.connect(), 125, "the server refused", "hung up", "--identity KEY.pub")
        public = str(self.public).replace(" ", "%20")
        self.assert_ok(self.connect(f"?agent=yes&identity={public}"))
        self.key.unlink()
        self.assert_ok(self.connect(f"?agent=yes&identity={public.removesuffix('.pub')}"))
        self.assert_error(self.connect(f"?agent=yes&identity={self.who.home}/wrong-3.pub"), 125,
                          f"the server refused {self.fingerprint(self.who.home / 'wrong-3')}")

    def test_a_jump_on_the_way_is_logged_in_to_by_it_too(self):
        self.agent(self.key)
        self.who.write(".ssh/config", f"Host far\n HostName 127.0.0.1\n Port {self.server.port}\n ProxyJump near\n"
                                      f"Host near\n HostName 127.0.0.1\n Port {self.server.port}\n")
        self.assert_ok(self.connect(LOCALD_HOST=f"ssh://{self.who.name}@far?agent=yes"))
        self.assertEqual(self.server.log.read_text().count("Accepted publickey"), 2)


if __name__ == "__main__":
    unittest.main()
