"""What a setuid shim writes to begin with it also takes, and what an ordinary user reads of his containers."""

import json
import subprocess

from tests.setuid.support import SAFE_PATH, SetuidCase, wait_until, world


class Spec(SetuidCase):
    def test_what_spec_rootless_writes_runs(self):
        bundle = self.bundle("true")
        (bundle.dir / "config.json").unlink()
        self.assertEqual(self.who.shim("spec", "--rootless", "--bundle", bundle.dir).code, 0)
        config = bundle.dir / "config.json"
        spec = json.loads(config.read_text())
        spec["process"].update(terminal=False, args=["cat", "/proc/self/uid_map"], env=["PATH=/bin"])
        config.write_text(json.dumps(spec))
        done = self.who.shim("run", "--bundle", bundle.dir, self.new_id())
        self.assertEqual((done.code, done.own_errors), (0, ""), done)
        grants = [(1, *grant) for grant in self.who.ranges()]
        self.assertEqual([tuple(map(int, line.split())) for line in done.text.splitlines()], [(0, self.who.uid, 1), *grants])

    def test_without_the_bit_it_writes_the_callers_own_ids(self):
        plain = world().install("locald-shim", "plain-shim", mode=0o755)
        bundle = self.bundle("true")
        (bundle.dir / "config.json").unlink()
        self.assertEqual(self.who.shim("spec", "--rootless", "--bundle", bundle.dir, shim=plain).code, 0)
        self.assertEqual(json.loads((bundle.dir / "config.json").read_text())["linux"]["uidMappings"],
                         [{"containerID": 0, "hostID": self.who.uid, "size": 1}])

    def test_without_the_bit_what_the_other_wrote_is_refused_with_its_remedy(self):
        plain = world().install("locald-shim", "plain-shim", mode=0o755)
        bundle = self.bundle("true")
        (bundle.dir / "config.json").unlink()
        self.assertEqual(self.who.shim("spec", "--rootless", "--bundle", bundle.dir).code, 0)
        done = self.who.shim("run", "--bundle", bundle.dir, self.new_id(), shim=plain)
        self.assert_refused(done, "no namespace path to join nor mappings", "anew by `locald-shim spec --rootless`", code=1)

    def test_exec_before_start_says_what_to_do(self):
        bundle, name = self.bundle("true"), self.new_id()
        self.assertEqual(self.who.shim("create", "--bundle", bundle.dir, name).code, 0)
        done = self.who.shim("exec", name, "true")
        self.who.shim("delete", "--force", name)
        self.assert_refused(done, f"start it first: locald-shim start {name}", code=255)

    def test_exec_waits_for_the_program_of_a_container_that_begins(self):
        bundle, name = self.bundle("sleep", "100"), self.new_id()
        words = ["strace", "-f", "-qq", "-u", self.who.name, "-o", "/dev/null", "--inject=execve,execveat:delay_enter=200000", world().shim,
                 "bundle", "run", "--bundle", bundle.dir, "--id", name]
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, cwd=self.who.home,
                                   env={"PATH": SAFE_PATH, "HOME": str(self.who.home)})
        self.addCleanup(process.wait)
        self.addCleanup(self.who.shim, "delete", "--force", name)
        self.assertTrue(wait_until(lambda: '"running"' in self.who.shim("state", name).text, pause=0))
        done = self.who.shim("exec", name, "true")
        self.assertEqual(done.code, 0, done)

    def test_exec_with_a_terminal_ends_when_its_input_has_ended(self):
        """Whenever the shell makes the terminal raw, which it edits its lines on, and however many of them come."""
        bundle = self.bundle("sleep", "100")
        bundle.config["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                                        "options": ["newinstance", "ptmxmode=0666"]})
        bundle.write()
        _, _, name = self.start(bundle)
        for delay in (0, 0, 0.02, 0.06, 0.3, 1.5, 3):
            done = self.who.shim("exec", "-t", name, "sh", "-c", f"sleep {delay}; sh; exec sh", timeout=20)
            self.assertEqual(done.code, 0, (delay, done))

    def test_a_bundle_at_the_root_is_named_with_one_slash(self):
        done = self.who.shim("run", "--bundle", "/", self.new_id())
        self.assert_refused(done, "open /config.json: No such file or directory", code=1)

    def test_state_and_list_name_the_owner(self):
        _, _, name = self.start(self.bundle("sleep", "100"))
        self.assertEqual(json.loads(self.who.shim("state", name).text)["owner"], self.who.name)
        self.assertEqual([state["owner"] for state in json.loads(self.who.shim("list", "--format", "json").text)], [self.who.name])


class SpecWithoutGrants(Spec):
    kind = "plain"


class Messages(SetuidCase):
    def test_a_missing_controller_does_not_look_like_a_missing_program(self):
        """podman takes `no such file or directory` in an error for that, whatever it is about."""
        bundle = self.bundle("true")
        bundle.config["linux"]["resources"] = {"unified": {"cgroup.no-such-limit": "5"}}
        bundle.write()
        done = self.run_bundle(bundle)
        self.assert_refused(done, r"cgroup.no-such-limit: the file is not there")
        self.assertNotIn("no such file or directory", done.errors.lower())

    def test_memory_that_nobody_counts_is_left_out_of_the_statistics(self):
        _, first, name = self.start(self.bundle("sleep", "100"))
        done = self.who.shim("events", "--stats", name)
        self.assertEqual(done.code, 0, done)
        data = json.loads(done.text)["data"]
        with open(f"/proc/{first}/cgroup", encoding="utf-8") as file:
            counted = any("memory" in line.split(":")[1].split(",") and "user-" in line for line in file)
        self.assertEqual("usage" in data.get("memory", {}), counted)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
