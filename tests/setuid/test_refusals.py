"""What a refusal says and to whom, that nothing was made before it, and that no name of the program changes it."""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.setuid.support import Done, SAFE_PATH, SYS, SetuidCase, User, in_files, subtrees, user, world

AT_EMPTY_PATH = 0x1000


class Refusals(SetuidCase):
    def setUp(self):
        super().setUp()
        self.log = self.open_log()

    def open_log(self):
        """A /dev/log of the test's own; the kernel finds it by its place."""
        path = world().dir / f"log-{self.new_id()}"
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(log.close)
        log.bind(str(path))
        path.chmod(0o666)
        log.setblocking(False)
        self.log_path = path
        if not os.path.exists("/dev/log"):
            Path("/dev/log").touch()
            self.addCleanup(os.unlink, "/dev/log")
        return log

    def logged(self):
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines.append(self.log.recv(8192).decode())
        return lines

    def start(self, who, files=(), shim=None, **changes):
        bundle = self.bundle("true")
        bundle.config.update(changes)
        bundle.write()
        files = {"/dev/log": self.log_path, **dict(files)}
        argv = in_files(files, "setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--clear-groups", "--", shim or world().shim, "bundle", "run",
                        "--bundle", bundle.dir, "--id", self.new_id())
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
                              env={"PATH": SAFE_PATH}, cwd="/")
        return Done(argv, done.returncode, done.stdout, done.stderr)

    def text(self, content):
        path = world().dir / f"text-{self.new_id()}"
        path.write_text(content)
        path.chmod(0o644)
        return path

    def policy(self, content):
        path = Path("/etc/locald/shim.conf")
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.touch()
            self.addCleanup(path.parent.rmdir)
            self.addCleanup(path.unlink)
        return {str(path): self.text(content)}

    def newcomer(self):
        """An account that never started anything: what is made for him is new."""
        who = User()
        self.addCleanup(who.remove)
        return who

    def assert_nothing_made(self, who):
        self.assertFalse(who.state.exists())
        self.assertEqual(subtrees(who.uid), [])

    def refusals(self, who):
        first, count = who.ranges()[0]
        return (
            (self.policy("group = shadow\n"), "shadow"),
            (self.policy("containers = none\n"), "shim.conf, line 1"),
            (self.policy(f"ids = {first}-{first + count - 2}\n"), "/etc/subuid, line"),
            ({"/etc/subuid": self.text(f"{who.name}:0:10\n")}, "/etc/subuid, line 1"),
            ({"/etc/subgid": self.text(f"{who.name}:x:10\n")}, "/etc/subgid, line 1"),
        )

    def test_a_refusal_by_roots_files_is_logged_and_nothing_was_made(self):
        who = self.newcomer()
        for files, words in self.refusals(who):
            with self.subTest(words):
                done = self.start(who, files)
                self.assert_refused(done, words)
                said = [line for line in self.logged() if f"refused uid {who.uid}: " in line]
                self.assertEqual(len(said), 1)
                self.assertIn(words, said[0])
                self.assertTrue(said[0].startswith("<84>"), "authpriv, warning")
                self.assert_nothing_made(who)
        done = self.start(who)
        self.assertEqual((done.code, self.logged()), (0, []), "who is not refused is not told of")
        self.assertTrue(who.state.exists() and subtrees(who.uid), "what would have been made")

    def test_a_map_or_a_namespace_that_is_refused_is_logged(self):
        config = self.bundle("true").config
        linux = config["linux"]
        spaces = [entry for entry in linux["namespaces"] if entry["type"] != "network"]
        for change, words in (({"uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}, "uidMappings"),
                              ({"namespaces": [*spaces, {"type": "network", "path": "/proc/1/ns/net"}]}, "/proc/1/ns/net")):
            with self.subTest(words):
                done = self.start(self.who, linux={**linux, **change})
                self.assert_refused(done, words)
                self.assertTrue([line for line in self.logged() if f"refused uid {self.who.uid}: " in line and words in line])

    def test_no_name_of_the_file_changes_what_is_refused(self):
        """Renamed, linked, by a name of a weakness: the program asks nobody what it is called."""
        place = world().dir / "names"
        place.mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, place)
        names = [place / name for name in ("x!weak-policy", "run", "-", "locald-shim!weak-ranges", "a b\nc")]
        for path in names:
            path.symlink_to(world().shim)
        hard = self.who.home / "hard!weak-policy"
        os.link(world().shim, hard)  # as where fs.protected_hardlinks is 0
        self.addCleanup(hard.unlink)
        who = self.newcomer()
        for path in (*names, hard):
            with self.subTest(path.name):
                self.assert_refused(self.start(who, self.policy("group = shadow\n"), shim=path), "shadow")
                self.assertEqual(self.start(self.who, shim=path).code, 0)
        self.assert_nothing_made(who)
        self.assertEqual(self.start(self.newcomer(), self.policy("group = shadow\n"), shim=world().weak("policy")).code, 0)

    def test_by_descriptor_it_is_the_same_program(self):
        """execveat of an open file, also one that is closed on the way, and by the name of a weakness."""
        bundle = self.bundle("cat", "/proc/self/uid_map")
        for flags in (os.O_PATH, os.O_PATH | os.O_CLOEXEC):
            with self.subTest(flags=flags):
                words = ["shim!weak-ranges", "bundle", "run", "--bundle", str(bundle.dir), "--id", self.new_id()]
                fd = os.open(world().shim, flags)
                self.addCleanup(os.close, fd)
                os.set_inheritable(fd, not flags & os.O_CLOEXEC)
                argv = (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words], None)
                env = (ctypes.c_char_p * 1)(None)

                def execute(fd=fd, argv=argv, env=env):
                    ctypes.CDLL(None).syscall(SYS["execveat"], fd, b"", argv, env, AT_EMPTY_PATH)
                done = self.who.run(["/bin/false"], preexec_fn=execute, close_fds=False)
                self.assertEqual(done.code, 0, done)
                self.assertEqual([int(word) for word in done.text.split()], [0, self.who.uid, 1, 1, *self.who.ranges()[0]])

    def test_a_copy_of_somebody_elses_is_nobodys_root(self):
        """A file with the setuid bit that is not root's: its owner's rights are of no use to him who starts it."""
        copy = world().dir / "libexec/of-another"
        shutil.copy(world().shim, copy)
        self.addCleanup(copy.unlink)
        other = user("other")
        os.chown(copy, other.uid, other.gid)
        for mode in (0o4755, 0o2755):
            copy.chmod(mode)
            done = self.start(self.who, shim=copy)
            self.assertEqual(done.code, 125, done)
            self.assertIn("ids that are not the caller's", done.errors)
