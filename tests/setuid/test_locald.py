"""`locald` beside an installed setuid shim, as ordinary users without newuidmap: what changes for them, and what must not."""

import os
import shutil
import subprocess

from tests.setuid.support import BUILT, Done, SAFE_PATH, SetuidCase, has_v2, world


class Locald(SetuidCase):
    def setUp(self):
        super().setUp()
        place = world().dir / "bin"
        if not place.exists():
            place.mkdir(mode=0o755)
            shutil.copy(BUILT / "locald", place / "locald")
            (place / "locald").chmod(0o755)
            world().install("locald-shim", "locald-shim", place=place)
            if (BUILT.parent / "lib/locald").exists():
                shutil.copytree(BUILT.parent / "lib/locald", world().dir / "lib/locald")
                subprocess.run(["chmod", "-R", "a+rX", world().dir / "lib"], check=True)
        self.runtime = self.who.home / "run"
        for path in (self.runtime, self.who.home / "data"):
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, self.who.uid, self.who.gid)

    def locald(self, *words, hide_helpers=True):
        """As this user, with newuidmap and newgidmap out of sight."""
        hide = "".join(f"[ -e /usr/bin/{name} ] && mount --bind /dev/null /usr/bin/{name}; " for name in ("newuidmap", "newgidmap"))
        script = f'{hide if hide_helpers else ""}exec setpriv --reuid={self.who.uid} --regid={self.who.gid} --clear-groups -- "$@"'
        argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", world().dir / "bin/locald", *words]
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
                              cwd=self.who.home, env={"PATH": SAFE_PATH, "HOME": str(self.who.home), "XDG_DATA_HOME": str(self.who.home / "data"),
                                                      "XDG_RUNTIME_DIR": str(self.runtime)})
        return Done(words, done.returncode, done.stdout, done.stderr)

    def test_an_image_is_unpacked_run_and_removed_with_its_owners(self):
        done = self.locald("container", "run", "--rm", "locald/hello")
        self.assertEqual(done.code, 0, done)
        first, count = self.who.ranges()[0]
        self.assertIn(f"1 to {count} are {first} to {first + count - 1} outside", done.text)
        self.assertNotIn("no cgroup of its own", done.errors)
        done = self.locald("image", "rm", "locald/hello")
        self.assertEqual(done.code, 0, done)
        done = self.locald("container", "run", "--rm", "locald/hello", "exit", "7")
        self.assertEqual(done.code, 7, done)

    def test_keep_id_is_the_same_as_without_the_bit(self):
        done = self.locald("container", "run", "--rm", "--userns", "keep-id", "locald/hello")
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"uid {self.who.uid}", done.text)
        self.assertIn(f"{self.who.uid} is {self.who.uid} outside", done.text)

    def test_limits_are_in_force(self):
        self.assertTrue(has_v2())
        done = self.locald("container", "run", "--rm", "--pids-limit", "20", "locald/hello")
        if not os.path.isdir("/sys/fs/cgroup/pids"):
            return  # the version 2 tree of this machine has no pids controller
        self.assertEqual(done.code, 0, done)

    def test_a_refusal_reaches_the_user_as_one_line(self):
        os.makedirs("/etc/locald", exist_ok=True)
        with open("/etc/locald/shim.conf", "x", encoding="utf-8") as file:
            file.write("group = shadow\n")
        self.addCleanup(os.rmdir, "/etc/locald")
        self.addCleanup(os.unlink, "/etc/locald/shim.conf")
        done = self.locald("container", "run", "--rm", "locald/hello")
        self.assertEqual((done.code, done.text), (125, ""), done)
        self.assertEqual(len(done.own_errors.splitlines()), 1, done)
        self.assertIn("only members of the group shadow", done.errors)


class WithoutGrants(Locald):
    kind = "plain"

    def test_an_image_is_unpacked_run_and_removed_with_its_owners(self):
        done = self.locald("container", "run", "--rm", "locald/hello")
        self.assertEqual(done.code, 0, done)
        self.assertIn("0 is", done.text)

    def test_keep_id_is_the_same_as_without_the_bit(self):
        done = self.locald("container", "run", "--rm", "--userns", "keep-id", "locald/hello")
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"{self.who.uid} is {self.who.uid} outside", done.text)
        self.assertEqual(self.locald("image", "rm", "locald/hello").code, 0)
