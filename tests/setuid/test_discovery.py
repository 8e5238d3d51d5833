"""Which shim `locald` starts: the one beside it or the installed one, and what it says when those are not the same build."""

import os
import shutil

from tests.setuid.test_setup import SetupCase, load_tests  # noqa: F401  (unittest's)

HIDE = "for name in newuidmap newgidmap; do [ -e /usr/bin/$name ] && mount --bind /dev/null /usr/bin/$name; done"


class InstalledCase(SetupCase):
    """`locald` in DIR/usr/bin, and an installed shim below DIR/usr when a test has set one up."""

    def setUp(self):
        super().setUp()
        self.prefix.mkdir(mode=0o755)
        self.bin = self.programs("usr/bin")
        if (self.dir / "lib").exists():
            shutil.copytree(self.dir / "lib", self.prefix / "lib")
        self.home = self.dir / "home"
        for path in (self.home, self.home / "data", self.home / "run"):
            path.mkdir(mode=0o700)
            os.chown(path, self.who.uid, self.who.gid)

    def build_another(self):
        with open(self.bin / "locald-shim", "ab") as file:
            file.write(b"another build")

    def as_user(self, *words, options="--clear-groups", before="true"):
        """`locald WORD…` of the user's in the private view, where newuidmap is out of sight: only a setuid shim maps his ranges."""
        return self.host(f"{HIDE}; {before}; cd {self.home}; exec setpriv --reuid={self.who.uid} --regid={self.who.gid} {options} -- $L {' '.join(words)}",
                         variables={"HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "data"), "XDG_RUNTIME_DIR": str(self.home / "run")})


class Discovery(InstalledCase):
    def run_hello(self, **kwargs):
        done = self.as_user("container", "run", "--rm", "locald/hello", **kwargs)
        self.assertEqual(done.code, 0, done)
        first, count = self.who.ranges()[0]
        return done, f"1 to {count} are {first} to {first + count - 1} outside" in done.text

    def test_the_installed_one_of_the_same_build_is_used(self):
        self.assert_ok(self.setup())
        done, has_ranges = self.run_hello()
        self.assertTrue(has_ranges, done)
        self.assertNotIn("is not used", done.errors)

    def test_without_an_installed_one_the_one_beside_is_used(self):
        done, has_ranges = self.run_hello()
        self.assertFalse(has_ranges, done)
        self.assertNotIn("is not used", done.errors)

    def test_with_none_beside_the_installed_one_is_used(self):
        self.assert_ok(self.setup())
        (self.bin / "locald-shim").unlink()
        done, has_ranges = self.run_hello()
        self.assertTrue(has_ranges, done)

    def test_one_of_another_build_is_named_in_one_line_and_not_used(self):
        self.assert_ok(self.setup())
        self.build_another()
        for _ in range(2):  # the second answer comes from the cache
            done, has_ranges = self.run_hello()
            self.assertFalse(has_ranges, done)
            lines = [line for line in done.errors.splitlines() if "is not used" in line]
            self.assertEqual(len(lines), 1, done)
            self.assertIn(str(self.stable), lines[0])
            self.assertIn("not of the same build", lines[0])
            self.assertIn("sudo locald admin setup", lines[0])
        self.assertTrue((self.home / "data/locald/shim-installed").exists())
        self.assert_ok(self.setup())
        done, has_ranges = self.run_hello()
        self.assertTrue(has_ranges, done)

    def test_one_that_was_altered_is_found_out_in_spite_of_the_cache(self):
        self.assert_ok(self.setup())
        for _ in range(2):
            self.assertTrue(self.run_hello()[1])
        with open(self.stable, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))
        self.stable.chmod(0o4755)  # which a write took away
        done, has_ranges = self.run_hello()
        self.assertFalse(has_ranges, done)
        self.assertIn("not of the same build", done.errors)

    def test_one_that_others_can_exchange_is_named_and_not_used(self):
        for spoil in (lambda: self.base.chmod(0o777), lambda: os.chown(self.prefix / "libexec", self.who.uid, 0), lambda: self.stable.chmod(0o4775)):
            shutil.rmtree(self.prefix / "libexec", True)
            self.assert_ok(self.setup())
            spoil()
            done, has_ranges = self.run_hello()
            self.assertFalse(has_ranges, done)
            self.assertRegex(done.errors, f"warning: {self.stable} is not used: .*; sudo locald admin setup")

    def test_one_for_a_group_serves_its_members_and_is_no_matter_for_others(self):
        self.assert_ok(self.setup("--group", "shadow"))
        done, has_ranges = self.run_hello()
        self.assertFalse(has_ranges, done)
        self.assertNotIn("is not used", done.errors)
        done, has_ranges = self.run_hello(options=f"--groups={os.stat('/etc/shadow').st_gid}")
        self.assertTrue(has_ranges, done)

    def test_without_new_privileges_the_one_beside_is_used(self):
        self.assert_ok(self.setup())
        done, has_ranges = self.run_hello(options="--clear-groups --no-new-privs")
        self.assertFalse(has_ranges, done)

    def test_the_path_is_never_looked_at(self):
        fake = self.dir / "fake"
        fake.mkdir()
        shutil.copy("/bin/false", fake / "locald-shim")
        (self.bin / "locald-shim").unlink()
        done = self.as_user("container", "run", "--rm", "locald/hello", before=f"export PATH={fake}:$PATH")
        self.assertEqual(done.code, 125, done)
        self.assertIn("find the program locald-shim", done.errors)

    def test_root_uses_the_one_beside(self):
        self.assert_ok(self.setup())
        self.build_another()
        done = self.host("strace -f -qq -e trace=execve -o $P/trace $L container run --rm locald/hello", variables={
            "XDG_DATA_HOME": str(self.home / "data"), "HOME": str(self.home)}, before=f"chown -R 0:0 {self.home}")
        trace = (self.prefix / "trace").read_text()
        self.assertIn(f'"{self.bin}/locald-shim"', trace, done)
        self.assertNotIn(f'"{self.stable}"', trace)
