"""Configurations at the edge of what can be started: each runs, or ends soon with an error that says why."""

import os
from pathlib import Path

from tests.conformance.bundle import BundleTest
from tests.conformance.support import PROGRAMS, call, world


class HardCases(BundleTest):
    def of(self, line="echo fine", **process):
        bundle = self.bundle("shim", line)
        bundle.config["process"].update(process)
        bundle.write()
        return bundle

    def filtered(self, names):
        bundle = self.of()
        seccomp = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"]}
        if names:
            seccomp["syscalls"] = [{"names": names, "action": "SCMP_ACT_ALLOW"}]
        bundle.config["linux"]["seccomp"] = seccomp
        bundle.config["process"]["noNewPrivileges"] = True
        bundle.write()
        return bundle

    def test_a_filter_that_forbids_everything_ends_the_process_and_not_the_patience(self):
        for names in ([], ["exit", "exit_group", "write", "writev", "read", "close"]):
            with self.subTest(names=names):
                bundle = self.filtered(names)
                done = bundle.call("run", timeout=10)
                self.assertEqual(done.code, 1, done)
                self.assertIn("linux.seccomp", done.err)
                self.ok(bundle.call("delete", "--force"))
                self.ok(bundle.call("create"))
                self.assertNotEqual(bundle.call("start", timeout=10).code, 124)
                self.wait_until(lambda: bundle.state()["status"] == "stopped", 5)

    def test_limits_of_memory_that_are_enough_for_the_program_are_enough_for_its_start(self):
        for kind, limit in (("RLIMIT_AS", 6_000_000), ("RLIMIT_DATA", 300_000)):
            with self.subTest(kind=kind):
                bundle = self.of(rlimits=[{"type": kind, "soft": limit, "hard": limit}])
                (bundle.dir / "rootfs/etc").mkdir(exist_ok=True)
                (bundle.dir / "rootfs/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
                done = self.ok(bundle.call("run"))
                self.assertEqual(done.out, "fine\n")

    def test_files_that_act_on_processes_are_no_limits(self):
        for file in ("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"):
            bundle = self.of()
            bundle.config["linux"]["resources"] = {"unified": {file: str(os.getpid()) if file != "cgroup.type" else "threaded"}}
            bundle.write()
            done = bundle.call("run", timeout=10)
            self.assertEqual(done.code, 1, done)
            self.assertIn(f'unified resource "{file}"', done.err)

    def test_exec_is_as_strict_as_run(self):
        bundle = self.of("sleep 100")
        self.ok(bundle.call("run", "--detach"))
        for words, text in ((("-e", "FOO"), "missing '='"), (("-e", ""), "missing '='"), (("-e", "=x"), "name cannot be empty"),
                            (("--console-socket", "/nosuch"), "cannot use console socket")):
            done = bundle.call("exec", *words, after=("env",))
            self.assertEqual((done.code, done.out), (255, ""), done)
            self.assertIn(text, done.err)

    def test_exec_into_a_paused_container_ends_when_it_is_told_to(self):
        bundle = self.of("sleep 100")
        self.ok(bundle.call("run", "--detach"))
        if bundle.call("pause").code != 0:
            self.skipTest("no freezer here")
        done = call(["timeout", "-k", "5", "1", *bundle.words("exec", "--ignore-paused", "--detach", bundle.id, "true")], timeout=20)
        self.assertEqual(done.code, 124, done)
        self.assertIn("ended by signal 15", done.err)
        self.ok(bundle.call("resume"))

    def test_the_end_of_the_input_reaches_a_program_on_a_terminal(self):
        bundle = self.of()
        bundle.config["process"].update(terminal=True, args=["/bin/sh"])
        bundle.write()
        done = bundle.call("run", timeout=10)
        self.assertEqual(done.code, 1, done)
        self.assertIn("ptmx", done.err, "the reason why there is no terminal")
        bundle.config["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                                        "options": ["newinstance", "ptmxmode=0666"]})
        bundle.write()
        self.ok(bundle.call("run", timeout=10))
        bundle.config["process"]["args"] = ["/bin/cat"]
        bundle.write()
        script = self.bundle("shim", "true").dir / "script"
        script.write_text("printf 'half a line' | \"$@\"\n")
        done = self.ok(call(["sh", script, *bundle.words("run", "--bundle", bundle.dir, bundle.id)], timeout=10))
        self.assertIn("half a line", done.out)

    def test_list_shows_what_can_be_deleted_and_nothing_else(self):
        stray = Path(world().state("shim")) / "stray"
        stray.write_text("")
        self.addCleanup(stray.unlink)
        done = self.ok(call([PROGRAMS["shim"], "--root", world().state("shim"), "list"]))
        self.assertNotIn("stray", done.out)
