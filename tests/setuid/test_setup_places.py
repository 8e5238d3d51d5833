"""What `locald admin setup` does beside the shim: cgroups, and the ranges of directory users."""

import os
import subprocess

from tests.setuid.test_setup import SetupCase, load_tests  # noqa: F401  (unittest's)


class CgroupCase(SetupCase):
    """Below a cgroup of version 2 of our own, which the private view has as its whole tree."""

    def setUp(self):
        super().setUp()
        mount = next((path for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(f"{path}/cgroup.subtree_control")), None)
        self.assertIsNotNone(mount)
        self.root = f"{mount}/locald-setup-{os.getpid()}"
        os.mkdir(self.root)
        self.addCleanup(subprocess.run, ["find", self.root, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=False)
        with open(f"{self.root}/cgroup.controllers", encoding="utf-8") as file:
            self.controllers = [name for name in file.read().split() if name in ("memory", "pids", "cpu", "io", "cpuset", "hugetlb")]


class Cgroups(CgroupCase):
    def test_users_have_every_controller_that_there_is(self):
        done = self.setup("; cat /sys/fs/cgroup/locald/cgroup.subtree_control", variables={"CGROUPS": self.root})
        self.assertEqual(set(self.controllers), set(self.assert_ok(done).splitlines()[-1].split() if self.controllers else []))
        self.assertEqual(os.stat(f"{self.root}/locald").st_uid, 0)

    def test_a_subtree_from_before_stays_its_users(self):
        if not self.controllers:
            self.skipTest("version 2 has no controller here")
        subtree = f"{self.root}/locald/user-{self.who.uid}"
        os.makedirs(subtree)
        os.chown(subtree, self.who.uid, self.who.gid)
        os.mkdir(f"{subtree}/k1")
        self.assertIn("done     cgroup.controllers", self.assert_ok(self.setup(variables={"CGROUPS": self.root})))
        self.assertEqual(os.stat(subtree).st_uid, self.who.uid)
        self.assertEqual(self.who.run(["rmdir", f"{subtree}/k1"]).code, 0)

    def test_removing_takes_empty_cgroups_and_names_those_in_use(self):
        self.assert_ok(self.setup(variables={"CGROUPS": self.root}))
        os.mkdir(f"{self.root}/locald/user-4711")
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with open(f"{self.root}/locald/user-4711/cgroup.procs", "w", encoding="utf-8") as file:
            file.write(str(process.pid))
        done = self.host("$L admin remove --prefix $P", variables={"CGROUPS": self.root})
        self.assertIn("it stays", self.assert_ok(done))
        process.kill()
        process.wait()
        self.assert_ok(self.host("$L admin remove --prefix $P", variables={"CGROUPS": self.root}))
        self.assertFalse(os.path.exists(f"{self.root}/locald"))


    def test_cgroups_nested_deeper_than_a_path_is_long_go_too(self):
        self.assert_ok(self.setup(variables={"CGROUPS": self.root}))
        subtree = f"{self.root}/locald/user-{self.who.uid}"
        os.mkdir(subtree)
        os.chown(subtree, self.who.uid, self.who.gid)
        nest = "import os\nfor _ in range(40):\n    os.mkdir('c' * 200); os.mkdir('d'); os.chdir('c' * 200)\n"
        done = self.who.run(["python3", "-I", "-c", f"import os; os.chdir({subtree!r})\n{nest}"])
        self.assertEqual(done.code, 0, done)
        self.assertIn("locald is removed", self.assert_ok(self.host("$L admin remove --prefix $P", variables={"CGROUPS": self.root})))
        self.assertFalse(os.path.exists(f"{self.root}/locald"))


class Room(SetupCase):
    def test_who_fills_the_states_is_named(self):
        for fill in ("dd if=/dev/zero of=/run/locald/4711/x bs=1M count=63", "cd /run/locald/4711; seq 65000 | xargs touch; cd /"):
            with self.subTest(fill):
                done = self.host(f"$L admin setup --prefix $P >/dev/null; mkdir /run/locald/4711 /run/locald/4712; $L admin status --prefix $P; "
                                 f"({fill}) 2>/dev/null; echo FULL; $L admin status --prefix $P")
                before, after = done.text.split("FULL")
                self.assertNotIn("run.room", before)
                self.assertRegex(after, "note +run.room: .*nearly full.*; most of it is in /run/locald/4711\n")


class RemovingInSpiteOfUsers(SetupCase):
    def test_a_directory_that_is_no_state_and_somebody_inside_keep_no_tmpfs(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; mkdir -p /run/locald/4711/x; cd /run/locald/4711; $L admin remove --prefix $P; "
                         "code=$?; cd /; stat -c %d /run /run/locald | uniq | wc -l; exit $code")
        self.assertEqual((done.code, done.errors), (0, ""), done)
        self.assertIn("a process still stands in what was /run/locald", done.text)
        self.assertTrue(done.text.endswith("\n1\n"), done)

    def test_a_state_keeps_it(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; mkdir -p /run/locald/4711/web; echo >/run/locald/4711/web/state.json; "
                         "$L admin remove --prefix $P; stat -c %d /run /run/locald | uniq | wc -l")
        self.assertIn("it stays", done.text)
        self.assertTrue(done.text.endswith("\n2\n"), done)

    def test_a_step_that_fails_skips_no_later_one_and_is_told(self):
        done = self.host("$L admin setup --prefix $P >/dev/null; chown 4711 $P/libexec; $L admin remove --prefix $P; code=$?; "
                         "stat -c %d /run /run/locald | uniq | wc -l; chown 0 $P/libexec; exit $code")
        self.assertEqual(done.code, 125, done)
        self.assertIn("belongs to user 4711", done.errors)
        self.assertTrue(done.text.endswith("\n1\n"), done)


class DirectoryUsers(SetupCase):
    SUDO = {"SUDO_USER": "somebody@example.org", "SUDO_UID": "1234567"}

    def test_the_lines_are_named_and_not_written(self):
        done = self.setup("; cmp /etc/subuid $ETC/subuid && cmp /etc/subgid $ETC/subgid && echo same", variables=self.SUDO)
        self.assertRegex(self.assert_ok(done), r"echo 1234567:\d+:65536 \| sudo tee -a /etc/subuid")
        self.assertRegex(done.text, r"echo 1234567:\d+:65536 \| sudo tee -a /etc/subgid")
        self.assertTrue(done.text.endswith("same\n"), done)

    def test_they_are_written_when_that_is_asked_for_and_the_rest_of_the_files_stays(self):
        done = self.setup("--write-subids; stat -c %a /etc/subuid; diff $ETC/subuid /etc/subuid; diff $ETC/subgid /etc/subgid; "
                          "$L admin setup --prefix $P --write-subids; ls /etc | grep -c 'sub[ug]id[.]'",
                          before="chmod 640 /etc/subuid", variables=self.SUDO)
        self.assertEqual(len([line for line in done.text.splitlines() if line.startswith("> 1234567:")]), 2, done)
        self.assertFalse([line for line in done.text.splitlines() if line.startswith("< ")], done)
        self.assertIn("\n640\n", done.text)
        self.assertIn("All is as it should be", done.text)
        self.assertTrue(done.text.endswith("\n0\n"), done)
        first = int(done.text.split("> 1234567:")[1].split(":")[0])
        with open("/etc/subuid", encoding="utf-8") as file:
            taken = [line.split(":") for line in file.read().splitlines() if line.count(":") == 2]
        self.assertTrue(all(int(start) + int(count) <= first for _, start, count in taken))

    def test_another_program_that_writes_them_is_waited_for_by_whoever_typed_it(self):
        done = self.setup("--write-subids", before="echo 1 >/etc/subuid.lock", variables=self.SUDO)
        self.assertEqual(done.code, 125, done)
        self.assertIn("/etc/subuid.lock", done.errors)
