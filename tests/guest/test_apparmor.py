"""process.apparmorProfile, with profiles that are really loaded."""

from tests.guest.support import WORK, Created, GuestCase, config, rootfs, run, user_manager

NAME = "locald-guest-test"
PROFILE = f"""profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  file,
  signal,
  capability,
  deny /tmp/closed rw,
}}
"""


class AppArmor(GuestCase):
    """A profile that leaves all but one file."""

    line = "cat /proc/self/attr/current; echo > /tmp/open && echo open; echo > /tmp/closed || echo closed"

    def setUp(self):
        super().setUp()
        rootfs()
        profile = WORK / "profile"
        profile.write_text(PROFILE)
        loaded = run(["apparmor_parser", "--replace", "--skip-cache", profile])
        self.assertEqual(loaded.returncode, 0, loaded)
        self.addCleanup(run, ["apparmor_parser", "--remove", profile])

    def confined(self, line=None, **process):
        spec = config(line or self.line)
        spec["process"].update(apparmorProfile=NAME, **process)
        return spec

    def assert_confined(self, text):
        lines = [line for line in text.splitlines() if "can't create /tmp/closed: Permission denied" not in line]
        self.assertEqual(lines, [f"{NAME} (enforce)", "open", "closed"], text)
        self.assertIn("Permission denied", text)

    def test_a_profile_confines_the_program(self):
        for no_new_privileges in (True, False):
            with self.subTest(noNewPrivileges=no_new_privileges):
                text, _ = self.run_line("", spec=self.confined(noNewPrivileges=no_new_privileges))
                self.assert_confined(text)

    def test_without_a_profile_nothing_is_confined(self):
        text, _ = self.run_line("cat /proc/self/attr/current; echo > /tmp/closed && echo open")
        self.assertEqual(text, "unconfined\nopen\n")

    def test_a_profile_confines_in_a_user_namespace_too(self):
        spec = self.confined()
        spec["linux"]["namespaces"].append({"type": "user"})
        for field in ("uidMappings", "gidMappings"):
            spec["linux"][field] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        text, _ = self.run_line("", spec=spec)
        self.assert_confined(text)

    def test_an_ordinary_users_container_is_confined(self):
        user_manager()
        text, _ = self.run_line("", spec=self.confined(), user=True)
        self.assert_confined(text)

    def test_the_profile_stays_when_the_container_has_no_procfs(self):
        spec = self.confined("echo > /tmp/closed || echo closed")
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/proc"]
        text, _ = self.run_line("", spec=spec)
        self.assertTrue(text.endswith("closed\n"), text)

    def test_a_profile_that_is_not_loaded_is_named_and_nothing_runs(self):
        spec = config("echo ran")
        spec["process"]["apparmorProfile"] = "no-such-profile"
        text, ended = self.run_line("", spec=spec)
        self.assertEqual((text, ended["event"]), ("", "error"))
        self.assertRegex(ended["message"], "no-such-profile.*No such file or directory")

    def test_unconfined_asks_for_nothing(self):
        spec = config("cat /proc/self/attr/current")
        spec["process"]["apparmorProfile"] = "unconfined"
        self.assertEqual(self.run_line("", spec=spec)[0], "unconfined\n")

    def test_exec_has_the_profile_of_the_container_or_one_of_its_own(self):
        with Created(self, config("sleep 1000")) as container:
            container.start()
            current = ["cat", "/proc/self/attr/current"]
            self.assertEqual(container.ok("exec", after=current), "unconfined\n")
            self.assertEqual(container.ok("exec", "--apparmor", NAME, after=current), f"{NAME} (enforce)\n")
        with Created(self, self.confined("sleep 1000")) as container:
            container.start()
            self.assertEqual(container.ok("exec", after=current), f"{NAME} (enforce)\n")
