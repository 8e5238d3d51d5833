"""podman with the shim as its runtime: what every user does with one container."""

import time

from tests.clients.support import IMAGE, podmans, wait_until

EVERYBODY = ("sid root", "sid root v2", "sid user", "sid plain", "bookworm root", "bookworm user")


@podmans(*EVERYBODY)
class Lifecycle:
    def test_run_passes_output_input_and_status(self):
        done = self.run_it("-i", "--", "sh", "-c", "cat; echo problem >&2; exit 7", input=b"typed\n")
        self.assertEqual((done.code, done.text, done.errors.splitlines()[-1]), (7, "typed\n", "problem"), done)

    def test_a_missing_program_ends_with_127_and_its_name(self):
        done = self.run_it("--", "/no/such/program")
        self.assertEqual(done.code, 127, done)
        self.assertIn("/no/such/program", done.errors)

    def test_a_program_that_may_not_be_executed_ends_with_126(self):
        done = self.run_it("--", "/etc/passwd")
        self.assertEqual(done.code, 126, done)
        self.assertIn("/etc/passwd", done.errors)

    def test_logs_wait_and_the_status_of_a_detached_one(self):
        name = self.begin(script="sleep 0.2; echo later; exit 5")
        self.assertEqual(self.assert_ok(self.podman("wait", name)).text, "5\n")
        self.assertEqual(self.podman("logs", name).text, "ready\nlater\n")
        state = self.state(name)
        self.assertEqual((state["Status"], state["ExitCode"], state["OOMKilled"]), ("exited", 5, False))
        self.assert_ok(self.podman("rm", name))

    def test_kill_sends_the_signal_and_stop_asks_before_it_kills(self):
        name = self.begin(script="trap 'echo usr' USR1; trap 'exit 9' TERM; while :; do sleep 0.05; done")
        self.assert_ok(self.podman("kill", "-s", "USR1", name))
        self.assertTrue(wait_until(lambda: "usr" in self.podman("logs", name).text, 10))
        self.assert_ok(self.podman("stop", "-t", "10", name))
        self.assertEqual(self.state(name)["ExitCode"], 9)

    def test_stop_kills_what_ignores_it_and_start_runs_it_again(self):
        name = self.begin(script="trap '' TERM; while :; do sleep 0.05; done")
        self.assert_ok(self.podman("stop", "-t", "1", name))
        self.assertEqual(self.state(name)["ExitCode"], 137)
        self.assert_ok(self.podman("start", name))
        self.assertEqual(self.state(name)["Status"], "running")
        self.assert_ok(self.podman("restart", "-t", "0", name))
        self.assertEqual(self.state(name)["Status"], "running")
        self.assert_ok(self.podman("rm", "-f", "-t", "0", name))
        self.assertNotEqual(self.podman("inspect", name).code, 0)

    def test_a_created_one_starts_attached(self):
        name = self.assert_ok(self.podman("create", *self.parent(()), IMAGE, "sh", "-c", "echo attached; exit 4")).text.strip()
        done = self.podman("start", "-a", name)
        self.assertEqual((done.code, done.text), (4, "attached\n"), done)

    def test_init_and_remove_before_start(self):
        name = self.assert_ok(self.podman("create", *self.parent(()), IMAGE, "sh", "-c", "echo ran")).text.strip()
        self.assert_ok(self.podman("init", name))
        self.assertIn(self.state(name)["Status"], ("initialized", "created"))
        self.assertEqual(self.podman("logs", name).text, "")
        self.assert_ok(self.podman("rm", "-f", name))

    def test_exec_has_streams_status_environment_directory_and_user(self):
        name = self.begin()
        done = self.podman("exec", "-i", "-e", "COLOUR=red", "-w", "/tmp", name, "sh", "-c", "cat; echo $COLOUR $PWD; echo e >&2; exit 3",
                           input=b"in\n")
        self.assertEqual((done.code, done.text, done.errors), (3, "in\nred /tmp\n", "e\n"), done)
        done = self.podman("exec", "-u", "1000:1001" if self.kind != "plain" else "0", name, "id", "-u")
        self.assertEqual(done.text, "1000\n" if self.kind != "plain" else "0\n", done)
        done = self.podman("exec", name, "/no/such/program")
        self.assertEqual(done.code, 127, done)
        self.assert_ok(self.podman("exec", "-d", name, "sh", "-c", "sleep 0.1; echo x > /tmp/mark"))
        self.assertTrue(wait_until(lambda: self.podman("exec", name, "cat", "/tmp/mark").text == "x\n", 10))

    def test_terminals_of_run_and_exec(self):
        words = ["run", "--rm", "-it", *self.parent(()), IMAGE, "sh", "-c", "tty; read line; echo got $line; stty size; exit 6"]
        done = self.podman.terminal(*words, answer=b"word\n")
        self.assertEqual(done.code, 6, done)
        for text in (b"/dev/pts/0", b"got word", b"40 100"):
            self.assertIn(text, done.out)
        name = self.begin()
        done = self.podman.terminal("exec", "-it", name, "sh", "-c", "test -t 0 && tty; exit 2")
        self.assertEqual(done.code, 2, done)
        self.assertIn(b"/dev/pts/0", done.out)

    def test_descriptors_are_preserved_in_run_and_exec(self):
        path = self.who.write("handed", "handed over")
        done = self.run_it("--preserve-fds", "1", "--", "cat", "/proc/self/fd/3", descriptor_3=path)
        self.assertEqual(done.text, "handed over", done)
        done = self.podman("exec", "--preserve-fds", "1", self.begin(), "cat", "/proc/self/fd/3", descriptor_3=path)
        self.assertEqual(done.text, "handed over", done)

    def test_copy_top_and_diff(self):
        name = self.begin()
        path = self.who.write("copied", "content\n")
        self.assert_ok(self.podman("cp", path, f"{name}:/tmp/copied"))
        self.assertEqual(self.podman("exec", name, "cat", "/tmp/copied").text, "content\n")
        self.assertIn("sleep 1000", self.assert_ok(self.podman("top", name, "args")).text)
        self.assertIn("/tmp/copied", self.assert_ok(self.podman("diff", name)).text)

    def test_health_checks_run_in_the_container(self):
        name = self.begin("--health-cmd", "test -e /tmp/well", "--health-retries", "1", "--health-interval", "disable")
        self.assertEqual(self.podman("healthcheck", "run", name).code, 1)
        self.podman("exec", name, "touch", "/tmp/well")
        self.assert_ok(self.podman("healthcheck", "run", name))

    def test_a_restart_policy_starts_it_again(self):
        name = self.assert_ok(self.podman("run", "-d", "--restart", "on-failure:2", *self.parent(()), IMAGE, "sh", "-c", "echo once; exit 1")).text.strip()
        self.assertTrue(wait_until(lambda: self.podman("logs", name).text == "once\n" * 3, 20, 0.3), self.podman("logs", name))

    def test_many_short_ones_leave_nothing(self):
        started = time.monotonic()
        for number in range(3):
            self.assertEqual(self.run_ok("--", "echo", str(number)), f"{number}\n")
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(self.podman("ps", "-aq").text, "")
