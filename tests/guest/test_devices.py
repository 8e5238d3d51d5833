"""linux.resources.devices on cgroup v2, where the rules are a program that the kernel asks."""

from tests.guest.support import GuestCase, config

DENY_ALL = {"allow": False, "access": "rwm"}
#: A terminal's contents and a loop device: the same number, of two kinds.
SCREEN = {"path": "/dev/vcs", "type": "c", "major": 7, "minor": 0, "fileMode": 0o666, "uid": 0, "gid": 0}
LOOP = {"path": "/dev/loop0", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666, "uid": 0, "gid": 0}


class DeviceRules(GuestCase):
    """Opens and makes device nodes under rules."""

    def try_line(self, line, *rules):
        spec = config(line, {"devices": [DENY_ALL, *rules]})
        spec["linux"]["devices"] = [SCREEN, LOOP]
        text, _ = self.run_line("", spec=spec)
        return text

    def test_what_no_rule_allows_is_refused(self):
        text = self.try_line("head -c 0 /dev/vcs; head -c 0 /dev/loop0; echo end")
        self.assertEqual(text.count("Operation not permitted"), 2, text)

    def test_what_a_rule_allows_is_allowed(self):
        rules = [{"allow": True, "type": "c", "major": 7, "minor": 0, "access": "r"},
                 {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "r"}]
        self.assertEqual(self.try_line("head -c 0 /dev/vcs && head -c 0 /dev/loop0 && echo both", *rules), "both\n")

    def test_the_access_counts(self):
        rule = {"allow": True, "type": "c", "major": 7, "minor": 0, "access": "r"}
        text = self.try_line("head -c 0 /dev/vcs && echo read; echo x > /dev/vcs || echo refused", rule)
        self.assertTrue(text.startswith("read\n") and text.endswith("refused\n"), text)

    def test_a_number_left_out_means_every_one(self):
        rule = {"allow": True, "type": "b", "major": 7, "access": "rw"}
        text = self.try_line("head -c 0 /dev/loop0 && echo block; head -c 0 /dev/vcs || echo refused", rule)
        self.assertTrue(text.startswith("block\n") and text.endswith("refused\n"), text)

    def test_the_last_rule_that_fits_wins(self):
        rules = [{"allow": True, "type": "c", "access": "rwm"}, {"allow": False, "type": "c", "major": 7, "minor": 0, "access": "rwm"}]
        self.assertIn("Operation not permitted", self.try_line("head -c 0 /dev/vcs", *rules))

    def test_a_node_may_be_made_but_not_opened(self):
        text = self.try_line("mknod /dev/one b 7 0 && echo made; head -c 0 /dev/one || echo refused")
        self.assertTrue(text.startswith("made\n") and text.endswith("refused\n"), text)
        self.assertIn("Operation not permitted", text)

    def test_the_devices_every_container_has_stay(self):
        line = "for name in null zero full random urandom; do head -c 0 /dev/$name || echo $name; done; echo x > /dev/null && echo end"
        self.assertEqual(self.try_line(line), "end\n")

    def test_a_rule_for_everything_takes_the_program_away(self):
        text = self.try_line("head -c 0 /dev/vcs && echo open", {"allow": True, "access": "rwm"})
        self.assertEqual(text, "open\n")
