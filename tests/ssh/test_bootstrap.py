"""The first way to another host: the pair for its architecture gets there by itself, whole and once."""

import os

os.environ["LOCALD_E2E_OVER"] = "ssh"  # before the world is made, which has the server then

# pylint: disable=wrong-import-position
import contextlib
import platform
import shutil
import signal
import subprocess
import time
import unittest
import unittest.mock
from pathlib import Path

from tests.e2e.support import IS_ROOT, Actor, ContainerCase, for_each, require, world

MACHINE = platform.machine()
GUEST = "lib/locald/guest"


def pair_id():
    """The pair's name on other hosts: the sum of the file of sums."""
    done = subprocess.run(["sha256sum", world().dir / GUEST / MACHINE / "sums"], check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


class Case(ContainerCase):
    def setUp(self):
        super().setUp()
        self.assertTrue((world().dir / GUEST / MACHINE / "sums").exists(), "tools/cross-build did not run")
        # Every command comes by a way of its own.
        without = unittest.mock.patch.dict(os.environ, LOCALD_HOLDER="no")
        without.start()
        self.addCleanup(without.stop)
        self.addCleanup(self.clear)
        self.clear()

    def clear(self):
        shutil.rmtree(self.agents, ignore_errors=True)

    @property
    def agents(self):
        return self.who.store / "agents"

    @property
    def pair(self):
        return self.agents / pair_id()

    def names(self):
        return sorted(entry.name for entry in self.agents.iterdir() if entry.name != "lib") if self.agents.exists() else []

    def connect(self, **kwargs):
        """The least that needs an agent."""
        return self.who.locald("image", "ls", **kwargs)

    def replace(self, name, content):
        """By a new file, because an agent may still run the old one."""
        (self.pair / name).unlink()
        (self.pair / name).write_bytes(content)
        (self.pair / name).chmod(0o755)
        os.chown(self.pair / name, self.who.uid, self.who.gid)

    def assert_whole(self):
        for name in ("locald", "locald-shim"):
            self.assertEqual((self.pair / name).read_bytes(), (world().dir / GUEST / MACHINE / name).read_bytes(), name)
        self.assertEqual(self.names(), [pair_id()])


@for_each("root", "user")
class FirstWay:
    def test_a_container_runs_on_a_host_that_never_saw_locald(self):
        shutil.rmtree(self.who.store / "agents", ignore_errors=True)
        done = self.assert_ok(self.who.container("locald/hello"))
        self.assertIn("made by locald", done.text)


class Upload(Case):
    kind = "user"

    def test_the_first_connection_brings_the_pair_and_the_second_does_not(self):
        self.assert_ok(self.connect())
        self.assert_whole()
        before = [(self.pair / name).stat() for name in ("locald", "locald-shim")]
        self.assert_ok(self.connect())
        after = [(self.pair / name).stat() for name in ("locald", "locald-shim")]
        self.assertEqual([(s.st_ino, s.st_mtime_ns) for s in before], [(s.st_ino, s.st_mtime_ns) for s in after])

    def test_nobody_else_may_write_or_look_into_it(self):
        self.assert_ok(self.connect())
        for path in (self.agents, self.pair):
            info = path.stat()
            self.assertEqual((info.st_uid, info.st_mode & 0o7777), (self.who.uid, 0o700), path)

    def test_eight_clients_may_come_to_an_empty_home_at_once(self):
        clients = [self.who.start("container", "run", "--rm", "locald/hello") for _ in range(8)]
        for client in clients:
            done = self.assert_ok(self.finish(client, 60))
            self.assertIn("made by locald", done.text)
        self.assert_whole()

    def test_a_client_that_is_killed_while_it_sends_leaves_no_half_pair(self):
        client = self.who.start("image", "ls")
        try:
            self.wait_for(lambda: any(name.startswith(".new-") for name in self.names()), "upload")
        finally:
            client.send_signal(signal.SIGKILL)
        self.finish(client)
        # It may have been fast enough; what has the pair's name is whole either way.
        self.wait_for(lambda: not any(name.startswith(".new-") for name in self.names()), "end of the upload")
        if self.names():
            self.assert_whole()
        self.assert_ok(self.connect())
        self.assert_whole()

    def test_a_truncated_program_is_replaced(self):
        for name in ("locald", "locald-shim"):
            self.assert_ok(self.connect())
            self.replace(name, (self.pair / name).read_bytes()[:1000])
            self.assert_ok(self.connect())
            self.assert_whole()

    def test_garbage_in_place_of_the_agent_is_named_and_replaced_once_it_is_gone(self):
        self.assert_ok(self.connect())
        size = (self.pair / "locald").stat().st_size
        text = b"#!/bin/sh\necho 'Welcome to the machine'\nexit 3\n"
        self.replace("locald", text + b"#" * (size - len(text)))
        self.assert_error(self.connect(), 125, "127.0.0.1", "Welcome|greeting|frame|agent")
        shutil.rmtree(self.pair)
        self.assert_ok(self.connect())

    def test_old_pairs_go_and_the_newest_two_stay(self):
        for age, name in enumerate("abcd"):
            old = self.agents / (name * 64)
            old.mkdir(parents=True)
            (old / "locald").write_text("old")
            os.utime(old, (time.time() - 1000 * (age + 1),) * 2)
        for path in (self.agents, *self.agents.rglob("*")):
            os.chown(path, self.who.uid, self.who.gid)
        self.assert_ok(self.connect())
        self.assertEqual(self.names(), sorted([pair_id(), "a" * 64]))


class Trouble(Case):
    kind = "user"

    @contextlib.contextmanager
    def small_disk(self, options):
        require(IS_ROOT, "root to mount")
        place = self.who.store
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"uid={self.who.uid},gid={self.who.gid},mode=0700,{options}", "small", place],
                       check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", place], check=True)

    def test_a_full_disk_is_named_and_nothing_stays(self):
        with self.small_disk("size=5m"):
            self.assert_error(self.connect(), 125, "put locald on lct", "127.0.0.1", "No space left on device", "free")
            self.assertEqual(self.names(), [])

    def test_a_home_that_is_mounted_noexec_is_named(self):
        with self.small_disk("noexec"):
            self.assert_error(self.connect(), 125, "127.0.0.1", "Permission denied", "noexec", "XDG_DATA_HOME")
            self.assertEqual(self.names(), [])

    def test_a_place_that_cannot_be_written_is_named(self):
        with self.small_disk("ro"):
            self.assert_error(self.connect(), 125, "127.0.0.1", "Read-only file system", "XDG_DATA_HOME")

    def without_guest(self, directory):
        """A client in `directory` that has no pair to bring."""
        shutil.copytree(world().dir / "bin", directory / "bin")
        shutil.copytree(world().dir / "lib", directory / "lib", ignore=shutil.ignore_patterns("guest"))
        return directory / "bin/locald"

    def test_a_client_without_a_pair_says_what_to_build(self):
        place = world().dir / "without-guest"
        self.addCleanup(shutil.rmtree, place)
        done = self.who.run([self.without_guest(place), "image", "ls"])
        self.assert_error(done, 125, f"Linux on {MACHINE}", "without-guest/lib/locald/guest", "tools/cross-build linux-musl-")

    def test_another_architecture_is_named(self):
        fake = self.who.write("fake/uname", "#!/bin/sh\n[ $1 = -m ] && echo riscv64 || exec /bin/uname $1\n")
        fake.chmod(0o755)
        self.profile(f"PATH={fake.parent}:$PATH\n")
        self.assert_error(self.connect(), 125, "127.0.0.1", "Linux on riscv64", "x86_64 and aarch64")

    def test_another_system_is_named(self):
        fake = self.who.write("fake/uname", "#!/bin/sh\n[ $1 = -m ] && echo arm64 || echo Darwin\n")
        fake.chmod(0o755)
        self.profile(f"PATH={fake.parent}:$PATH\n")
        self.assert_error(self.connect(), 125, "127.0.0.1", "Darwin on arm64", "name a Linux host")

    def profile(self, text):
        """What bash reads when a server starts it."""
        self.who.write(".bashrc", text)
        self.addCleanup((self.who.home / ".bashrc").unlink)
        self.shell("/bin/bash")

    def shell(self, path):
        require(IS_ROOT, "root to change a login shell")
        require(os.access(path, os.X_OK), path)
        subprocess.run(["usermod", "--shell", path, self.who.name], check=True, capture_output=True)
        self.addCleanup(subprocess.run, ["usermod", "--shell", "/bin/sh", self.who.name], check=True, capture_output=True)

    def test_profiles_may_print_what_they_like(self):
        self.profile("""seq 1 20000; printf 'locald-0000000000000000 start\\n'; printf '\\0\\377 no line end'
            echo words on stderr >&2; printf '\\033[31m'\n""")
        for _ in range(2):
            done = self.assert_ok(self.who.container("--quiet", "locald/hello", "exit", "0"))
            self.assertEqual(done.out, b"")
            self.assert_whole()

    def test_a_profile_without_an_end_is_given_up(self):
        self.profile("cat /dev/zero\n")
        self.assert_error(self.connect(), 125, "start a shell on lct", "127.0.0.1")

    def test_every_login_shell_will_do(self):
        busybox = world().dir / "busybox-sh"
        busybox.write_text("#!/bin/busybox sh\nexec /bin/busybox sh \"$@\"\n")
        busybox.chmod(0o755)
        self.addCleanup(busybox.unlink)
        for path in ("/bin/dash", "/bin/bash", str(busybox), "/usr/bin/fish", "/usr/bin/tcsh"):
            with self.subTest(path):
                self.shell(path)
                self.clear()
                for _ in range(2):
                    self.assert_ok(self.connect())
                self.assert_whole()

    def test_an_account_without_a_shell_is_named_with_its_words(self):
        self.shell("/usr/sbin/nologin")
        self.assert_error(self.connect(), 125, "start a shell on lct", "127.0.0.1", "not available")
        self.shell("/bin/false")
        self.assert_error(self.connect(), 125, "start a shell on lct", "sh -c true")


if __name__ == "__main__":
    unittest.main()
