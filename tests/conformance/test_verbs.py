"""The same verbs by our shim and by runc: what is printed, what is written, how they end."""

import json
import tempfile
import time
import unittest
from pathlib import Path

from tests.conformance.bundle import NAMESPACES, BundleTest
from tests.conformance.support import PROGRAMS, call, world


class TestSpec(unittest.TestCase):
    maxDiff = None

    def written(self, runtime, *words):
        with tempfile.TemporaryDirectory(dir=world().dir) as bundle:
            done = call([PROGRAMS[runtime], "spec", "--bundle", bundle, *words])
            self.assertEqual(done.code, 0, done)
            again = call([PROGRAMS[runtime], "spec", "--bundle", bundle, *words])
            self.assertEqual(again.code, 1, again)
            self.assertIn("File config.json exists. Remove it first", again.err)
            return json.loads((Path(bundle) / "config.json").read_text())

    def check(self, *words):
        ours, theirs = self.written("shim", *words), self.written("runc", *words)
        # Each names itself and the version of the specification it knows.
        self.assertEqual((ours.pop("hostname"), ours.pop("ociVersion")), ("locald", "1.3.0"))
        self.assertEqual(theirs.pop("hostname"), "runc")
        theirs.pop("ociVersion")
        self.assertEqual(ours, theirs)

    def test_the_file_is_runcs_field_by_field(self):
        self.check()

    def test_the_rootless_file_is_runcs_field_by_field(self):
        self.check("--rootless")


class TestTexts(BundleTest):
    """Each verb in each state: the exit code is runc's, and runc's words are among ours."""

    @staticmethod
    def words_of_runc(done):
        """The message of a log line, without the id."""
        text = done.err.strip()
        return text.partition('msg="')[2].rpartition('"')[0].replace('\\"', '"') if "msg=" in text else text

    def check(self, state, *calls):
        bundles = {runtime: state(runtime) for runtime in ("shim", "runc")}
        for verb, *words in calls:
            with self.subTest(" ".join([verb, *words])):
                options = [word for word in words if word.startswith("-")]
                after = [word for word in words if not word.startswith("-")]
                ours, theirs = (bundles[name].call(verb, *options, after=after) for name in ("shim", "runc"))
                self.assertEqual(ours.code, theirs.code, f"{ours}\n{theirs}")
                words_of_runc = self.words_of_runc(theirs).replace(bundles["runc"].id, bundles["shim"].id)
                self.assertIn(words_of_runc.rpartition("failed: ")[2].lower(), ours.err.lower())
        return bundles

    def stopped(self, runtime):
        bundle = self.bundle(runtime, "exit 0")
        self.ok(bundle.call("run", "-d"))
        self.wait_until(lambda: bundle.state()["status"] == "stopped")
        return bundle

    def running(self, runtime):
        bundle = self.bundle(runtime, "sleep 300")
        self.ok(bundle.call("run", "-d"))
        return bundle

    def paused(self, runtime):
        bundle = self.running(runtime)
        self.ok(bundle.call("pause"))
        return bundle

    def left_over(self, runtime):
        bundle = self.bundle(runtime, "exit 0")
        (world().state(runtime) / bundle.id).mkdir(mode=0o700)
        (world().state(runtime) / bundle.id / "something").write_text("of nobody")
        return bundle

    def test_of_no_container(self):
        unknown = lambda runtime: self.bundle(runtime, "exit 0")
        self.check(unknown, ("kill", "KILL"), ("kill", "--all", "KILL"), ("state",), ("start",), ("delete",), ("delete", "--force"))

    def test_of_a_stopped_one(self):
        self.check(self.stopped, ("kill", "KILL"), ("kill", "0"), ("kill", "--all", "KILL"), ("kill", "--all", "TERM"), ("start",),
                   ("exec", "true"), ("pause",), ("resume",), ("run", "-d"), ("delete",), ("delete",))

    def test_of_a_running_one(self):
        self.check(self.running, ("kill", "FOO"), ("kill", "0"), ("kill", "SIGCONT"), ("kill", "cont"), ("kill", "18"), ("delete",),
                   ("start",), ("run", "-d"), ("resume",), ("delete", "--force"), ("delete", "--force"))

    def test_of_a_paused_one(self):
        bundles = self.check(self.paused, ("delete",), ("pause",), ("exec", "true"), ("kill", "KILL"))
        for bundle in bundles.values():
            self.wait_until(lambda: bundle.state()["status"] == "stopped")

    def test_of_a_directory_without_a_container(self):
        for words in (("delete",), ("delete", "--force")):
            bundles = self.check(self.left_over, words)
            for runtime, bundle in bundles.items():
                self.assertFalse((world().state(runtime) / bundle.id).exists(), f"{runtime} {words}")

    def test_the_fields_of_state_are_in_runcs_order(self):
        ours, theirs = (list(self.running(runtime).state()) for runtime in ("shim", "runc"))
        self.assertEqual(ours, theirs)


class TestKill(BundleTest):
    def test_of_a_container_without_its_own_pid_namespace_ends_all(self):
        for runtime in ("shim", "runc"):
            with self.subTest(runtime):
                namespaces = [kind for kind in NAMESPACES if kind != "pid"]
                bundle = self.bundle(runtime, "sleep 300 & sleep 300 & exec sleep 300", namespaces=namespaces)
                bundle.config["mounts"] = bundle.config["mounts"][1:]
                bundle.write()
                self.ok(bundle.call("run", "-d"))
                processes = lambda: json.loads(self.ok(bundle.call("ps", "-f", "json")).out) or []
                self.wait_until(lambda: len(processes()) == 3)
                self.ok(bundle.call("kill", after=("TERM",)))
                self.wait_until(lambda: len(processes()) == 2)
                time.sleep(0.1)
                self.assertEqual(len(processes()), 2)
                # The first is gone, and the others are to be reached all the same.
                self.ok(bundle.call("kill", after=("KILL",)))
                self.wait_until(lambda: not processes())


class TestList(unittest.TestCase):
    def test_a_root_that_is_not_there_is_an_error(self):
        for runtime in ("shim", "runc"):
            done = call([PROGRAMS[runtime], "--root", world().dir / "none", "list"])
            self.assertEqual(done.code, 1, done)
            self.assertIn("no such file or directory", done.err.lower())

    def test_the_default_root_may_be_missing(self):
        # runc means it so too, but 1.3.6 fails here.
        words = [PROGRAMS["shim"], "list", "--format", "json"]
        done = call(["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", *words])
        self.assertEqual((done.code, done.out.strip()), (0, "null"), done)


if __name__ == "__main__":
    unittest.main()
