"""`locald admin setup`, `status` and `remove`: what they put on a host, what they refuse, and what a kill at any moment leaves.

Each command runs as root in a mount namespace with /run, /usr/local and /sys/fs/cgroup of its own and an overlay on /etc: nothing of this
host is changed. What is installed below --prefix lies in the tests' directory.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
import unittest

from tests.setuid.support import BUILT, Done, SAFE_PATH, SetuidCase, VIEW as CGROUP_VIEW, world

VIEW = """set -e
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 local /usr/local
mount -t tmpfs -o mode=755 work {work}
mkdir {work}/upper {work}/work {work}/etc
mount --bind /etc {work}/etc
mount -t overlay -o lowerdir=/etc,upperdir={work}/upper,workdir={work}/work etc /etc
[ "$CGROUPS" ] && mount --bind "$CGROUPS" /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
set +e
{before}
{script}
"""


def load_tests(_loader, tests, _pattern):
    """Once: the private view has the same cgroups in every layout."""
    return tests if CGROUP_VIEW == "host" else unittest.TestSuite()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class SetupCase(SetuidCase):
    def setUp(self):
        super().setUp()
        self.dir = world().dir / f"setup-{self.new_id()}"
        self.dir.mkdir(mode=0o755)
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.prefix = self.dir / "usr"
        self.base = self.prefix / "libexec/locald"
        self.stable = self.base / "locald-shim"
        (self.dir / "view").mkdir()
        self.bin = self.programs("bin")

    def programs(self, name, trailer=b""):
        """The two programs side by side; with a trailer the shim is another build, which runs as well."""
        place = self.dir / name
        place.mkdir(mode=0o755)
        for program in ("locald", "locald-shim"):
            shutil.copy(BUILT / program, place / program)
            (place / program).chmod(0o755)
        with open(place / "locald-shim", "ab") as file:
            file.write(trailer)
        if (BUILT.parent / "lib/locald").exists() and not (self.dir / "lib").exists():
            shutil.copytree(BUILT.parent / "lib/locald", self.dir / "lib/locald")
            subprocess.run(["chmod", "-R", "a+rX", self.dir / "lib"], check=True)
        return place

    def host(self, script, before="", variables=None, timeout=120):
        """A script of root's in the private view; $L is locald."""
        text = VIEW.format(work=self.dir / "view", before=before, script=script)
        env = {"PATH": SAFE_PATH, "L": str(self.bin / "locald"), "P": str(self.prefix), "ETC": str(self.dir / "view/etc"), "CGROUPS": "", "HOME": "/root", **(variables or {})}
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", text], stdin=subprocess.DEVNULL, capture_output=True,
                              env=env, timeout=timeout, check=False, cwd="/")
        return Done([script], done.returncode, done.stdout, done.stderr)

    def setup(self, *words, **kwargs):
        return self.host(" ".join(["$L admin setup --prefix $P", *map(str, words)]), **kwargs)

    def assert_ok(self, done):
        self.assertEqual((done.code, done.errors), (0, ""), done)
        return done.text

    def assert_refused_without_a_trace(self, done, *parts):
        self.assertEqual(done.code, 125, done)
        self.assertEqual(len(done.errors.splitlines()), 1, done)
        for part in parts:
            self.assertRegex(done.errors, part, done)
        self.assertFalse(os.path.lexists(self.base / "locald-shim"), done)

    def assert_installed(self, source=None, mode=0o4755, group=0):
        st = os.lstat(self.stable)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (mode, 0, group))
        self.assertEqual(digest(self.stable), digest((source or self.bin) / "locald-shim"))

    def tree(self):
        return {str(path): (os.lstat(path).st_ino, os.lstat(path).st_mode, os.lstat(path).st_mtime_ns, os.lstat(path).st_ctime_ns)
                for path in sorted(self.dir.rglob("*")) if self.dir / "view" not in [path, *path.parents]}


class Installing(SetupCase):
    def test_the_shim_has_one_file_with_two_names(self):
        text = self.assert_ok(self.setup())
        self.assert_installed()
        versions = [path for path in self.base.iterdir() if path.is_dir()]
        self.assertEqual(len(versions), 1)
        self.assertRegex(versions[0].name, rf"^\d+\.\d+\.\d+-{digest(self.stable)[:12]}$")
        self.assertTrue(os.path.samefile(versions[0] / "locald-shim", self.stable))
        self.assertIn("to undo: sudo locald admin remove --prefix", text)
        done = self.who.run([self.stable, "bundle", "run", "--bundle", self.bundle("id", "-u").dir, "--id", self.new_id()])
        self.assertEqual((done.code, done.text), (0, "0\n"), done)

    def test_a_second_run_changes_nothing_and_says_so(self):
        self.assert_ok(self.setup())
        before = self.tree()
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin setup --prefix $P")
        self.assertIn("All is as it should be; nothing was changed.", self.assert_ok(done))
        self.assertEqual(self.tree(), before)

    def test_a_dry_run_says_the_same_and_does_nothing(self):
        before = self.tree()
        done = self.host("$L admin setup --prefix $P --dry-run; ls -A /usr/local /sys/fs/cgroup; ls -d /run/locald")
        self.assertEqual(self.tree(), before)
        self.assertEqual(done.text.splitlines()[-3:], ["/sys/fs/cgroup:", "", "/usr/local:"], done)
        self.assertIn("/run/locald", done.errors)
        promised = [line.replace("would ", "done  ") for line in done.text.splitlines() if line.startswith("would")]
        made = [line for line in self.assert_ok(self.setup()).splitlines() if line.startswith("done")]
        self.assertEqual(promised, made)

    def test_the_default_place(self):
        done = self.host("$L admin setup >/dev/null; stat -c '%a %u %g %h' /usr/local/libexec/locald/locald-shim; $L admin remove; "
                         "ls -A /usr/local | wc -l")
        self.assertIn("4755 0 0 2", self.assert_ok(done))
        self.assertTrue(done.text.endswith("\n0\n"), done)

    def test_states_have_a_small_file_system_of_their_own(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; grep /run/locald /proc/mounts; stat -c '%a %u' /run/locald")
        self.assertRegex(self.assert_ok(done), r"nosuid,nodev,noexec.*size=65536k,nr_inodes=65536")
        self.assertIn("755 0", done.text)

    def test_states_that_are_there_are_not_hidden(self):
        done = self.host("mkdir -p /run/locald/4711/web; touch /run/locald/4711/web/state.json; $L admin setup --prefix $P; ls /run/locald/4711; $L admin remove --prefix $P; ls /run/locald/4711")
        self.assertEqual(self.assert_ok(done).count("\nweb\n"), 2, done)
        self.assertIn("no tmpfs hides them", done.text)

    def test_an_older_one_goes_and_a_hard_link_of_it_is_harmless(self):
        self.assert_ok(self.setup())
        kept = self.dir / "kept"
        os.link(self.stable, kept)
        newer = self.programs("newer", b"another build")
        self.assert_ok(self.setup(variables={"L": str(newer / "locald")}))
        self.assert_installed(newer)
        self.assertEqual(stat.S_IMODE(kept.stat().st_mode), 0o755)
        self.assertEqual(len([path for path in self.base.iterdir() if path.is_dir()]), 1)
        os.link(self.stable, self.dir / "kept too")
        self.assert_ok(self.host("$L admin remove --prefix $P"))
        self.assertEqual(stat.S_IMODE((self.dir / "kept too").stat().st_mode), 0o755)
        self.assertFalse(self.base.exists())

    def test_one_that_was_altered_is_replaced(self):
        self.assert_ok(self.setup())
        self.stable.write_bytes(b"no program")
        self.assertIn("missing", self.host("$L admin status --prefix $P").text)
        self.assert_ok(self.setup())
        self.assert_installed()

    def test_setup_during_a_run(self):
        self.assert_ok(self.setup())
        name = self.new_id()
        bundle = self.bundle("sleep", "60")
        process = self.who.popen([self.stable, "bundle", "run", "--bundle", bundle.dir, "--id", name])
        self.addCleanup(self.end, process)
        self.addCleanup(lambda: self.who.shim("delete", "--force", name))
        deadline = time.monotonic() + 10
        while '"running"' not in self.who.run([self.stable, "state", name]).text and time.monotonic() < deadline:
            time.sleep(0.02)
        newer = self.programs("newer", b"another build")
        self.assert_ok(self.setup(variables={"L": str(newer / "locald")}))
        done = self.who.run([self.stable, "exec", name, "echo", "in"])
        self.assertEqual((done.code, done.text), (0, "in\n"), done)
        self.assertIsNone(process.poll())
        self.assertEqual(self.who.run([self.stable, "kill", name, "KILL"]).code, 0)
        self.assertEqual(process.wait(10), 137)

    def test_removing_leaves_nothing(self):
        self.assert_ok(self.setup())
        before = self.tree()
        self.assert_ok(self.host("$L admin remove --prefix $P --dry-run"))
        self.assertEqual(self.tree(), before)
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin remove --prefix $P; grep locald /proc/mounts; "
                         "$L admin remove --prefix $P")
        self.assertNotIn("done", done.text.rsplit("good     shim.installed", 1)[1], done)
        self.assertFalse(self.base.exists())

    def test_status_tells_each_item(self):
        done = self.host("$L admin status --prefix $P --json")
        self.assertEqual(done.code, 1, done)
        items = {item["id"]: item for item in json.loads(done.text)["items"]}
        self.assertEqual(items["shim.installed"]["state"], "missing")
        self.assertIn("sudo locald admin setup --prefix", items["shim.installed"]["type"])
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin status --prefix $P --json")
        self.assertEqual(done.code, 0, done)
        self.assertTrue(json.loads(done.text)["good"])


class Groups(SetupCase):
    def test_only_members_of_the_group_may_run_it(self):
        self.assertIn("root:shadow, mode 4750", self.assert_ok(self.setup("--group", "shadow")))
        shadow = os.stat("/etc/shadow").st_gid
        self.assert_installed(mode=0o4750, group=shadow)
        with self.assertRaises(PermissionError):
            self.who.run([self.stable, "--shim-version"])
        self.assertEqual(self.who.run([self.stable, "--shim-version"], groups=[shadow]).code, 0)

    def test_others_are_told_that_they_may_not_look(self):
        self.assert_ok(self.setup("--group", "shadow"))
        done = self.who.run([self.bin / "locald", "admin", "status", "--prefix", self.prefix])
        self.assertRegex(done.text, "note +shim.installed: this user may not look at .*/locald-shim: open locald-shim: Permission denied\n +sudo locald admin status")

    def test_the_group_stays_when_setup_runs_again_without_it(self):
        self.assert_ok(self.setup("--group", "shadow"))
        self.assert_ok(self.setup(variables={"L": str(self.programs("newer", b"another build") / "locald")}))
        self.assertEqual(stat.S_IMODE(self.stable.stat().st_mode), 0o4750)

    def test_the_group_stays_when_a_name_or_the_setuid_bit_is_gone(self):
        version = next(iter(self.assert_ok(self.setup("--group", "shadow")) and [path for path in self.base.iterdir() if path.is_dir()]))
        shadow = os.stat("/etc/shadow").st_gid
        for spoil in (f"chmod u-s {self.stable}", f"chmod 0 {self.stable}", f"rm {self.stable}", f"rm {version}/locald-shim",
                      f"mv {self.stable} {self.base}/.locald-shim.new; rm {version}/locald-shim",
                      # as a kill within `remove` leaves it
                      "strace -f -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when=1 $L admin remove --prefix $P",
                      "strace -f -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when=2 $L admin remove --prefix $P"):
            with self.subTest(spoil):
                self.host(spoil)
                done = self.setup()
                self.assertIn("root:shadow, mode 4750: only members of the group may run it, as of the one that was there", self.assert_ok(done))
                self.assert_installed(mode=0o4750, group=shadow)

    def test_a_group_that_was_removed_is_named_by_its_number(self):
        self.assert_ok(self.setup("--group", "shadow"))
        for path in (self.stable, *self.base.glob("*/locald-shim")):
            os.chown(path, 0, 3999999)
            path.chmod(0o4750)
        for verb in ("setup", "status"):
            done = self.host(f"$L admin {verb} --prefix $P")
            self.assertNotEqual(done.code, 0)
            self.assertRegex(done.text + done.errors, r"group 3999999 alone.*no group of that number any more")
            self.assertRegex(done.text + done.errors, r"admin setup --group NAME")
            self.assertNotIn("groupadd", done.text + done.errors)
        self.assertEqual(os.stat(self.stable).st_gid, 3999999)
        self.assert_ok(self.setup("--group", "shadow"))
        self.assert_installed(mode=0o4750, group=os.stat("/etc/shadow").st_gid)

    def test_one_for_everybody_becomes_the_groups_and_the_old_file_has_no_rights(self):
        self.assert_ok(self.setup())
        os.link(self.stable, self.dir / "kept")
        self.assert_ok(self.setup("--group", "shadow"))
        self.assertEqual(stat.S_IMODE(self.stable.stat().st_mode), 0o4750)
        self.assertEqual(stat.S_IMODE((self.dir / "kept").stat().st_mode), 0o755)

    def test_a_group_without_a_name_is_refused(self):
        self.assert_refused_without_a_trace(self.setup("--group", "''"), "the name of the group is empty")

    def test_a_group_that_is_not_there_is_refused(self):
        self.assert_refused_without_a_trace(self.setup("--group", "no-such-group"), "no group \"no-such-group\"", "groupadd")


class HostsThatForbidNamespaces(SetupCase):
    #: rule → how the private view gets it
    RULES = {
        "kernel.unprivileged_userns_clone=0": "mount -t tmpfs kernel /proc/sys/kernel; echo 0 >/proc/sys/kernel/unprivileged_userns_clone",
        "kernel.apparmor_restrict_unprivileged_userns=1":
            "mount -t tmpfs kernel /proc/sys/kernel; echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "user.max_user_namespaces=0": "echo 0 >/run/zero; mount --bind /run/zero /proc/sys/user/max_user_namespaces",
    }

    def test_without_a_group_nothing_is_installed(self):
        for rule, before in self.RULES.items():
            with self.subTest(rule):
                done = self.setup(before=before)
                self.assert_refused_without_a_trace(done, rule.replace(".", r"\."), "sudo locald admin setup --group GROUP")
                self.assertEqual(done.text, "")

    def test_with_a_group_the_group_is_the_gate(self):
        for rule, before in self.RULES.items():
            with self.subTest(rule):
                self.assertIn("only members of the group may run it", self.assert_ok(self.setup("--group", "shadow", before=before)))
                self.assertEqual(stat.S_IMODE(self.stable.stat().st_mode), 0o4750)
                shutil.rmtree(self.prefix)

    def test_the_number_of_namespaces_is_named_and_not_changed(self):
        done = self.setup("--group shadow; cat /proc/sys/user/max_user_namespaces; ls -A /etc/sysctl.d | grep locald",
                          before=self.RULES["user.max_user_namespaces=0"])
        self.assertIn("--set-max-user-namespaces 15000", done.text)
        self.assertTrue(done.text.endswith("\n0\n"), done)

    def test_it_is_changed_when_that_is_asked_for_and_then_no_group_is_needed(self):
        done = self.setup("--set-max-user-namespaces 1234; cat /proc/sys/user/max_user_namespaces; echo; cat /etc/sysctl.d/60-locald.conf; "
                          "$L admin remove --prefix $P >/dev/null; ls /etc/sysctl.d/60-locald.conf",
                          before=self.RULES["user.max_user_namespaces=0"])
        self.assertIn("\n1234\n", done.text)
        self.assertIn("user.max_user_namespaces = 1234\n", done.text)
        self.assertIn("No such file", done.errors)

    def test_another_rule_is_found_before_the_number_is_changed(self):
        done = self.setup("--set-max-user-namespaces 1234; echo $?; cat /proc/sys/user/max_user_namespaces; ls -A /etc/sysctl.d | grep locald",
                          before=self.RULES["user.max_user_namespaces=0"] + "; " + self.RULES["kernel.unprivileged_userns_clone=0"])
        self.assertEqual(done.text, "125\n0\n", done)
        self.assertIn("kernel.unprivileged_userns_clone=0", done.errors)

    def test_apparmor_gets_a_profile_for_the_installed_path(self):
        before = (self.RULES["kernel.apparmor_restrict_unprivileged_userns=1"] + "; mkdir -p /run/module/apparmor/parameters; "
                  "echo Y >/run/module/apparmor/parameters/enabled; mount --bind /run/module /sys/module; mkdir -p /etc/apparmor.d/abi; "
                  "touch /etc/apparmor.d/abi/4.0")
        done = self.setup("--group shadow; cat /etc/apparmor.d/locald-shim; $L admin remove --prefix $P; ls /etc/apparmor.d | grep locald", before=before)
        self.assertIn(f"profile locald-shim {self.base}/{{,*/}}locald-shim flags=(unconfined) {{\n  userns,\n}}\n", done.text)
        self.assertIn("abi <abi/4.0>,\n", done.text)
        self.assertNotRegex(done.text, "(?m)^locald-shim$")


class Refusals(SetupCase):
    def test_an_ordinary_user_is_told_what_to_type(self):
        for verb in ("setup", "remove"):
            done = self.who.run([self.bin / "locald", "admin", verb, "--prefix", self.prefix])
            self.assert_refused(done, f"sudo locald admin {verb}")
            self.assertFalse(self.prefix.exists())

    def test_roots_number_in_a_namespace_of_the_users_is_not_root(self):
        done = self.who.run(["unshare", "-r", self.bin / "locald", "admin", "setup", "--prefix", self.who.home / "usr"])
        self.assertEqual(done.code, 125, done)
        self.assertFalse((self.who.home / "usr").exists())

    def test_mounts_without_setuid_or_programs(self):
        for option in ("nosuid", "noexec"):
            with self.subTest(option):
                done = self.setup(before=f"mkdir -p $P; mount -t tmpfs -o mode=755,{option} x $P")
                self.assert_refused_without_a_trace(done, option, "--prefix")

    def test_directories_that_others_can_write_in(self):
        def of_a_user(path):
            os.chown(path, self.who.uid, 0)

        for place in (self.prefix, self.prefix / "libexec", self.base):
            for spoil, words in ((of_a_user, "belongs to user"), (lambda path: path.chmod(0o775), "written by others"),
                                 (lambda path: path.chmod(0o757), "written by others")):
                with self.subTest(place=place, words=words):
                    self.base.mkdir(parents=True)
                    spoil(place)
                    self.assert_refused_without_a_trace(self.setup(), f"{place} .*{words}")
                    shutil.rmtree(self.prefix)

    def test_the_sticky_bit_is_enough_above_but_not_for_the_place_itself(self):
        self.base.mkdir(parents=True)
        self.base.chmod(0o1777)
        self.assert_refused_without_a_trace(self.setup(), "written by others")
        self.base.chmod(0o755)
        self.prefix.chmod(0o1777)
        self.assert_ok(self.setup())

    def test_links_on_the_way(self):
        target = self.dir / "elsewhere"
        for place in (self.prefix, self.prefix / "libexec", self.base):
            for exists in (True, False):
                with self.subTest(place=place, exists=exists):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.symlink_to(target)
                    if exists:
                        target.mkdir()
                    self.assert_refused_without_a_trace(self.setup(), f"{place} is a symbolic link")
                    self.assertEqual(target.exists(), exists)
                    self.assertFalse(exists and list(target.iterdir()))
                    place.unlink()
                    shutil.rmtree(target, True)
                    shutil.rmtree(self.prefix, True)

    def test_planted_links_where_setup_writes(self):
        self.assert_ok(self.setup())
        version = next(path for path in self.base.iterdir() if path.is_dir())
        shutil.rmtree(self.prefix)
        target = self.dir / "planted"
        for place in (self.stable, self.base / ".locald-shim.new", self.base / ".lock", version, version / "locald-shim",
                      version / ".locald-shim.new"):
            with self.subTest(place):
                place.parent.mkdir(parents=True)
                place.symlink_to(target)
                done = self.setup()
                self.assertFalse(os.path.lexists(target), done)
                if done.code == 0:
                    self.assert_installed()
                else:
                    self.assertIn("symbolic link", done.errors)
                shutil.rmtree(self.prefix)
        for place in ("/etc/sysctl.d/60-locald.conf", "/etc/sysctl.d/.60-locald.conf.new", "/run/locald"):
            with self.subTest(place):
                self.setup("--set-max-user-namespaces 1234", before=f"{HostsThatForbidNamespaces.RULES['user.max_user_namespaces=0']}; "
                           f"mkdir -p {os.path.dirname(place)}; ln -s {target} {place}")
                self.assertFalse(os.path.lexists(target))

    def test_prefixes_that_are_no_place(self):
        deep = self.prefix / "/".join(["d"] * 2050)
        for prefix in ("usr", "/usr/../tmp", "/usr/", "", "/", f"{self.prefix}/a\nb", f"{self.prefix}/a\x1bb", deep):
            with self.subTest(prefix):
                done = self.host(f"$L admin setup --prefix '{prefix}'")
                self.assertFalse(self.prefix.exists() or os.path.exists("/libexec/locald"))
                self.assertEqual((done.code, len(done.errors.splitlines())), (125, 1), done)


class Kills(SetupCase):
    def setUp(self):
        super().setUp()
        self.newer = self.programs("newer", b"another build")
        self.assert_ok(self.setup())
        self.known = {digest(self.bin / "locald-shim"), digest(self.newer / "locald-shim")}

    def assert_old_or_new(self, words=""):
        st = os.lstat(self.stable)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid), (0o4755, 0), words)
        self.assertIn(digest(self.stable), self.known, words)

    def test_at_every_call_that_changes_something(self):
        calls = ("mkdirat", "openat", "write", "fsync", "fchown", "fchmod", "renameat2", "linkat", "unlinkat", "mount")
        programs = [self.newer, self.bin]
        killed = 0
        for call in calls:
            for count in range(1, 60):
                done = self.host(f"strace -f -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={count} "
                                 "$L admin setup --prefix $P", variables={"L": str(programs[0] / "locald")})
                self.assert_old_or_new(f"{call} {count}: {done}")
                if done.code == 0:
                    self.assertEqual(digest(self.stable), digest(programs[0] / "locald-shim"))
                    programs.reverse()
                    break
                killed += 1
                if call == "openat" and count >= 40:
                    break
        self.assertGreater(killed, 60)
        self.assert_ok(self.setup())
        self.assert_installed()
        self.assertEqual(sorted(path.name for path in self.base.rglob("*") if path.name not in (".lock", ".made", "locald-shim")),
                         [path.name for path in self.base.iterdir() if path.is_dir()])
        self.assertEqual(len([path for path in self.base.iterdir() if path.is_dir()]), 1)

    def test_limits_do_not_stop_it_half_way(self):
        with open("/proc/self/status", encoding="utf-8") as file:
            may_raise = int(file.read().split("CapEff:")[1].split()[0], 16) >> 24 & 1  # CAP_SYS_RESOURCE
        for option in ("-S", "-H -S") if may_raise else ("-S",):
            with self.subTest(option):
                for place in (self.newer, self.bin):
                    self.assert_ok(self.host(f"ulimit {option} -f 0; $L admin setup --prefix $P | cat", variables={"L": str(place / "locald")}))
                    self.assert_installed(place)

    def test_limits_that_cannot_be_raised_leave_the_old_one_and_nothing_else(self):
        before = self.tree()
        done = self.host("setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource sh -c 'ulimit -f 0; exec $L admin setup --prefix $P'",
                         variables={"L": str(self.newer / "locald")})
        self.assertEqual(done.code, 125, done)
        self.assertIn("File too large", done.errors)
        self.assert_installed()
        self.assertEqual({path for path in self.tree() if path.endswith(".new")}, set())
        self.assertTrue(set(before) <= set(self.tree()))

    def test_a_full_disk_leaves_the_old_one(self):
        before = ("mount -t tmpfs -o mode=755,size=6m full $P; $BIN/locald admin setup --prefix $P >/dev/null; ")
        done = self.host("$L admin setup --prefix $P; stat -c %a $P/libexec/locald/locald-shim; cmp $P/libexec/locald/locald-shim $BIN/locald-shim && "
                         "echo same; find $P -name '.*.new'", before=before, variables={"BIN": str(self.bin), "L": str(self.newer / "locald")})
        self.assertIn("No space left", done.errors)
        self.assertTrue(done.text.endswith("4755\nsame\n"), done)
