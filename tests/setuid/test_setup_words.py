"""How `locald admin` speaks: what status found, to whom, and how little when asked; and that it takes away only what it made."""

import json
import os
import subprocess
import unittest

from tests.setuid.support import user
from tests.setuid.test_setup import SetupCase, load_tests  # noqa: F401  (unittest's)
from tests.setuid.test_setup_places import CgroupCase


class Words(SetupCase):
    def found(self, script=":"):
        done = self.host(f"$L admin setup --prefix $P >/dev/null; {script}; $L admin status --json --prefix $P")
        return {item["id"]: (item["state"], item["what"]) for item in json.loads(done.text)["items"]}

    def test_status_says_what_it_found(self):
        done = self.host("$L admin status --prefix $P")
        self.assertRegex(done.text, f"missing +shim.installed: {self.stable} is not there\n +sudo locald admin setup")
        self.assertRegex(done.text, "missing +run.states: /run/locald is no tmpfs of its own")
        for script, words in (("chmod 755 $P/libexec/locald/locald-shim", "belongs to 0:0 with mode 0755"),
                              ("rm $P/libexec/locald/locald-shim", "is not there"),
                              ("rm -r $P/libexec/locald/[0-9]*", "is another file than"),
                              ("mkdir $P/libexec/locald/0.0.1-abc; cp $L-shim $P/libexec/locald/0.0.1-abc/locald-shim",
                               "still has 0.0.1-abc/locald-shim of an older setup"),
                              ("echo >>$P/libexec/locald/locald-shim", "is of another build than")):
            with self.subTest(script):
                state, what = self.found(script)["shim.installed"]
                self.assertEqual(state, "missing")
                self.assertIn(words, what)

    def test_removing_says_what_is_removed(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin remove --prefix $P --dry-run; $L admin remove --prefix $P")
        self.assertIn(f"shim.installed: {self.stable} would be removed\n", self.assert_ok(done))
        self.assertIn(f"shim.installed: {self.stable} is removed\n", done.text)

    def test_who_is_not_root_is_told_what_he_may_not(self):
        for verb, words in (("setup", "set up this host"), ("remove", "remove the installed locald-shim and what belongs to it")):
            done = self.who.run([self.bin / "locald", "admin", verb, "--prefix", self.prefix])
            self.assertEqual((done.code, done.errors), (125, f"locald: {words}: only root may; sudo locald admin {verb}\n"))

    def test_what_is_to_be_typed_names_the_place(self):
        done = self.host("$L admin remove --prefix $P; mkdir -p /run/locald/4711/web; touch /run/locald/4711/web/state.json; $L admin remove --prefix $P")
        self.assertIn(f"sudo locald admin remove --prefix {self.prefix}   # when they have ended\n", self.assert_ok(done))

    def test_quiet_says_nothing(self):
        done = self.host("$L --quiet admin setup --prefix $P; $L admin --quiet setup --prefix $P; $L admin setup --quiet --prefix $P;"
                         "$L admin remove --quiet --prefix $P")
        self.assertEqual(done.text, "", done)

    def test_a_dry_run_is_for_everybody(self):
        for verb, words in (("setup", "would +shim.installed"), ("remove", "good +shim.installed: .* is not there")):
            done = self.who.run([self.bin / "locald", "admin", verb, "--dry-run", "--prefix", self.prefix])
            self.assertEqual(done.code, 0, done)
            self.assertRegex(done.text, words)
        self.assertFalse(self.prefix.exists())
        self.assert_ok(self.setup("--group", "shadow"))
        done = self.who.run([self.bin / "locald", "admin", "setup", "--dry-run", "--prefix", self.prefix])
        self.assertEqual(done.code, 125, done)
        self.assertRegex(done.errors, "Permission denied; sudo locald admin setup --dry-run")

    def test_a_pipe_that_nobody_reads_ends_what_only_shows_and_no_work(self):
        # The reader is gone before the first word.
        done = self.host("{ sleep 0.2; $L admin status --prefix $P; } | true; { sleep 0.2; $L admin setup --prefix $P; echo $? >&2; } | true")
        self.assertEqual((done.text, done.errors), ("", "0\n"), done)
        self.assert_installed()

    def test_directories_that_setup_made_go_and_others_stay(self):
        done = self.host("$L admin setup >/dev/null; $L admin setup >/dev/null; ls /usr/local; $L admin remove >/dev/null; ls -A /usr/local; echo .;"
                         "mkdir /usr/local/libexec; $L admin setup >/dev/null; $L admin remove >/dev/null; ls -A /usr/local")
        self.assertEqual(self.assert_ok(done), "libexec\n.\nlibexec\n")
        self.assert_ok(self.setup())
        (self.prefix / "libexec/other").mkdir()
        self.assert_ok(self.host("$L admin remove --prefix $P"))
        self.assertEqual(os.listdir(self.prefix / "libexec"), ["other"])


class TwoPlaces(CgroupCase):
    """Two installations share the cgroups and the tmpfs: the last to go takes them away."""

    def test_what_another_one_needs_stays(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin setup --prefix $P-2 >/dev/null; $L admin remove --prefix $P-2;"
                         "stat -c %d /run /run/locald | uniq | wc -l; ls -d /sys/fs/cgroup/locald; cat /etc/locald/installations; echo .;"
                         "$L admin remove --prefix $P; stat -c %d /run /run/locald | uniq | wc -l; ls -d /sys/fs/cgroup/locald /etc/locald/installations 2>&1",
                         before="rm -rf /etc/locald", variables={"CGROUPS": self.root})
        first, second = done.text.split("\n.\n")
        self.assertIn(f"note     shim.others: {self.stable} is installed as well", first)
        self.assertTrue(first.endswith(f"\n2\n/sys/fs/cgroup/locald\n{self.base}"), first)
        self.assertNotIn("shim.others", second)
        self.assertIn("the tmpfs on /run/locald is removed", second)
        self.assertIn("\n1\n", second)
        self.assertEqual(second.count("No such file"), 2, second)

    def test_one_whose_file_is_gone_is_none(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin setup --prefix $P-2 >/dev/null; rm -r $P; $L admin remove --prefix $P-2")
        self.assertNotIn("shim.others", self.assert_ok(done))
        self.assertIn("the tmpfs on /run/locald is removed", done.text)


@unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/pids"), "there are no cgroups of version 1 here")
class VersionOne(SetupCase):
    def setUp(self):
        super().setUp()
        self.root = f"/sys/fs/cgroup/pids/locald-setup-{os.getpid()}"
        os.mkdir(self.root)
        self.addCleanup(subprocess.run, ["find", self.root, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=False)
        self.view = (f"mkdir -p /sys/fs/cgroup/pids /run/pids; mount -t cgroup -o pids pids /run/pids; "
                     f"mount --bind /run/pids/{os.path.basename(self.root)} /sys/fs/cgroup/pids")

    def test_its_controllers_are_named(self):
        self.assertRegex(self.assert_ok(self.setup(before=self.view)), "cgroups are version 1: .* with the controllers pids\n")

    def test_a_tree_from_before_stays_and_one_of_the_shims_goes(self):
        os.makedirs(f"{self.root}/locald/user-4711")
        done = self.host("$L admin setup --prefix $P >/dev/null; $L admin setup --prefix $P >/dev/null; $L admin remove --prefix $P", before=self.view)
        self.assertIn("/sys/fs/cgroup/pids/locald was not made by setup: it stays", self.assert_ok(done))
        os.rmdir(f"{self.root}/locald/user-4711")
        os.rmdir(f"{self.root}/locald")
        done = self.host("$L admin setup --prefix $P >/dev/null; mkdir -p /sys/fs/cgroup/pids/locald/user-4711; $L admin setup --prefix $P >/dev/null; "
                         "$L admin remove --prefix $P", before=self.view)
        self.assertIn("/sys/fs/cgroup/pids/locald is removed", self.assert_ok(done))
        self.assertFalse(os.path.exists(f"{self.root}/locald"))

    def test_users_outside_the_group_lose_what_they_had(self):
        member = user("other")
        for who in (self.who, member):
            os.makedirs(f"{self.root}/locald/user-{who.uid}/old")
            for path in ("", "/old"):
                os.chown(f"{self.root}/locald/user-{who.uid}{path}", who.uid, who.gid)
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with open(f"{self.root}/locald/user-{self.who.uid}/old/cgroup.procs", "w", encoding="utf-8") as file:
            file.write(str(process.pid))
        before = f"{self.view}; sed -i '/^shadow:/s/$/{member.name}/' /etc/group"
        done = self.setup("--group", "shadow", before=before)
        self.assertRegex(self.assert_ok(done), f"note +cgroup.users: .*/locald/user-{self.who.uid} stays its user's, .* while his containers run")
        process.kill()
        process.wait()
        done = self.host("$L admin status --prefix $P", before=before)
        self.assertRegex(done.text, f"missing +cgroup.users: users who are not in the group shadow still have cgroups of their own: user-{self.who.uid}\n")
        self.assertRegex(self.assert_ok(self.setup(before=before)), f"done +cgroup.users: .*are gone: user-{self.who.uid}\n")
        self.assertEqual([path.name for path in os.scandir(f"{self.root}/locald") if path.is_dir()], [f"user-{member.uid}"])


class OthersCgroups(CgroupCase):
    """A tree that an administrator made and perhaps delegated is not setup's to remove."""

    def test_one_from_before_stays(self):
        os.makedirs(f"{self.root}/locald/user-4711")
        self.assert_ok(self.setup(variables={"CGROUPS": self.root}))
        done = self.host("$L admin remove --prefix $P", variables={"CGROUPS": self.root})
        self.assertIn("/sys/fs/cgroup/locald was not made by setup: it stays", self.assert_ok(done))
        self.assertTrue(os.path.exists(f"{self.root}/locald/user-4711"))

