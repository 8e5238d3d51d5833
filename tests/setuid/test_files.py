"""root's files: the policy, the ranges of ids and the accounts, each wrong in every way that an administrator or an attacker
can make it wrong. The texts are laid over the real ones in a mount namespace of the test's own."""

import json
import os
import re
import subprocess

from tests.e2e.support import ROOT
from tests.setuid.support import Done, SAFE_PATH, SetuidCase, in_files, user, world


class FilesCase(SetuidCase):
    def run_with(self, files, *words, **kwargs):
        """`bundle run` of the user's with these texts in place of root's files."""
        bundle = self.bundle("cat", "/proc/self/uid_map", "/proc/self/setgroups")
        return self.shim_with(files, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id(), *words, **kwargs)

    def shim_with(self, files, *words, shim=None, owner=0, mode=0o644):
        sources = {}
        for target, text in files.items():
            source = world().dir / f"file-{len(list(world().dir.iterdir()))}"
            if text is None:
                os.mkfifo(source)
            else:
                source.write_text(text)
            os.chown(source, owner, 0)
            source.chmod(mode)
            sources[target] = source
            if not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "x", encoding="utf-8"):
                    self.addCleanup(os.rmdir, os.path.dirname(target))
                    self.addCleanup(os.unlink, target)
        argv = in_files(sources, "setpriv", f"--reuid={self.who.uid}", f"--regid={self.who.gid}", "--clear-groups", "--",
                        shim or world().shim, *words)
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
                              env={"PATH": SAFE_PATH, "HOME": str(self.who.home)}, cwd=self.who.home)
        return Done(argv, done.returncode, done.stdout, done.stderr)

    def ranges(self, uid_lines, gid_lines=None, **kwargs):
        return self.run_with({"/etc/subuid": uid_lines, "/etc/subgid": gid_lines or f"{self.who.name}:700000:10\n"}, **kwargs)

    def assert_map(self, done, *lines):
        self.assertEqual(done.code, 0, done)
        self.assertEqual([tuple(map(int, line.split())) for line in done.text.splitlines()[:-1]],
                         [(0, self.who.uid, 1), *lines], done)


class Files(FilesCase):
    def test_ranges_by_name_by_number_and_in_their_order(self):
        name, uid = self.who.name, self.who.uid
        self.assert_map(self.ranges(f"{name}:900000:5\n"), (1, 900000, 5))
        self.assert_map(self.ranges(f"{uid}:900000:5\n"), (1, 900000, 5))
        self.assert_map(self.ranges(f"{name}:900000:5\n{uid}:800000:7\nother:5:5\n"), (1, 900000, 5), (6, 800000, 7))
        self.assert_map(self.ranges(f"# comment\n\n{name}:900000:5"), (1, 900000, 5))
        self.assert_map(self.ranges(f"{name}x:900000:5\n{name[:-1]}:900000:5\n{uid}0:900000:5\n0{uid}x:1:1\n"))

    def test_bad_ranges_are_refused_with_their_line(self):
        name, uid = self.who.name, self.who.uid
        bad = {
            "holds the id 0": [f"{name}:0:65536"],
            "holds the caller's own id": [f"{name}:{uid}:1", f"{name}:{uid - 1}:2", f"{name}:1:4294967294"],
            "overlaps": [f"{name}:900000:10\n{name}:900009:1", f"{name}:900000:10\n{uid}:900000:10"],
            "expected NAME:FIRST:COUNT": [
                f"{name}:900000:0", f"{name}:900000:4294967295", f"{name}:4294967295:1", f"{name}:4294967296:1", f"{name}:-1:1",
                f"{name}:900000:", f"{name}::5", f"{name}:900000:5:6", f"{name}:900000: 5", f"{name}:0x10:5", f"{name}:9e5:5",
                f"{name}:900000:5 ", f"{name}:900000", f"{name}:18446744073709551616:1", f"{name}:{'9' * 5000}:1",
            ],
            "more than 16 ranges": ["\n".join(f"{name}:{900000 + 10 * i}:5" for i in range(17))],
        }
        for words, texts in bad.items():
            for text in texts:
                with self.subTest(text=text[:60]):
                    done = self.ranges(text + "\n")
                    self.assert_refused(done, "/etc/subuid, line ", words)

    def test_a_range_of_groups_may_not_hold_the_callers_group(self):
        done = self.ranges(f"{self.who.name}:900000:5\n", f"{self.who.name}:{self.who.gid}:1\n")
        self.assert_refused(done, "/etc/subgid, line 1", "own id")

    def test_without_a_range_of_groups_none_can_be_dropped(self):
        done = self.run_with({"/etc/subuid": f"{self.who.name}:900000:5\n", "/etc/subgid": "nobody-here:1:1\n"})
        self.assertEqual(done.text.split(), ["0", str(self.who.uid), "1", "deny"], done)

    def test_files_that_others_may_write_are_refused(self):
        for path in ("/etc/subuid", "/etc/subgid", "/etc/locald/shim.conf"):
            for how, remedy in (({"owner": self.who.uid}, "belongs to another user; root can: chown root"),
                                ({"mode": 0o666}, "chmod go-w"), ({"mode": 0o664}, "chmod go-w")):
                with self.subTest(path=path, how=how):
                    self.assert_refused(self.run_with({path: ""}, **how), path, "root's that nobody else may write", f"{remedy} {path}")
            done = self.run_with({path: None})
            self.assert_refused(done, path, "is no regular file")

    def test_an_account_without_a_name_keeps_its_own_ids(self):
        done = self.run_with({"/etc/passwd": "root:x:0:0::/:/bin/sh\n"})
        self.assert_map(done)

    def test_lines_of_accounts_that_are_no_lines(self):
        name, uid = self.who.name, self.who.uid
        grant = {"/etc/subuid": f"{name}:900000:5\n", "/etc/subgid": f"{name}:700000:5\n"}
        self.assert_map(self.run_with({"/etc/passwd": f"x\n::::\n:x:{uid}:1::/:\n{'a' * 9000}:x:{uid}:1\n{name}:x:{uid}:1::/:\n", **grant}),
                        (1, 900000, 5))
        self.assert_map(self.run_with({"/etc/passwd": f"{name}:x:{uid}x:1::/:\n{name}:x:+{uid}:1::/:\n{name}:x: {uid}:1::/:\n", **grant}))
        self.assert_map(self.run_with({"/etc/passwd": f"{'n' * 300}:x:{uid}:1::/:\n", **grant}))


class Policy(FilesCase):
    def policy(self, text, **kwargs):
        return self.run_with({"/etc/locald/shim.conf": text}, **kwargs)

    def test_a_group_admits_its_members_alone(self):
        self.assert_refused(self.policy("group = shadow\n"), f"usermod -aG shadow {self.who.name}, then log in again")
        nameless = {"/etc/locald/shim.conf": "group = shadow\n", "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}
        self.assert_refused(self.run_with(nameless), "usermod -aG shadow USER,")
        self.assertEqual(self.policy(f"group = {self.who.gid}\n").code, 0)
        self.assertEqual(self.policy(f"group = {self.who.name}\n").code, 0)

    def test_refused_callers_make_nothing(self):
        before = os.path.exists(self.who.state)
        self.assert_refused(self.policy("group = shadow\n"), "shadow")
        self.assertEqual(os.path.exists(self.who.state), before)

    def test_allowed_ranges(self):
        first, count = self.who.ranges()[0]
        self.assertEqual(self.policy(f"ids = {first}-{first + count - 1}\n").code, 0)
        self.assert_refused(self.policy(f"ids = {first}-{first + count - 2}\n"), "/etc/subuid, line", "not within `ids`",
                            "root can widen `ids` there, or change this line")

    def test_limits_of_a_user(self):
        self.assertEqual(self.policy("containers = 3\npids = 100\nmemory = 512M\nnetwork-helper = no\n# all\n\n").code, 0)

    def test_what_is_not_understood_is_refused_with_its_line(self):
        for text in ("x = 1", "group", "group =", "= 5", "containers = 0", "containers = -1", "containers = 3x", "containers = 99999999999",
                     "pids = 1e3", "memory = 5P", "memory = 99999999999999999999", "memory = G", "ids = 5-4", "ids = 5", "ids = 1-2-3",
                     "ids = 1-4294967295", "network-helper = maybe", "pids = 5\npids = 6", "group = no-such-group-here", "x" * 5000,
                     "containers 5"):
            with self.subTest(text=text[:40]):
                self.assert_refused(self.policy(f"# first\n{text}\n"), "/etc/locald/shim.conf, line [23]")

    def test_the_three_faults_of_a_line_are_told_apart(self):
        for text, words in (("x = 1", "unknown key: x; the keys are group, containers, pids, memory, ids, network-helper"),
                            ("pids = 5\npids = 6", "line 2: key given twice: pids"), ("pids = many", "value not understood: pids; expected pids = NUMBER"),
                            ("pids = 5#x", "expected pids = NUMBER"), ("memory = 5P", r"expected memory = NUMBER\[K\|M\|G\|T\]"), ("ids = 5", "expected ids = FIRST-LAST"),
                            ("network-helper = # yes", r"expected network-helper = yes\|no"), ("group = no-such-group-here", "groupadd --system NAME"),
                            ("pids = 5\r\n# more", "CR LF")):
            with self.subTest(text):
                self.assert_refused(self.policy(f"{text}\n"), words)

    def read(self, text):
        """What a start takes from it, as the caller is told."""
        done = self.shim_with({"/etc/locald/shim.conf": text}, "policy")
        self.assertEqual(done.code, 0, done)
        return json.loads(done.text)

    def test_comments_and_small_letters_are_understood(self):
        read = self.read("#a\n \t# b\npids = 7 # c\ncontainers=3\t#d # e\nmemory = 64m\n")
        self.assertEqual((read["pids"], read["containers"], read["memory"]), (7, 3, 64 << 20))
        self.assertEqual([self.read(f"memory = 2{unit}\n")["memory"] for unit in "kKgGtT"], [2 << shift for shift in (10, 10, 30, 30, 40, 40)])

    def test_the_example_of_the_documentation_lets_a_user_in(self):
        example = re.search(r"```\n(# group = .*?)```", (ROOT / "SECURITY.md").read_text(), re.S)[1]
        self.assertEqual(self.read(example)["pids"], 4096)
        self.assertEqual(self.policy(example).code, 0)
        for line in example.splitlines():
            self.assertTrue(self.read(line + "\n")["exists"], line)

    def test_a_group_that_has_no_name_is_said(self):
        self.assertIs(self.read("group = 4000000\n").get("groupHasNoName"), True)
        self.assertNotIn("groupHasNoName", self.read("group = shadow\n"))
        self.assert_refused(self.policy("group = 4000000\n"), "no line of /etc/group has this number; root can give it a name: groupadd --gid 4000000")


#: Looks for a text in all memory of a process that writes "up" first; the text comes in two halves, so as not to find itself.
LOOK = """
import re, sys
pid, secret, found = sys.argv[1], (sys.argv[2] + sys.argv[3]).encode(), 0
with open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in open(f"/proc/{pid}/maps"):
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if line.split()[1][0] != "r" or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
            continue
        memory.seek(first)
        found += memory.read(last - first).count(secret)
print("found", found)
"""


class Remains(FilesCase):
    def found(self, shim):
        """What the caller finds in the memory of his own start of a comment in a shim.conf that only root may read."""
        bundle = self.bundle("sh", "-c", "echo up; exec sleep 20")
        name = self.new_id()
        script = f"""
            '{shim}' bundle run --bundle {bundle.dir} --id {name} >up & shim=$!
            until grep -q up up; do sleep 0.05; done
            python3 -c "$LOOK" $shim SECRET- OF-ROOT
            '{shim}' kill {name} KILL; wait
        """.replace("$LOOK", LOOK.replace('"', '\\"'))
        done = self.shim_with({"/etc/locald/shim.conf": "# SECRET-" + "OF-ROOT\npids = 1000\n"}, "-c", script, shim="/bin/sh",
                              mode=0o600)
        self.assertIn("found ", done.text, done)
        return int(done.text.split("found ")[1])

    def test_lines_of_roots_do_not_stay_in_memory(self):
        self.assertEqual(self.found(world().shim), 0)

    def test_they_would_be_found(self):
        self.assertGreater(self.found(world().weak("remains")), 0)


class Bites(FilesCase):
    """The same attacks on the same program with one defence left out."""

    def run_weak(self, name, files, **kwargs):
        return self.run_with(files, shim=world().weak(name), **kwargs)

    def test_a_range_that_root_forbids_would_be_mapped(self):
        files = {"/etc/subuid": f"{self.who.name}:900000:5\n", "/etc/subgid": f"{self.who.name}:700000:5\n",
                 "/etc/locald/shim.conf": "ids = 1-10\n"}
        done = self.run_weak("ranges", files)
        self.assertEqual(done.code, 0, done)
        self.assertIn("900000", done.text)

    def test_the_kernel_too_maps_no_root(self):
        done = self.run_weak("ranges", {"/etc/subuid": f"{self.who.name}:0:5\n", "/etc/subgid": f"{self.who.name}:700000:5\n"})
        self.assert_refused(done, "uid_map", "Operation not permitted")

    def test_a_file_of_the_callers_would_be_believed(self):
        done = self.run_weak("files", {"/etc/subuid": f"{self.who.name}:900000:5\n"}, owner=self.who.uid)
        self.assertIn("900000", done.text, done)

    def test_a_stranger_would_be_admitted(self):
        self.assertEqual(self.run_weak("policy", {"/etc/locald/shim.conf": "group = shadow\n"}).code, 0)

    def test_groups_could_be_dropped_without_leave(self):
        done = self.run_weak("setgroups", {"/etc/subgid": "nobody-here:1:1\n"})
        self.assertIn("allow", done.text, done)
        self.assertIn("deny", self.run_with({"/etc/subgid": "nobody-here:1:1\n"}).text)

    def test_the_shim_itself_has_none_of_these_names(self):
        self.assertIn(b"weak-ranges", world().weak("ranges").read_bytes())
        self.assertNotIn(b"weak-", world().shim.read_bytes())


class OfAnother(SetuidCase):
    def test_a_range_of_one_user_is_not_anothers(self):
        text = self.assert_runs(self.bundle("cat", "/proc/self/uid_map"))
        self.assertNotIn(str(user("other").ranges()[0][0]), text)
