"""`bundle prepare` and `bundle inspect`: a plain OCI bundle that other runtimes run as it is."""

import json
import os
import subprocess

from tests.e2e import images
from tests.e2e.support import IS_ROOT, PEERS, ROOT, Done, for_each, require


@for_each("root", "user")
class Prepare:
    def prepare(self, *words, image=None):
        self.bundle = self.who.home / f"bundle-{self.id().rsplit('.', 1)[-1][:30]}"
        self.addCleanup(subprocess.run, ["rm", "-rf", self.bundle], check=False)
        self.assert_ok(self.who.locald("bundle", "prepare", *words, image or images.image("configured"), self.bundle))
        return json.loads((self.bundle / "config.json").read_text())

    def test_config_says_what_the_image_says(self):
        config = self.prepare()
        self.assertEqual(config["process"]["args"], ["/bin/echo", "entry", "cmd"])
        self.assertEqual(config["process"]["cwd"], "/srv/app")
        self.assertIn("COLOUR=blue", config["process"]["env"])
        self.assertEqual((config["process"]["user"]["uid"], config["process"]["user"]["gid"]), (1000, 1001))
        self.assertEqual(config["root"]["path"], "rootfs")
        self.assertIn("seccomp", config["linux"])

    def test_the_root_filesystem_is_a_plain_directory(self):
        self.prepare()
        self.assertEqual((self.bundle / "rootfs/etc/motd").read_text(), "busybox of the tests\n")
        self.assertNotIn(str(self.bundle), "".join(open("/proc/self/mounts", encoding="utf-8")))

    def test_whiteouts_are_applied(self):
        self.prepare(image=f"oci:{images.layered()}")
        names = os.listdir(self.bundle / "rootfs")
        self.assertNotIn("gone", names)
        self.assertFalse([name for name in names if name.startswith(".wh.")])
        self.assertEqual(os.listdir(self.bundle / "rootfs/opaque"), ["new"])
        self.assertTrue(os.path.samefile(self.bundle / "rootfs/hard", self.bundle / "rootfs/kept"))

    def test_a_directory_that_is_not_empty_is_refused(self):
        taken = self.who.directory("taken")
        self.who.write("taken/file", "mine")
        done = self.who.locald("bundle", "prepare", images.image(), taken)
        self.assert_error(done, 125, str(taken), "empty|exists")
        self.assertEqual(os.listdir(taken), ["file"])

    def test_inspect_shows_it(self):
        self.prepare()
        found = json.loads(self.assert_ok(self.who.locald("bundle", "inspect", self.bundle)).text)
        self.assertIn("/bin/echo", json.dumps(found))

    def test_our_shim_runs_it_in_both_forms(self):
        from tests.e2e.support import world
        self.prepare()
        done = self.who.run([world().shim, "bundle", "run", "--bundle", self.bundle, "--id", f"prepared-{self.kind}"])
        self.assert_prints(done, "entry cmd\n")
        self.assert_prints(self.who.run([world().shim, "bundle", self.bundle]), "entry cmd\n")

    def test_inspect_of_nothing_names_the_file(self):
        empty = self.who.directory("empty-bundle")
        self.assert_error(self.who.locald("bundle", "inspect", empty), 125, "config.json", "No such file or directory")


@for_each("root", "user")
class Peers:
    """The same bundle under other runtimes, unmodified."""

    def prepared(self):
        bundle = self.who.home / "peer-bundle"
        self.addCleanup(subprocess.run, ["rm", "-rf", bundle], check=False)
        # runc refuses supplementary groups without root; a user with a group of his own has none.
        self.assert_ok(self.who.locald("bundle", "prepare", "-u", "app:staff", images.image("configured"), bundle))
        return bundle

    def run_peer(self, name):
        peer = PEERS / name
        require(peer.exists(), "tools/fetch-peers")
        copy = self.who.home / name
        self.assert_ok(self.who.run(["cp", "-L", peer, copy])) if self.who.is_root else copy.write_bytes(peer.read_bytes())
        copy.chmod(0o755)
        self.addCleanup(copy.unlink)
        bundle, state = self.prepared(), self.who.directory(f"{name}-state", 0o700)
        words = [copy, "--root", state, "run", "--bundle", bundle, f"peer-{name}-{self.kind}"]
        # A hybrid cgroup layout is more than crun takes; a pure v2 view, which root can make, is what both know.
        if IS_ROOT:
            become = [] if self.who.is_root else ["setpriv", f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--init-groups"]
            words = [ROOT / "bench/v2ns", *become, *words]
        done = subprocess.run(words, env=self.who.environment(), cwd=self.who.home, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
        subprocess.run(["rm", "-rf", state], check=False)
        return Done(words, done.returncode, done.stdout, done.stderr)

    def test_crun_runs_it(self):
        self.assert_prints(self.run_peer("crun"), "entry cmd\n")

    def test_runc_runs_it(self):
        self.assert_prints(self.run_peer("runc"), "entry cmd\n")
