"""A host whose ordinary users can make no user namespaces, and whose shim has no rights of its own: one error says so."""

import os

os.environ["LOCALD_E2E_OVER"] = "ssh"  # before the world is made, which has the pair then

# pylint: disable=wrong-import-position
import ctypes
import re
import shutil
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, ContainerCase
from tests.ssh.server import Server

CLONE_NEWUSER = 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace():
    """A user namespace with all ids, in which nobody can make another. Before it has its ids, an exec would lose root's rights."""
    me = os.getpid()
    wait, go = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.read(wait, 1)
        for kind in ("uid", "gid"):
            Path(f"/proc/{me}/{kind}_map").write_text("0 0 4294967295\n", encoding="ascii")
        os._exit(0)  # pylint: disable=protected-access
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(go, b"!")
    os.waitpid(mapper, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")


class Walled(Server):
    """Its sessions have the kernel's limit of a host with user.max_user_namespaces=0, and nobody else has."""

    def popen(self, **kwargs):
        return super().popen(preexec_fn=enter_namespace, **kwargs)


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class NoUserNamespaces(ContainerCase):
    def setUp(self):
        super().setUp()
        self.server = Walled(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.url = self.server.url(self.who.name)

    def locald(self, *words):
        return self.who.locald(*words, env={"LOCALD_HOST": self.url, "LOCALD_HOLDER": "no"})

    def test_a_run_is_one_error_with_stage_host_and_remedy(self):
        for words in (["run", "--rm"], ["run", "--name", "walled"], ["run", "-d", "--name", "behind"]):
            with self.subTest(words):
                done = self.locald("container", *words, "--quiet", "locald/hello")
                self.assert_error(done, 125, f"on {re.escape(self.url.removeprefix('ssh://'))}: run locald/hello: (?!run)",
                                  "make (a user namespace|the container's namespaces): clone3: No space left on device", "user.max_user_namespaces",
                                  "locald doctor", "locald admin setup")
        self.assertEqual(self.locald("container", "ls", "-aq").text, "")

    def test_what_needs_none_works(self):
        self.assert_ok(self.locald("image", "ls"))


if __name__ == "__main__":
    unittest.main()
