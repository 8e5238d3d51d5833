"""The shim by itself: the OCI verbs on what it runs, its report, its terminal hand-over, and what it leaves."""

import array
import json
import os
import signal
import socket
import subprocess
import time

from tests.e2e import images
from tests.e2e.support import descendants, for_each, world


@for_each("root", "user")
class Shim:
    """Runs a bundle of `bundle prepare` with a state directory of its own."""

    def setUp(self):
        super().setUp()
        self.bundle = self.who.home / "shim-bundle"
        self.addCleanup(subprocess.run, ["rm", "-rf", self.bundle], check=False)
        self.assert_ok(self.who.locald("bundle", "prepare", images.image(), self.bundle, "sh", "-c", "exit 3"))
        self.state = self.who.directory("shim-state", 0o700)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.state], check=False)

    def rewrite(self, **process):
        path = self.bundle / "config.json"
        config = json.loads(path.read_text())
        config["process"].update(process)
        path.write_text(json.dumps(config))

    def ids(self):
        """What the state directory holds of containers; a cached filter is none."""
        return [name for name in os.listdir(self.state) if not name.startswith(".")]

    def shim(self, *words, **kwargs):
        return self.who.run([world().shim, "--root", self.state, *words], **kwargs)

    def begin(self, name, script, **kwargs):
        self.rewrite(args=["sh", "-c", f"echo ready; {script}"])
        process = self.who.popen([world().shim, "--root", self.state, "bundle", "run", "--bundle", self.bundle, "--id", name], **kwargs)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.read_until(process.stdout, b"ready\n")
        return process

    def test_the_status_is_the_containers(self):
        self.assertEqual(self.shim("bundle", "run", "--bundle", self.bundle, "--id", "one").code, 3)
        self.assertEqual(self.ids(), [])

    def state_of(self, name, status):
        state = json.loads(self.assert_ok(self.shim("state", name)).text)
        return state if state["status"] == status else None

    def test_state_list_kill_and_the_end(self):
        process = self.begin("two", "exec sleep 966.1")
        # The program may speak a moment before the parent has written that it runs.
        state = self.wait_for(lambda: self.state_of("two", "running"), "running container")
        self.assertEqual((state["id"], state["bundle"]), ("two", str(self.bundle)))
        os.kill(state["pid"], 0)
        listed = json.loads(self.assert_ok(self.shim("list", "-f", "json")).text)
        self.assertEqual([entry["id"] for entry in listed], ["two"])
        self.assert_prints(self.shim("list", "-q"), "two\n")
        self.assert_error(self.shim("delete", "two"), 1, "two", "running|not stopped")
        self.assert_ok(self.shim("kill", "two", "KILL"))
        self.assertEqual(self.finish(process).code, 137)
        self.assert_error(self.shim("state", "two"), 1, "two", "does not exist")

    def test_delete_force_ends_a_running_one(self):
        process = self.begin("three", "exec sleep 966.2")
        self.assert_ok(self.shim("delete", "--force", "three"))
        self.assertEqual(self.finish(process).code, 137)
        self.assertEqual(self.ids(), [])

    def test_delete_of_a_stale_id_after_kill_9(self):
        process = self.begin("four", "exec sleep 966.3")
        process.kill()
        process.wait()
        self.wait_for(lambda: not [1 for line in descendants().values() if "sleep 966.3" in line], "end of the payload", 5)
        # A process that is ending has no command line any more, and is not ended yet.
        self.wait_for(lambda: json.loads(self.assert_ok(self.shim("state", "four")).text)["status"] == "stopped", "stopped state", 5)
        self.assert_ok(self.shim("delete", "four"))
        self.assertEqual(self.ids(), [])

    def test_an_id_in_use_is_refused_and_not_disturbed(self):
        process = self.begin("five", "exec sleep 966.4")
        done = self.shim("bundle", "run", "--bundle", self.bundle, "--id", "five")
        self.assert_error(done, 125, "five", "exists|in use")
        self.assertIsNone(process.poll())
        self.assert_ok(self.shim("kill", "five", "9"))
        self.finish(process)

    def test_signals_are_forwarded(self):
        process = self.begin("six", "trap 'exit 11' TERM; while :; do sleep 0.1; done")
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 11)

    def report(self, name, *words):
        """The events of a run with --report-fd, and how it ended."""
        reader, writer = os.pipe()
        done = self.who.run([world().shim, "--root", self.state, "bundle", "run", "--bundle", self.bundle, "--id", name,
                             "--report-fd", str(writer), *words], pass_fds=(writer,))
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            events = [json.loads(line) for line in stream.read().splitlines()]
        return done, [event for event in events if event["event"] != "warning"]

    def test_the_report_tells_start_and_end(self):
        done, events = self.report("seven")
        self.assertEqual([event["event"] for event in events], ["started", "exited"])
        self.assertGreater(events[0]["pid"], 0)
        self.assertEqual((events[1]["code"], events[1]["signal"], done.code), (3, 0, 3))

    def test_the_report_takes_errors_away_from_stderr(self):
        self.rewrite(args=["/no/such/program"])
        done, events = self.report("eight")
        self.assertEqual((done.code, done.err), (127, b""))
        self.assertEqual((events[-1]["event"], events[-1]["exit_code"]), ("error", 127))
        self.assertIn("/no/such/program", events[-1]["message"])

    def test_nobody_reading_the_report_ends_the_container(self):
        self.rewrite(args=["sleep", "966.5"])
        reader, writer = os.pipe()
        process = self.who.popen([world().shim, "--root", self.state, "bundle", "run", "--bundle", self.bundle, "--id", "nine",
                                  "--report-fd", str(writer)], pass_fds=(writer,))
        os.close(writer)
        seen = b""
        while b'"started"' not in seen:
            chunk = os.read(reader, 4096)
            self.assertTrue(chunk, seen)
            seen += chunk
        os.close(reader)
        self.assertNotEqual(self.finish(process, 10).code, 0)
        self.assertEqual(self.ids(), [])

    def test_the_terminal_comes_over_the_console_socket(self):
        self.rewrite(terminal=True, args=["sh", "-c", "tty"])
        ours, theirs = socket.socketpair()
        process = self.who.popen([world().shim, "--root", self.state, "bundle", "run", "--bundle", self.bundle, "--id", "ten",
                                  "--console-fd", str(theirs.fileno())], pass_fds=(theirs.fileno(),))
        theirs.close()
        _, ancillary, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(4))
        handles = array.array("i")
        handles.frombytes(ancillary[0][2])
        seen = b""
        while True:
            try:
                chunk = os.read(handles[0], 4096)
            except OSError:  # EIO: the container's side is closed
                break
            if not chunk:
                break
            seen += chunk
        os.close(handles[0])
        ours.close()
        self.assertEqual(self.finish(process).code, 0)
        self.assertEqual(seen, b"/dev/pts/0\r\n")

    def test_features_is_json(self):
        features = json.loads(self.assert_ok(self.shim("features")).text)
        self.assertIn("linux", features)

    def test_the_pid_file_names_the_first_process(self):
        path = self.who.home / "pid"
        process = self.begin_with_pid_file(path)
        pid = int(self.wait_for(lambda: path.exists() and path.read_text(), "pid file"))
        self.assertIn("sleep 966.6", descendants()[pid])
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.finish(process).code, 137)

    def begin_with_pid_file(self, path):
        self.rewrite(args=["sh", "-c", "echo ready; exec sleep 966.6"])
        process = self.who.popen([world().shim, "--root", self.state, "bundle", "run", "--bundle", self.bundle, "--id", "eleven",
                                  "--pid-file", path])
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.read_until(process.stdout, b"ready\n")
        return process
