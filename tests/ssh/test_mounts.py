"""Bind mounts on another host: only what the two share, at its place there, and never an empty directory instead."""

import os
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from tests.e2e.support import IS_ROOT, ContainerCase
from tests.ssh.server import Server


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Mounts(ContainerCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.who.enter(self.server)
        self.config = self.who.directory("config")
        self.here = self.who.directory("here")
        self.there = self.who.directory("there")
        self.who.directory("here/project")
        self.who.write("here/project/file", "of here")
        shutil.copytree(self.here / "project", self.there / "project")
        (self.there / "project/file").write_text("of there")
        for path in (self.who.home / ".ssh", self.config, self.here, self.there):
            self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        self.addCleanup(self.end)
        self.share(f"{self.here}={self.there}")

    def end(self):
        self.locald("host", "disconnect")
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)

    def locald(self, *words, **kwargs):
        return self.who.locald(*words, env={"XDG_CONFIG_HOME": self.config, "LOCALD_HOST": None}, **kwargs)

    def share(self, *trees):
        maps = [word for tree in trees for word in ("--map", tree)]
        self.assert_ok(self.locald("host", "add", "box", self.server.url(self.who.name), "--use", "--replace", *maps))

    def rootfs(self):
        root = self.who.directory("rootfs")
        self.who.directory("rootfs/bin")
        if not (root / "bin/busybox").exists():
            self.who.write("rootfs/bin/busybox", Path("/bin/busybox").read_bytes()).chmod(0o755)
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        return root

    def run_with(self, *flags, command="cat /m/file", **kwargs):
        words = ["--quiet", "container", "run", *flags, "--rootfs", str(self.rootfs()), "/bin/busybox", "sh", "-c", command]
        return self.locald(*words, **kwargs)

    def volume(self, path, **kwargs):
        return self.run_with("-v", f"{path}:/m", **kwargs)

    def test_a_path_of_here_is_the_one_that_is_shared_there(self):
        self.assertEqual(self.assert_ok(self.volume(self.here / "project")).text, "of there")
        self.assertEqual(self.assert_ok(self.run_with("-v", "./project:/m", cwd=self.here)).text, "of there")
        mount = f"type=bind,source={self.here}/project,target=/m"
        self.assertEqual(self.assert_ok(self.run_with("--mount", mount)).text, "of there")

    def test_what_is_not_shared_is_an_error_that_says_what_is(self):
        other = self.who.directory("other")
        self.addCleanup(shutil.rmtree, other)
        self.assert_error(self.volume(other), 125, str(other), "not shared", f"{self.here} .there {self.there}", f"--map {other}=")
        self.assert_error(self.volume(f"{self.here}-more"), 125, "not shared")
        self.assert_error(self.locald("--host", self.server.url(self.who.name), "container", "run", "-v", f"{other}:/m",
                                      "locald/hello"), 125, "not shared", "nothing is")
        self.assertFalse(Path(f"{self.here}-more").exists())

    def test_nothing_is_made_for_what_is_missing(self):
        missing = self.here / "missing"
        self.assert_error(self.volume(missing), 125, str(missing), str(self.there / "missing"), "No such file", "right name")
        self.who.directory("here/only")
        self.assert_error(self.volume(self.here / "only"), 125, "No such file", "is it mounted")
        self.assertFalse(missing.exists() or (self.there / "missing").exists() or (self.there / "only").exists())

    def test_a_link_is_followed_here_and_must_not_leave_the_tree(self):
        (self.here / "link").symlink_to("project")
        self.assertEqual(self.assert_ok(self.volume(self.here / "link")).text, "of there")
        (self.here / "out").symlink_to("/etc")
        self.assert_error(self.volume(self.here / "out"), 125, f"link leads out of the shared tree {self.here}", "/etc")

    def test_the_longest_tree_counts_and_may_be_read_only(self):
        self.share(f"{self.who.home}=/nowhere", f"{self.here}={self.there}:ro")
        done = self.volume(self.here / "project", command="cat /m/file; echo x > /m/file")
        self.assertNotEqual(done.code, 0)
        self.assertEqual(done.text, "of there")
        self.assertIn("Read-only file system", done.errors)
        self.assertEqual((self.there / "project/file").read_text(), "of there")

    def test_a_share_that_is_not_mounted_is_not_taken_for_an_empty_directory(self):
        shutil.rmtree(self.there / "project")
        self.who.directory("there/project")
        self.assert_error(self.volume(self.here / "project"), 125, "empty there, and not here", "is it mounted")
        self.share(f"{self.here}={self.there}:mount")
        self.assert_error(self.volume(self.here), 125, "lies on what is mounted at", f"not at {self.there}")
        subprocess.run(["mount", "--bind", self.here, self.there], check=True)
        try:
            self.assertEqual(self.assert_ok(self.volume(self.here / "project")).text, "of here")
        finally:
            subprocess.run(["umount", self.there], check=True)

    def test_a_file_there_for_a_directory_here_is_an_error(self):
        shutil.rmtree(self.there / "project")
        self.who.write("there/project", "")
        self.assert_error(self.volume(self.here / "project"), 125, "a directory here and a file there")

    def test_sockets_and_fifos_are_explained(self):
        os.mkfifo(self.here / "fifo")
        self.assert_error(self.volume(self.here / "fifo"), 125, "it is a fifo", "-p")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.there / "sock"))
            self.assert_error(self.volume(self.here / "sock"), 125, "it is a socket", "-p")

    def test_a_tree_of_that_host_alone_may_have_a_name_here(self):
        self.share(f"/of-the-box={self.there}")
        self.assertEqual(self.assert_ok(self.volume("/of-the-box/project")).text, "of there")
        self.assertFalse(Path("/of-the-box").exists())

    def test_the_same_goes_for_containers_in_the_background(self):
        words = ["-d", "--name", "b1", "-v", f"{self.here / 'project'}:/m"]
        self.assert_ok(self.run_with(*words))
        self.assert_ok(self.locald("container", "wait", "b1"))
        self.assertEqual(self.locald("container", "logs", "b1").text, "of there")
        self.assert_ok(self.locald("container", "rm", "b1"))
        self.assert_error(self.run_with("-d", "-v", "/etc:/m"), 125, "not shared")

    def test_a_map_that_cannot_be_is_refused_when_it_is_made(self):
        for tree, why in (("/a", "no ="), ("a=/b", "absolute"), ("/a=b", "absolute")):
            self.assert_error(self.locald("host", "add", "b", "ssh://b", "--map", tree), 125, why, tree)
        self.assert_error(self.locald("host", "add", "b", "ssh://b", "--map", "/a=/b", "--map", "/a/=/c"), 125, "shared already")


if __name__ == "__main__":
    unittest.main()
