"""Ubuntu 24.04 as it is installed: AppArmor leaves a user namespace no rights but to programs whose profile says so. Its machine is
another one (vm-images/ubuntu), so no test_*.py: tests.guest.run names the class."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.guest.support import HERE, UID, USER, WORK, GuestCase, config, read, run

INSTALLED = Path("/usr/local/libexec/locald/locald-shim")
PROFILE = Path("/etc/apparmor.d/locald-shim")
RULE = "kernel.apparmor_restrict_unprivileged_userns=1"
GROUP, OTHER = "containers", "other"


def loaded():
    return {line.split()[0] for line in read(Path("/sys/kernel/security/apparmor/profiles")).splitlines()}


def as_(name, *argv):
    return ["runuser", "-u", name, "--", "env", f"HOME=/home/{name}", *argv]


class AppArmor(GuestCase):
    def setUp(self):
        super().setUp()
        # What the tests stand on: Ubuntu's own rule, set by its own packages and in force.
        self.assertEqual(read(Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")), "1")
        self.assertIn("unprivileged_userns", loaded())
        for words in (["groupadd", "--system", GROUP], ["usermod", "-aG", GROUP, USER], ["useradd", "--create-home", OTHER]):
            self.assertEqual(run(words).returncode, 0, words)
        for words in (["groupdel", GROUP], ["userdel", "--force", "--remove", OTHER], self.admin("remove")):
            self.addCleanup(run, words)

    @staticmethod
    def admin(*words):
        return ["sudo", "-n", HERE / "locald", "admin", *words]

    def ok(self, argv):
        done = run(argv)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def doctor(self, name, code):
        """id → (severity, summary, what to type)"""
        done = run(as_(name, HERE / "locald", "doctor", "--json"))
        self.assertEqual(done.returncode, code, done)
        found = json.loads(done.stdout)
        remedies = {problem["id"]: " ".join(problem["remediation"]) for problem in found["problems"]}
        return {check["id"]: (check["severity"], check["summary"], remedies.get(check["id"], "")) for check in found["checks"]}

    def hello(self, name):
        return run(as_(name, HERE / "locald", "container", "run", "--rm", "--memory", "64m", "locald/hello", "exit", "7"))

    def assert_refused(self, name, to_type):
        done = run(as_(name, HERE / "locald", "container", "run", "--rm", "locald/hello"))
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("kernel.apparmor_restrict_unprivileged_userns is 1: sudo locald admin setup --group GROUP", done.stderr)
        severity, summary, remedy = self.doctor(name, 1)["userns.allowed"]
        self.assertEqual((severity, remedy), ("critical", to_type))
        self.assertIn(RULE, summary)

    def test_rootless_is_refused_and_a_setup_for_everybody_too(self):
        self.assert_refused(USER, "sudo locald admin setup --group GROUP")
        done = run(self.admin("setup"))
        self.assertEqual(done.returncode, 125, done)
        self.assertIn(RULE, done.stderr)
        self.assertIn("sudo locald admin setup --group GROUP", done.stderr)
        self.assertFalse(INSTALLED.exists() or PROFILE.exists())

    def test_a_group_has_containers_and_others_have_none(self):
        self.ok(self.admin("setup", "--group", GROUP))
        self.assertIn("locald-shim", loaded())
        self.assertIn("All is as it should be", self.ok(self.admin("setup", "--group", GROUP)))
        self.assertEqual(self.hello(USER).returncode, 7)
        self.exec_and_delete()
        found = self.doctor(USER, 0)
        self.assertEqual({name: what for name, what in found.items() if what[0] not in ("ok", "note")}, {})
        self.assert_refused(OTHER, f"sudo usermod -aG {GROUP} {OTHER}   # then log in again")
        # The profile serves the installed file where its bit is not in force as well.
        place = self.bundle("true", **{field: [{"containerID": 0, "hostID": UID, "size": 1}] for field in ("uidMappings", "gidMappings")})
        done = run(as_(USER, "setpriv", "--no-new-privs", INSTALLED, "bundle", "run", "--bundle", place, "--id", place.name))
        self.assertEqual(done.returncode, 0, done)
        self.ok(self.admin("remove"))
        self.assertNotIn("locald-shim", loaded())
        self.assertEqual([path for path in (PROFILE, INSTALLED.parent) if path.exists()], [])
        self.assert_refused(USER, "sudo locald admin setup --group GROUP")

    def bundle(self, line, **linux):
        place = WORK / self.new_id()
        place.mkdir()
        self.addCleanup(shutil.rmtree, place)
        spec = config(line)
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"].update(linux)
        (place / "config.json").write_text(json.dumps(spec))
        return place

    def exec_and_delete(self):
        place = self.bundle("sleep 1000")
        # The container keeps what it is given as output.
        made = subprocess.run([str(word) for word in as_(USER, INSTALLED, "create", "--bundle", place, place.name)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(made.returncode, 0)
        self.ok(as_(USER, INSTALLED, "start", place.name))
        self.assertEqual(self.ok(as_(USER, INSTALLED, "exec", place.name, "id", "-u")), "0\n")
        self.ok(as_(USER, INSTALLED, "delete", "--force", place.name))


# What a loader of tests takes for tests.
del GuestCase
