"""`container logs`: what a container in the background has said, whole, bounded and as it comes."""

import re
import time

from tests.e2e.detached import Detached
from tests.e2e.support import for_each


@for_each("root", "user")
class Logs(Detached):
    def ended(self, text, *options):
        name = self.script(text, *options)
        self.verb("wait", name)
        return name

    def test_stdout_and_stderr_go_where_they_belong(self):
        name = self.ended("echo one; echo two >&2; printf 'no end'")
        done = self.verb("logs", name)
        self.assertEqual((done.code, done.text, done.own_errors), (0, "one\nno end", "two\n"), done)

    def test_bytes_come_as_they_were(self):
        name = self.ended("head -c 300000 /dev/urandom | tee /tmp/x; sha256sum < /tmp/x >&2")
        import hashlib
        done = self.verb("logs", name)
        self.assertEqual(hashlib.sha256(done.out).hexdigest(), done.own_errors.split()[0])

    def test_a_terminals_output_is_kept_too(self):
        name = self.ended("test -t 1 && echo terminal", "-t")
        self.assertEqual(self.verb("logs", name).text, "terminal\r\n")

    def test_follow_ends_with_the_container(self):
        name = self.script("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exit 4")
        self.assert_prints(self.verb("logs", "-f", name), "1\n2\n3\n4\n5\n")

    def test_follow_shows_it_as_it_comes(self):
        name = self.script("echo first; sleep 30")
        process = self.who.start("container", "logs", "-f", name)
        self.read_until(process.stdout, b"first\n")
        self.verb("rm", "-f", name)
        self.assertEqual(self.finish(process).code, 0)

    def test_tail_counts_lines_of_both_streams(self):
        name = self.ended("seq 1 10; echo error >&2; sleep 0.1; printf part")
        for tail, out, err in (("0", "", ""), ("1", "part", ""), ("all", None, "error\n"), ("1000", None, "error\n")):
            done = self.verb("logs", "--tail", tail, name)
            whole = "".join(f"{number}\n" for number in range(1, 11)) + "part"
            self.assertEqual((done.text, done.own_errors), (whole if out is None else out, err), (tail, done))
        self.assert_prints(self.verb("logs", "-n", "3", self.ended("seq 1 10")), "8\n9\n10\n")
        self.assert_error(self.verb("logs", "--tail", "x", name), 125, "--tail")

    def test_timestamps_and_since(self):
        name = self.ended("echo old; sleep 1.5; echo new")
        lines = self.verb("logs", "-t", name).text.splitlines()
        for line, word in zip(lines, ("old", "new")):
            self.assertRegex(line, rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}}Z {word}$")
        between = lines[1].split()[0]
        self.assert_prints(self.verb("logs", "--since", between, name), "new\n")
        self.assert_prints(self.verb("logs", "--since", "1h", name), "old\nnew\n")
        self.assert_prints(self.verb("logs", "--until", lines[0].split()[0], name), "old\n")
        self.assert_prints(self.verb("logs", "--since", str(int(time.time()) + 100), name), "")
        self.assert_error(self.verb("logs", "--since", "soon", name), 125, "--since")

    def test_a_hundred_megabytes_are_bounded_and_what_is_missing_is_counted(self):
        size = 100_000_000
        name = self.script(f"yes 0123456789abcde | head -c {size}")
        self.assert_prints(self.verb("wait", name, timeout=120), "0\n")
        kept = sum(path.stat().st_size for path in (self.who.store / "detached" / name).glob("log.*"))
        self.assertLess(kept, 17 << 20)
        done = self.verb("logs", name)
        [missing] = re.findall(r"(\d+) bytes of the output are not in the log", done.own_errors)
        self.assertEqual(len(done.out) + int(missing), size)
        self.assertGreater(len(done.out), 11 << 20)
        self.assert_prints(self.verb("logs", "--tail", "1", name), "0123456789abcde\n")

    def test_nobody_has_to_read(self):
        name = self.script("seq 1 200000; sleep 30")
        process = self.who.start("container", "logs", "-f", name)
        self.read_until(process.stdout, b"1\n")
        process.stdout.close()
        process.stderr.close()
        self.wait_for(lambda: self.verb("logs", "--tail", "1", name).text == "200000\n", "all output")
        self.verb("rm", "-f", name)
        process.wait(20)

    def test_what_has_no_log_says_so(self):
        self.assert_error(self.verb("logs", "nobody"), 125, "no such container")
