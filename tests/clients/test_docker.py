"""Docker Engine with the shim as its default runtime."""

import json
import os
import time

from tests.clients.daemons import docker
from tests.clients.support import IMAGE, EngineCase, in_terminal, wait_until
from tests.e2e.support import IS_ROOT, require


class Docker(EngineCase):
    kind = "root"

    def prepare(self):
        require(IS_ROOT, "root")
        self.daemon = docker()
        self.docker = self.daemon.docker

    def remove_containers(self):
        names = self.docker("ps", "-aq").text.split()
        if names:
            self.docker("rm", "-f", *names)

    def begin(self, *words, script="exec sleep 1000"):
        return self.assert_ok(self.docker("run", "-d", "--network", "none", *words, IMAGE, "sh", "-c", script)).text.strip()

    def run_it(self, *words, options=(), **kwargs):
        return self.docker("run", "--rm", "-i", "--network", "none", *options, IMAGE, *words, **kwargs)

    def state(self, name):
        return json.loads(self.docker("inspect", name).text)[0]["State"]

    def test_it_is_the_default_runtime(self):
        self.assertEqual(self.docker("info", "-f", "{{.DefaultRuntime}}").text, "locald\n")

    def test_run_passes_streams_and_status(self):
        done = self.run_it("sh", "-c", "cat; echo err >&2; exit 7", input=b"in\n")
        self.assertEqual((done.code, done.text, done.errors), (7, "in\n", "err\n"), done)

    def test_missing_and_unexecutable_programs(self):
        self.assertEqual(self.run_it("/no/such/program").code, 127)
        self.assertEqual(self.run_it("nosuchprogram").code, 127)
        self.assertEqual(self.run_it("/etc/passwd").code, 126)

    def test_exec_stop_logs_and_restart(self):
        name = self.begin(script="echo logged; trap 'exit 5' TERM; while :; do sleep 0.05; done")
        done = self.docker("exec", "-e", "A=b", "-w", "/tmp", "-u", "app", name, "sh", "-c", "echo $A $PWD; id -un; exit 3")
        self.assertEqual((done.code, done.text), (3, "b /tmp\napp\n"), done)
        self.assertIn(self.docker("exec", name, "/no/such/program").code, (126, 127))
        self.assert_ok(self.docker("stop", "-t", "10", name))
        self.assertEqual(self.state(name)["ExitCode"], 5)
        self.assertEqual(self.docker("logs", name).text, "logged\n")
        self.assert_ok(self.docker("start", name))
        self.assert_ok(self.docker("restart", "-t", "0", name))
        self.assertTrue(self.state(name)["Running"])

    def test_pause_stats_top_and_update(self):
        name = self.begin("--memory", "64m", "--pids-limit", "50")
        self.assert_ok(self.docker("pause", name))
        self.assertTrue(self.state(name)["Paused"])
        self.assert_ok(self.docker("unpause", name))
        stats = json.loads(self.assert_ok(self.docker("stats", "--no-stream", "--format", "{{json .}}", name)).text)
        self.assertIn("64MiB", stats["MemUsage"])
        self.assertGreaterEqual(int(stats["PIDs"]), 1)
        self.assert_ok(self.docker("update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.5", name))
        stats = json.loads(self.docker("stats", "--no-stream", "--format", "{{json .}}", name).text)
        self.assertIn("96MiB", stats["MemUsage"])
        self.assertIn("sleep 1000", self.assert_ok(self.docker("top", name)).text)

    def test_events_tell_of_start_and_end(self):
        name = self.begin(script="exit 4")
        self.assertTrue(wait_until(lambda: not self.state(name)["Running"], 10))
        done = self.docker("events", "--since", "10m", "--until", str(int(time.time()) + 1), "--filter", f"container={name}", "--format", "{{.Action}}")
        self.assertEqual(done.text.split(), ["create", "start", "die"], done)

    def test_a_terminal(self):
        words = self.daemon.words(["run", "--rm", "-it", "--network", "none", IMAGE, "sh", "-c", "tty; read line; echo got $line; stty size; exit 6"])
        done = in_terminal(words, self.daemon.env, self.daemon.dir, b"word\n")
        self.assertEqual(done.code, 6, done)
        for text in (b"/dev/pts/0", b"got word", b"40 100"):
            self.assertIn(text, done.out)

    def test_options_arrive(self):
        folder = self.who.directory("docker-shared")
        options = ("--read-only", "--tmpfs", "/scratch", "-v", f"{folder}:/data", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                   "--ulimit", "nofile=321:432", "--sysctl", "net.ipv4.ip_unprivileged_port_start=77", "--device", "/dev/null:/dev/mine",
                   "--hostname", "box", "-u", "1000:1001", "--group-add", "50", "--init")
        script = ("grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2; ulimit -Sn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; "
                  "hostname; id -u; touch /x 2>/dev/null || echo read-only; echo x > /dev/mine && stat -c %F /dev/mine")
        done = self.run_it("sh", "-c", script, options=[word for word in options if word != "--init"])
        self.assertEqual(done.text.splitlines(), ["0000000000000000", "1", "321", "77", "box", "1000", "read-only", "character special file"], done)

    def test_privileged_and_namespaces_of_the_host(self):
        self.assert_ok(self.run_it("sh", "-c", "mkdir /tmp/m && mount -t tmpfs none /tmp/m", options=["--privileged"]))
        for name in ("uts", "pid", "ipc"):
            inside = self.run_it("readlink", f"/proc/self/ns/{name}", options=[f"--{name}", "host"])
            self.assertEqual(inside.text.strip(), os.readlink(f"/proc/self/ns/{name}"), inside)

    def test_health_checks(self):
        name = self.begin("--health-cmd", "true", "--health-interval", "100ms")
        self.assertTrue(wait_until(lambda: self.state(name)["Health"]["Status"] == "healthy", 15))

    def test_an_out_of_memory_kill_is_told(self):
        name = self.begin("--memory", "16m", "--memory-swap", "16m", script="dd if=/dev/zero of=/dev/null bs=64M count=1")
        self.assertTrue(wait_until(lambda: not self.state(name)["Running"], 15))
        state = self.state(name)
        self.assertEqual((state["OOMKilled"], state["ExitCode"]), (True, 137), state)
