"""Containers in the background: `container run -d`, `ls`, `wait`, `stop`, `kill`, `rm`."""

import os
import re
import signal
import time

from tests.e2e import images
from tests.e2e.detached import Detached
from tests.e2e.support import descendants, for_each, world


@for_each("root", "user")
class Life(Detached):
    def test_the_id_is_printed_and_nothing_else(self):
        done = self.assert_ok(self.verb("run", "-d", images.image(), "sleep", "30"))
        self.assertRegex(done.text, r"\A[0-9a-f]{32}\n\Z")
        self.assertEqual(done.own_errors, "")

    def test_it_runs_on_when_the_command_has_ended(self):
        name = self.script("exec sleep 971.1")
        self.wait_for(lambda: self.payloads("sleep 971.1"), "payload")
        self.assertEqual(self.state_of(name), "running")
        self.assertEqual([one["ID"] for one in self.listed()], [name])

    def test_one_small_process_keeps_it_in_a_session_of_its_own(self):
        self.script("exec sleep 971.2")
        [keeper] = self.keepers()
        self.assertNotEqual(os.getsid(keeper), os.getsid(0))
        self.assertNotEqual(os.getsid(keeper), keeper, "a session's leader could get a terminal")
        self.assertEqual([os.readlink(f"/proc/{keeper}/fd/{fd}") for fd in (0, 1, 2)], ["/dev/null"] * 3)
        self.assertEqual(os.readlink(f"/proc/{keeper}/cwd"), "/")
        with open(f"/proc/{keeper}/status", encoding="ascii") as status:
            resident = int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])
        self.assertLess(resident, 40_000)

    def test_wait_prints_the_exit_status(self):
        name = self.script("exit 23")
        self.assert_prints(self.verb("wait", name), "23\n")
        self.assert_prints(self.verb("wait", name), "23\n")
        self.assertEqual(self.state_of(name), "exited")
        self.assertIn("Exited (23)", self.verb("ls", "-a").text)

    def test_wait_prints_128_and_the_signal(self):
        self.assert_prints(self.verb("wait", self.script("kill -9 $$; sleep 5", "--init")), "137\n")

    def test_several_wait_for_several(self):
        first = self.script("sleep 0.6; exit 3")
        second = self.script("sleep 0.3; exit 4")
        waiting = [self.who.start("container", "wait", first, second) for _ in range(4)]
        for process in waiting:
            self.assert_prints(self.finish(process), "3\n4\n")

    def test_an_ended_one_stays_until_rm(self):
        name = self.script("true")
        self.verb("wait", name)
        self.assertEqual(self.listed(), [])
        self.assertEqual([one["ExitCode"] for one in self.listed("-a")], [0])
        self.assert_prints(self.verb("rm", name), f"{name}\n")
        self.assertEqual(self.listed("-a"), [])
        self.assert_nothing_left(0.5)

    def test_rm_of_a_running_one_needs_force(self):
        name = self.script("exec sleep 971.3")
        self.assert_error(self.verb("rm", name), 125, name, "is running", "rm -f")
        self.assertEqual(self.state_of(name), "running")
        self.assert_prints(self.verb("rm", "-f", name), f"{name}\n")
        self.assert_nothing_left(1)

    def test_with_rm_the_record_goes_at_the_end(self):
        name = self.script("sleep 0.3", "--rm")
        self.assert_prints(self.verb("wait", name), "0\n")
        self.assert_nothing_left(1)
        self.assert_error(self.verb("wait", name), 125, "no such container")

    def test_stop_sends_the_stop_signal_and_waits(self):
        name = self.script("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        time.sleep(0.3)
        self.assert_prints(self.verb("stop", name), f"{name}\n")
        self.assert_prints(self.verb("wait", name), "5\n")
        self.assert_prints(self.verb("stop", name), f"{name}\n")

    def test_stop_sends_the_signal_that_run_was_given(self):
        name = self.script("trap 'exit 6' USR1; while :; do sleep 0.05; done", "--stop-signal", "USR1")
        time.sleep(0.3)
        self.verb("stop", name)
        self.assert_prints(self.verb("wait", name), "6\n")

    def test_stop_sends_the_signal_that_it_was_given_and_kills_after_the_grace(self):
        name = self.script("trap 'exit 6' USR1; trap 'exit 5' TERM; while :; do sleep 0.05; done")
        time.sleep(0.3)
        self.assert_prints(self.verb("stop", "-s", "SIGUSR1", name), f"{name}\n")
        self.assert_prints(self.verb("wait", name), "6\n")
        self.assert_prints(self.verb("stop", "--signal", "USR1", name), f"{name}\n")
        name = self.script("trap '' HUP; while :; do sleep 0.05; done", "--rm")
        time.sleep(0.2)
        started = time.monotonic()
        self.assert_prints(self.verb("stop", "-s", "1", "-t", "1", name), f"{name}\n")
        self.assertTrue(1 <= time.monotonic() - started < 10)
        self.assertIsNone(self.state_of(name))
        self.assert_error(self.verb("stop", "-s", "NONE", name), 125, "--signal", "NONE")
        self.assert_error(self.verb("stop", "-s", "TERM", "none"), 125, "no such container")

    def test_stop_kills_after_the_grace(self):
        name = self.script("trap '' TERM; while :; do sleep 0.05; done")
        time.sleep(0.2)
        started = time.monotonic()
        self.verb("stop", "-t", "1", name)
        self.assertTrue(1 <= time.monotonic() - started < 5)
        self.assert_prints(self.verb("wait", name), "137\n")

    def test_kill_sends_any_signal(self):
        name = self.script("trap 'exit 7' HUP; while :; do sleep 0.05; done")
        time.sleep(0.2)
        self.assert_prints(self.verb("kill", "-s", "HUP", name), f"{name}\n")
        self.assert_prints(self.verb("wait", name), "7\n")
        self.assert_error(self.verb("kill", name), 125, "not running")
        other = self.script("exec sleep 971.4")
        self.verb("kill", other)
        self.assert_prints(self.verb("wait", other), "137\n")

    def test_an_error_before_the_start_is_the_commands(self):
        for words, code in ((("no-such-program",), 127), (("/etc/passwd",), 126)):
            done = self.verb("run", "-d", images.image(), *words)
            self.assert_error(done, code, words[0])
        self.assert_error(self.verb("run", "-d", "oci:/nowhere", "true"), 125, "nowhere")
        self.assertEqual(self.listed("-a"), [])
        self.wait_for(lambda: not self.keepers(), "end of the keepers")

    def test_it_outlives_the_shell_it_was_started_from(self):
        process = self.who.popen(["sh", "-c", f"{world().locald} container run -d {images.image()} sleep 971.5"])
        done = self.finish(process)
        self.assert_ok(done)
        self.wait_for(lambda: self.payloads("sleep 971.5"), "payload")


@for_each("root", "user")
class Names(Detached):
    def test_a_name_is_taken_until_rm(self):
        self.script("true", "--name", "taken")
        self.verb("wait", "taken")
        self.assert_error(self.verb("run", "-d", "--name", "taken", images.image(), "true"), 125, "taken", "in use")
        self.assert_error(self.verb("run", "--name", "taken", images.image(), "true"), 125, "taken", "in use")
        self.verb("rm", "taken")
        self.script("true", "--name", "taken")

    def test_of_two_at_once_one_has_the_name(self):
        started = [self.who.start("container", "run", "-d", "--name", "raced", images.image(), "sleep", "30")
                   for _ in range(4)]
        codes = sorted(self.finish(process).code for process in started)
        self.assertEqual(codes, [0, 125, 125, 125])

    def test_the_beginning_of_an_id_is_enough(self):
        name = self.script("exit 9")
        self.assert_prints(self.verb("wait", name[:12]), "9\n")
        self.assert_prints(self.verb("rm", name[:8]), f"{name[:8]}\n")

    def test_an_ambiguous_beginning_is_none(self):
        self.script("true", "--name", "same-1")
        self.script("true", "--name", "same-2")
        self.assert_error(self.verb("wait", "same"), 125, "several")

    def test_what_is_not_there_is_named(self):
        for verb in ("wait", "stop", "kill", "rm"):
            self.assert_error(self.verb(verb, "nobody"), 125, "no such container: nobody", "ls -a")
        self.assertEqual(self.verb("rm", "-f", "nobody").code, 0)
        self.assert_error(self.verb("rm", "../x"), 125, "no such container")

    def test_one_that_fails_does_not_keep_the_others(self):
        name = self.script("exit 2")
        done = self.verb("wait", "nobody", name)
        self.assertEqual((done.code, done.text), (125, "2\n"), done)


@for_each("root", "user")
class Listed(Detached):
    def test_the_table_has_image_command_and_status(self):
        self.script("exec sleep 30", "--name", "shown")
        lines = self.assert_ok(self.verb("ls")).text.splitlines()
        self.assertEqual(lines[0].split(), ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS"])
        self.assertRegex(lines[1], r"^shown +\S+ +sh -c exec sleep 30 +just now +Up less than a minute$")

    def test_ids_are_short_and_whole(self):
        name = self.script("exec sleep 30")
        self.assert_prints(self.verb("ls", "-q"), name[:12] + "\n")
        self.assert_prints(self.verb("ls", "-q", "--no-trunc"), name + "\n")

    def test_filters(self):
        self.script("exec sleep 30", "--name", "one")
        self.script("exit 1", "--name", "two")
        self.verb("wait", "two")
        for filters, names in ((("status=exited",), ["two"]), (("status=exited", "status=running"), ["one", "two"]),
                               (("name=wo",), ["two"]), (("id=on",), ["one"]), (("name=wo", "status=running"), []),
                               ((f"ancestor={images.image()}",), ["one", "two"])):
            words = [word for text in filters for word in ("-f", text)]
            self.assertEqual(sorted(self.verb("ls", "-aq", *words).text.split()), names, filters)
        self.assert_error(self.verb("ls", "-f", "colour=red"), 125, "colour", "status=")

    def test_one_in_the_foreground_is_shown_too(self):
        process = self.who.start("container", "run", "--name", "front", images.image(), "sleep", "971.6")
        [one] = self.wait_for(self.listed, "container")
        self.assertEqual((one["ID"], one["State"], one["Detached"]), ("front", "running", False))
        self.assert_error(self.verb("wait", "front"), 125, "front", "foreground")
        self.verb("kill", "front")
        self.assertEqual(self.finish(process).code, 137)


@for_each("root", "user")
class KilledKeeper(Detached):
    def test_the_container_dies_with_its_keeper_and_is_lost(self):
        name = self.script("trap '' TERM HUP; exec sleep 972.1")
        waiting = self.who.start("container", "wait", name)
        time.sleep(0.3)
        self.kill_keeper()
        self.wait_for(lambda: not self.payloads("sleep 972.1"), "end of the container", 5)
        done = self.finish(waiting)
        self.assert_error(done, 125, name, "kept it was killed")
        self.assertEqual(self.state_of(name), "lost")
        self.assertIn("Lost", self.verb("ls", "-a").text)
        self.assert_error(self.verb("wait", name), 125, "kept it was killed")
        self.assert_error(self.verb("kill", name), 125, "not running")
        self.assert_prints(self.verb("stop", name), f"{name}\n")
        self.assert_prints(self.verb("rm", name), f"{name}\n")
        self.assert_nothing_left(3)

    def test_the_shim_killed_is_lost_too(self):
        name = self.script("exec sleep 972.2")
        [shim] = [pid for pid, line in descendants().items() if "locald-shim" in line and "bundle run" in line]
        os.kill(shim, signal.SIGKILL)
        self.wait_for(lambda: self.state_of(name) == "lost", "loss")
        self.assertNotEqual(self.verb("wait", name).code, 0)
        self.assert_prints(self.verb("rm", name), f"{name}\n")

    def test_a_keeper_that_is_asked_to_end_stops_its_container(self):
        name = self.script("trap 'exit 8' TERM; while :; do sleep 0.05; done")
        time.sleep(0.2)
        [keeper] = self.keepers()
        os.kill(keeper, signal.SIGTERM)
        self.assert_prints(self.verb("wait", name), "8\n")

    def test_the_command_killed_at_many_moments_leaves_a_container_or_nothing(self):
        for step in range(24):
            process = self.who.start("container", "run", "-d", images.image(), "sleep", "972.3")
            time.sleep(step * 0.002)
            process.kill()
            process.communicate()
            # Either it was made, and is there to see, or nothing is.
            self.wait_for(lambda: all(one["State"] == "running" for one in self.listed("-a")) and
                          len(self.keepers()) == len(self.listed("-a")) == len(self.payloads("sleep 972.3")),
                          "a whole container or none")
            self.remove_all()
        self.assert_nothing_left(3)

    def test_the_keeper_killed_at_many_moments_leaves_nothing_that_rm_does_not_take(self):
        for step in range(24):
            process = self.who.start("container", "run", "-d", images.image(), "sleep", "972.4")
            deadline = time.monotonic() + 5
            while not self.keepers() and process.poll() is None and time.monotonic() < deadline:
                pass
            time.sleep(step * 0.001)
            self.kill_keeper()
            process.communicate(timeout=20)
            for one in self.listed("-a"):
                # Whoever was killed may have been the keeper's parent, which is of no use any more.
                self.assertIn(one["State"], ("lost",) if process.returncode else ("lost", "running"))
            self.remove_all()
            self.wait_for(lambda: not self.payloads("sleep 972.4"), "end of the container", 5)
        self.who.container(images.image(), "true")  # sweeps
        self.assert_nothing_left(3)
