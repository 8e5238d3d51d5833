"""Where the output of hooks goes when annotations name files."""

from tests.conformance.bundle import BundleTest

HOOKS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


class TestOutput(BundleTest):
    def hooked(self, **annotations):
        bundle = self.bundle("shim", "exit 0")
        say = lambda name, path: [{"path": path, "args": ["sh", "-c", f"echo {name}; echo {name} failed >&2"]}]
        bundle.config["hooks"] = {name: say(name, "/bin/sh") for name in HOOKS}
        bundle.config["hooks"]["startContainer"] = say("startContainer", "/bin/sh")
        bundle.config["annotations"] = {f"run.oci.hooks.{name}": str(path) for name, path in annotations.items()}
        bundle.write()
        return bundle

    def test_is_appended_to_the_files_wherever_the_hook_runs(self):
        wanted = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
        for way in ("run", "create"):
            with self.subTest(way):
                bundle = self.hooked()
                out, err = bundle.dir / "out", bundle.dir / "err"
                bundle.config["annotations"] = {"run.oci.hooks.stdout": str(out), "run.oci.hooks.stderr": str(err)}
                bundle.write()
                out.write_text("there before\n")
                self.ok(bundle.call(way))
                if way == "create":
                    self.ok(bundle.call("start"))
                    self.wait_until(lambda: bundle.state()["status"] == "stopped")
                    self.ok(bundle.call("delete"))
                self.assertEqual(out.read_text().splitlines(), ["there before", *wanted])
                self.assertEqual(err.read_text().splitlines(), [f"{name} failed" for name in wanted])

    def test_is_an_error_of_create_when_the_file_cannot_be_opened(self):
        bundle = self.hooked(stdout="/nowhere/out")
        done = bundle.call("create")
        self.assertEqual(done.code, 1)
        self.assertIn('annotations["run.oci.hooks.stdout"]', done.err)
        self.assertIn("/nowhere/out: No such file or directory", done.err)
        self.assertIsNone(bundle.state())
