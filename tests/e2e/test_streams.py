"""Bytes, exit codes and signals of a container without a terminal."""

import hashlib
import os
import signal
import subprocess
import time

from tests.e2e import images
from tests.e2e.support import descendants, for_each, on_this_host_alone


@for_each("root", "user")
class Streams:
    def test_stdin_reaches_the_container_with_i(self):
        data = bytes(range(256)) * 4096
        done = self.who.container("-i", images.image(), "cat", input=data)
        self.assertEqual((done.code, hashlib.sha256(done.out).digest()), (0, hashlib.sha256(data).digest()), done.errors)

    def test_stdin_is_empty_without_i(self):
        done = self.who.container(images.image(), "sh", "-c", "cat | wc -c", input=b"not for you")
        self.assert_prints(done, "0\n")

    def test_stdout_and_stderr_stay_apart(self):
        done = self.who.container(images.image(), "sh", "-c", "printf out; printf err >&2")
        self.assertEqual((done.code, done.text, done.own_errors), (0, "out", "err"), done)

    def test_binary_output_is_exact(self):
        done = self.who.container(images.image(), "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\377'")
        self.assertEqual((done.code, done.out), (0, b"\xff" * 3000000))

    def test_a_reader_that_goes_away_is_no_disaster(self):
        process = self.who.start("container", "run", "--rm", images.image(), "yes")
        process.stdout.read(10)
        process.stdout.close()
        process.wait(timeout=20)
        process.stderr.close()
        self.assertNotEqual(process.returncode, 0)

    def test_the_end_of_input_is_seen(self):
        self.assert_prints(self.who.container("-i", images.image(), "wc", "-c", input=b"12345"), "5\n")


@for_each("root", "user")
class ExitCodes:
    def test_the_containers_own(self):
        for code in (0, 1, 42, 125, 255):
            self.assertEqual(self.who.container(images.image(), "sh", "-c", f"exit {code}").code, code)

    def test_127_for_a_command_that_is_not_there(self):
        done = self.who.container(images.image(), "no-such-command")
        self.assert_error(done, 127, "no-such-command")

    def test_127_for_a_path_that_is_not_there(self):
        self.assert_error(self.who.container(images.image(), "/no/such/command"), 127, "/no/such/command",
                          "No such file or directory")

    def test_126_for_a_file_that_is_not_executable(self):
        self.assert_error(self.who.container(images.image(), "/etc/passwd"), 126, "/etc/passwd", "Permission denied")

    def test_126_for_a_directory(self):
        self.assert_error(self.who.container(images.image(), "/etc"), 126, "/etc")

    def test_128_plus_the_signal(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
            done = self.who.container("--init", images.image(), "sh", "-c", f"kill -{int(number)} $$")
            self.assertEqual(done.code, 128 + number, done)


@for_each("root", "user")
class Signals:
    def running(self, script, *options):
        process = self.who.start("container", "run", "--rm", *options, images.image(), "sh", "-c", f"echo ready; {script}")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.read_until(process.stdout, b"ready\n")
        return process

    def test_term_is_forwarded_and_its_answer_counts(self):
        process = self.running("trap 'echo got TERM; exit 7' TERM; while :; do sleep 0.1; done")
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        done = self.finish(process)
        self.assertEqual((done.code, done.text), (7, "got TERM\n"), done)

    def test_other_signals_are_forwarded_too(self):
        for name in ("HUP", "INT", "QUIT", "USR1", "USR2"):
            with self.subTest(name):
                process = self.running(f"trap 'echo got {name}; exit 3' {name}; while :; do sleep 0.1; done")
                time.sleep(0.1)
                process.send_signal(getattr(signal, f"SIG{name}"))
                done = self.finish(process)
                self.assertEqual((done.code, done.text), (3, f"got {name}\n"), done)

    def test_a_first_process_that_ignores_term_goes_on(self):
        process = self.running("trap '' TERM; sleep 1; echo still here; exit 5")
        process.send_signal(signal.SIGTERM)
        done = self.finish(process)
        self.assertEqual((done.code, done.text), (5, "still here\n"), done)

    def test_init_makes_term_end_a_program_without_a_handler(self):
        process = self.running("exec sleep 1000", "--init")
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 143)

    def test_a_container_killed_from_outside_is_137(self):
        process = self.running("exec sleep 987.5")
        [pid] = self.wait_for(lambda: [p for p, line in descendants().items() if line.startswith("sleep 987.5")], "payload")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.finish(process).code, 137)

    def test_children_of_the_payload_end_with_it(self):
        process = self.running("(trap '' HUP TERM; sleep 986.5) & sleep 0.2; exit 4")
        self.assertEqual(self.finish(process).code, 4)

    def test_output_after_the_end_of_the_first_process_is_not_waited_for(self):
        started = time.monotonic()
        done = self.who.run([self.locald_path(), "container", "run", "--rm", images.image(), "sh", "-c", "sleep 60 & exit 0"])
        self.assertEqual(done.code, 0, done)
        self.assertLess(time.monotonic() - started, 20)

    @staticmethod
    def locald_path():
        from tests.e2e.support import world
        return world().locald

    def test_a_closed_stdin_is_no_problem(self):
        process = self.who.start("container", "run", "--rm", "-i", images.image(), "cat", stdin=subprocess.PIPE)
        process.stdin.close()
        process.stdin = None
        self.assertEqual(self.finish(process).code, 0)

    def test_streams_that_are_not_even_open(self):
        """With 0, 1 or 2 closed no descriptor of ours becomes a stream of the container."""
        for closed in ("<&-", ">&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                script = f'"$@" {closed}'
                done = self.who.run(["sh", "-c", script, "sh", self.locald_path(), "--quiet", "container", "run", "-i",
                                     images.image(), "sh", "-c", "cat && exit 5"])
                self.assertEqual((done.code, done.text, done.own_errors), (5, "", ""), done)

    def test_a_caller_who_ignores_signals_changes_nothing(self):
        def ignore():
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        done = self.who.run([self.locald_path(), "container", "run", images.image(), "sh", "-c",
                             "grep SigIgn /proc/self/status; exit 5"], preexec_fn=ignore, restore_signals=False)
        self.assertEqual((done.code, done.text), (5, "SigIgn:\t0000000000000000\n"), done)

    @on_this_host_alone("the shim of the other side is not ours to slow down")
    def test_ctrl_c_while_the_container_is_being_started_is_not_lost(self):
        self.assert_ok(self.who.container(images.image(), "true"))
        slow = self.who.directory("slow")
        self.who.write("slow/locald", self.locald_path().read_bytes()).chmod(0o755)
        starting = self.who.home / "tmp/starting"
        self.who.write("slow/locald-shim",
                       f'#!/bin/sh\ncase "$*" in *"bundle run"*) touch {starting}; sleep 1;; esac\n'
                       f'exec {self.locald_path().parent}/locald-shim "$@"\n').chmod(0o755)
        process = self.who.popen([slow / "locald", "container", "run", images.image(), "sleep", "10"])
        self.wait_for(starting.exists, "start")
        process.send_signal(signal.SIGINT)
        done = self.finish(process)
        starting.unlink()
        for name in ("locald", "locald-shim"):
            (slow / name).unlink()
        self.assertEqual(done.code, 130, done)

    def test_ctrl_c_as_soon_as_the_program_speaks_is_the_programs(self):
        for _ in range(8):
            process = self.who.start("container", "run", images.image(), "sh", "-c",
                                     "trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done")
            self.read_until(process.stdout, b"ready\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(self.finish(process).code, 4)
