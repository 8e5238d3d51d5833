"""`locald doctor` beside an installed shim: which file, which rights, why no more, and what to type."""

import json
import os

from tests.setuid.test_discovery import InstalledCase
from tests.setuid.test_setup import load_tests  # noqa: F401  (unittest's)
from tests.setuid.test_setup import HostsThatForbidNamespaces as Forbid


class Doctor(InstalledCase):
    def doctor(self, code=0, **kwargs):
        """id → (severity, summary, what to type)"""
        done = self.as_user("doctor", "--json", **kwargs)
        self.assertEqual(done.code, code, done)
        found = json.loads(done.text)
        remedies = {problem["id"]: problem["remediation"] for problem in found["problems"]}
        return {check["id"]: (check["severity"], check["summary"], " ".join(remedies.get(check["id"], []))) for check in found["checks"]}

    def assert_rootless(self, severity, why, remedy="", **kwargs):
        found = self.doctor(**kwargs)["shim.rights"]
        self.assertEqual(found[0], severity, found)
        self.assertIn(f"{self.bin}/locald-shim runs with this user's own rights", found[1])
        self.assertRegex(found[1], why)
        self.assertIn(remedy, found[2])

    def test_the_installed_one(self):
        self.assert_ok(self.setup())
        found = self.doctor()
        self.assertEqual(found["shim.rights"][0], "ok", found)
        self.assertIn(f"{self.stable} runs by root's setuid bit", found["shim.rights"][1])
        self.assertEqual(found["cgroup.root_ready"][0], "ok")
        self.assertEqual(found["ids.range"][:2], ("ok", f"{1 + self.who.ranges()[0][1]} user ids are mapped"))
        self.assertEqual(list((self.home / "data").iterdir()), [], "it writes nothing")

    def test_none_is_installed(self):
        self.assert_rootless("note", "none is installed", "sudo locald admin setup")
        self.assertEqual(self.doctor()["cgroup.root_ready"][2], "sudo locald admin setup")

    def test_a_refused_limit_names_the_same_remedy(self):
        done = self.as_user("container", "run", "--rm", "--memory", "64m", "locald/hello")
        self.assertEqual(done.code, 125, done)
        self.assertIn("`sudo locald admin setup` gives the users of a host cgroups of their own", done.errors)
        done = self.as_user("container", "run", "--rm", "locald/hello")
        self.assertRegex(done.errors, "warning: the container has no cgroup of its own: .*; `sudo locald admin setup` gives users their own")

    def test_one_of_another_build(self):
        self.assert_ok(self.setup())
        self.build_another()
        self.assert_rootless("warning", f"{self.stable} is not used: it is not of the same build", "sudo locald admin setup")

    def test_one_that_others_can_exchange(self):
        self.assert_ok(self.setup())
        self.base.chmod(0o777)
        self.assert_rootless("warning", f"{self.base} may be written by others than root", "sudo locald admin setup")
        self.base.chmod(0o755)
        os.chown(self.stable, self.who.uid, 0)
        self.stable.chmod(0o4755)
        self.assert_rootless("warning", f"it belongs to user {self.who.uid} and not to root", "sudo locald admin setup")

    def test_one_that_is_a_link(self):
        self.assert_ok(self.setup())
        self.stable.unlink()
        self.stable.symlink_to(next(self.base.glob("*/locald-shim")))
        self.assert_rootless("warning", "it is a symbolic link", "sudo locald admin setup")

    def test_one_for_a_group(self):
        self.assert_ok(self.setup("--group", "shadow"))
        self.assert_rootless("note", "this user may not execute it", "sudo usermod -aG shadow ")

    def test_a_mount_without_setuid(self):
        self.assert_ok(self.setup())
        self.assert_rootless("note", "it is on a mount with nosuid", before="mount --bind $P/libexec $P/libexec; mount -o remount,bind,nosuid $P/libexec")

    def test_no_new_privileges(self):
        self.assert_ok(self.setup())
        self.assert_rootless("note", "no_new_privs is set", options="--clear-groups --no-new-privs")

    def test_ranges_that_newuidmap_cannot_write_without_new_privileges(self):
        seen = "umount /usr/bin/newuidmap /usr/bin/newgidmap"
        self.assertEqual(self.doctor(before=seen)["ids.range"][0], "ok")
        found = self.doctor(before=seen, options="--clear-groups --no-new-privs")["ids.range"]
        self.assertEqual(found[0], "warning", found)
        self.assertIn("no_new_privs is set", found[1])
        done = self.as_user("container", "run", "--rm", "locald/hello", before=seen, options="--clear-groups --no-new-privs")
        self.assertEqual(done.code, 0, done)
        self.assertIn("no_new_privs is set", done.errors)

    def test_a_user_without_ranges_is_offered_one_that_nobody_has(self):
        name = self.who.name
        without = f"sed -i '/^{name}:/d' /etc/subuid /etc/subgid; echo mary:100000:65536 >>/etc/subuid; echo mary:700000000:65536 >>/etc/subgid"
        done = self.as_user("doctor", "--json", before=without)
        found = json.loads(done.text)
        commands = [fix["commands"] for fix in found["fixes"] if fix["key"] == "ids.range"]
        self.assertEqual(len(commands), 1, found)
        self.assertEqual(commands[0], [f"sudo usermod --add-subuids 700121088-700186623 --add-subgids 700121088-700186623 {name}"])
        done = self.as_user("container", "run", "--rm", "locald/hello", before=without)
        self.assertIn(commands[0][0], done.errors)
        done = self.as_user("container", "run", "--rm", "--user", "5", "locald/hello", before=without)
        self.assertIn(commands[0][0], done.errors)
        done = self.as_user("container", "run", "--rm", "--userns", "keep-id", "locald/hello", before=without)
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"{self.who.uid} is {self.who.uid} outside", done.text)

    def test_a_range_that_another_user_has_too(self):
        self.assert_ok(self.setup())
        self.assertNotIn("ids.shared", self.doctor())
        first, count = self.who.ranges()[0]
        both = f"echo mary:{first + count - 1}:9 >>/etc/subuid"
        severity, text, remedy = self.doctor(before=both)["ids.shared"]
        self.assertEqual(severity, "warning")
        self.assertIn(f"/etc/subuid: {self.who.name} and mary have the ids {first + count - 1} to {first + count - 1}: ", text)
        self.assertIn("usermod --add-subuids", remedy)
        one = f"echo {self.who.name}:900000000:5 >>/etc/subgid; echo {self.who.uid}:900000000:5 >>/etc/subgid"  # by name and by number
        done = self.host("$L admin status --prefix $P", before=f"{one}; echo mary:800000000:9 >>/etc/subgid; echo john:800000008:9 >>/etc/subgid; {both}")
        self.assertRegex(done.text, "note +ids.shared: /etc/subgid: .*mary and john have the ids 800000008 to 800000008")
        self.assertNotIn("900000000", done.text)
        self.assertRegex(done.text, f"note +ids.shared: /etc/subuid: .*{self.who.name} and mary have the ids")

    def test_a_setuid_file_that_its_user_can_exchange(self):
        beside = self.bin / "locald-shim"
        os.chown(beside, 0, 0)
        beside.chmod(0o4755)
        os.chown(self.bin, self.who.uid, 0)
        found = self.doctor()["shim.exposed"]
        self.assertEqual((found[0], found[2]), ("warning", f"sudo chmod u-s {beside}"))

    def test_no_shim_at_all_is_critical(self):
        (self.bin / "locald-shim").unlink()
        self.assertEqual(self.doctor(code=1)["shim.present"][0], "critical")

    def test_a_user_of_a_directory_has_his_ranges_by_number(self):
        self.who = Somebody(self.who)
        found = self.doctor(before=f"chown -R 1234567 {self.home}")["ids.directory"]
        self.assertEqual((found[0], found[2]), ("warning", "sudo locald admin setup --write-subids"))
        found = self.doctor(before="echo 1234567:700000000:65536 | tee -a /etc/subuid >>/etc/subgid")["ids.directory"]
        self.assertEqual(found[0], "ok")

    def test_apparmor_that_restricts_namespaces(self):
        before = (Forbid.RULES["kernel.apparmor_restrict_unprivileged_userns=1"] + "; mkdir -p /run/module/apparmor/parameters; "
                  "echo Y >/run/module/apparmor/parameters/enabled; mount --bind /run/module /sys/module")
        found = self.doctor(before=before)["lsm.apparmor"]
        self.assertEqual(found[0], "note", found)  # where the rule is real: tests/guest/ubuntu.py
        self.assertIn("kernel.apparmor_restrict_unprivileged_userns=1", found[1])
        found = self.doctor(before=before.replace("echo 1", "echo 0"))["lsm.apparmor"]
        self.assertEqual(found[0], "ok")

    def policy(self, text, code=0, more="true", **kwargs):
        before = f"mkdir -p /etc/locald; printf '{text}' >/etc/locald/shim.conf; {more}"
        return self.doctor(code=code, before=before, **kwargs)["shim.policy"]

    def test_the_policy_that_holds(self):
        self.assert_ok(self.setup())
        severity, text, _ = self.doctor(before="rm -rf /etc/locald")["shim.policy"]
        self.assertEqual(severity, "ok")
        self.assertRegex(text, "1024 containers, 32768 processes, memory without a limit.*the defaults: there is no /etc/locald/shim.conf")
        severity, text, _ = self.policy("containers = 64\\npids = 4096\\nmemory = 8G\\nids = 1-4000000000\\n")
        self.assertEqual(severity, "ok")
        self.assertRegex(text, "64 containers, 4096 processes, 8G of memory; .*within 1-4000000000 .by /etc/locald/shim.conf")
        self.assertEqual(self.policy("pids = 4096\\n", more="chmod 600 /etc/locald/shim.conf")[:1], ("ok",))

    def test_a_policy_that_refuses_this_user_is_an_error(self):
        self.assert_ok(self.setup())
        severity, text, remedy = self.policy("group = shadow\\n", code=1)
        self.assertEqual(severity, "critical")
        self.assertIn("lets only members of the group shadow", text)
        self.assertRegex(remedy, "sudo usermod -aG shadow [^ ]+ ")
        self.assertEqual(self.policy("group = shadow\\n", options=f"--groups={os.stat('/etc/shadow').st_gid}")[0], "ok")
        for words, conf, more in (("not within|ids", "ids = 5-6\\n", "true"), ("line 2: .*unknown key.*: nonsense", "\\nnonsense = 1\\n", "true"),
                                  ("regular file of root's", "pids = 9\\n", "chmod 666 /etc/locald/shim.conf"),
                                  ("regular file of root's", "pids = 9\\n", f"chown {self.who.uid} /etc/locald/shim.conf")):
            with self.subTest(conf, more=more):
                severity, text, remedy = self.policy(conf, code=1, more=more)
                self.assertEqual((severity, "locald-shim policy" in remedy), ("critical", True), text)
                self.assertRegex(text, words)


class Somebody:
    """An account that /etc/passwd does not have."""

    uid = gid = 1234567

    def __init__(self, who):
        self.home = who.home
