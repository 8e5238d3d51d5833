"""containerd with the shim as its runtime: by `ctr`, and as Kubernetes drives it, by the Container Runtime Interface."""

import os
import signal

from tests.clients import cri
from tests.clients.daemons import containerd
from tests.clients.support import ENGINES, MARK, EngineCase, in_terminal, runtime, wait_until
from tests.e2e.support import IS_ROOT, require

IMAGE = "example.com/busybox:latest"
#: NamespaceMode of runtime.v1
CONTAINER = 1


class ContainerdCase(EngineCase):
    kind = "root"

    def prepare(self):
        require(IS_ROOT, "root")
        self.daemon = containerd()
        self.ctr = self.daemon.ctr


class Ctr(ContainerdCase):
    """`ctr run --runc-binary`"""

    number = 0

    def remove_containers(self):
        for name in self.ctr("containers", "ls", "-q").text.split():
            self.ctr("tasks", "delete", "--force", name)
            self.ctr("containers", "delete", name)

    def run_it(self, *words, options=(), **kwargs):
        Ctr.number += 1
        return self.ctr("run", "--rm", "--runc-binary", runtime(), *options, IMAGE, f"c{Ctr.number}", *words, **kwargs)

    def begin(self, script="exec sleep 1000", options=()):
        Ctr.number += 1
        name = f"c{Ctr.number}"
        self.assert_ok(self.ctr("run", "-d", "--runc-binary", runtime(), *options, IMAGE, name, "sh", "-c", script))
        return name

    def status(self, name):
        lines = [line.split() for line in self.ctr("tasks", "ls").text.splitlines()]
        return next((line[2] for line in lines if line[0] == name), None)

    def test_run_passes_output_and_status(self):
        done = self.run_it("sh", "-c", "echo out; echo err >&2; sleep 0.2; exit 7")  # ctr does not wait for the last words
        self.assertEqual((done.code, done.text), (7, "out\n"), done)
        self.assertIn("err\n", done.errors)

    def test_a_missing_program_is_named(self):
        done = self.run_it("/no/such/program")
        self.assertNotEqual(done.code, 0)
        self.assertIn("/no/such/program", done.errors)
        self.assertIn("no such file or directory", done.errors.lower())

    def test_exec_kill_and_delete(self):
        name = self.begin("trap 'exit 5' TERM; while :; do sleep 0.05; done")
        done = self.ctr("tasks", "exec", "--exec-id", "e1", name, "sh", "-c", "echo in; exit 3")
        self.assertEqual((done.code, done.text), (3, "in\n"), done)
        done = self.ctr("tasks", "exec", "--exec-id", "e2", name, "/no/such/program")
        self.assertNotEqual(done.code, 0)
        self.assert_ok(self.ctr("tasks", "kill", "-s", "SIGTERM", name))
        self.assertTrue(wait_until(lambda: self.status(name) == "STOPPED", 10), self.status(name))
        done = self.ctr("tasks", "delete", name)
        self.assertRegex(done.errors, "exit code 5")

    def test_pause_resume_processes_and_metrics(self):
        name = self.begin()
        self.assert_ok(self.ctr("tasks", "pause", name))
        self.assertEqual(self.status(name), "PAUSED")
        self.assert_ok(self.ctr("tasks", "resume", name))
        self.assertEqual(self.status(name), "RUNNING")
        listed = self.assert_ok(self.ctr("tasks", "ps", name))
        self.assertEqual(len(listed.text.splitlines()), 2, listed)
        metrics = self.assert_ok(self.ctr("tasks", "metrics", "--format", "json", name))
        self.assertIn("memory", metrics.text)
        self.assert_ok(self.ctr("tasks", "kill", "-s", "SIGKILL", name))
        self.assertTrue(wait_until(lambda: self.status(name) == "STOPPED", 10))

    def test_options_arrive(self):
        script = "grep NoNewPrivs /proc/self/status | cut -f2; id -u; pwd; echo $COLOUR; touch /root/x 2>/dev/null || echo read-only"
        done = self.run_it("sh", "-c", script, options=("--read-only", "--user", "1000", "--cwd", "/tmp", "--env", "COLOUR=red",
                                                        "--memory-limit", str(64 << 20), "--seccomp"))
        self.assertEqual(done.text.split(), ["1", "1000", "/tmp", "red", "read-only"], done)

    def test_a_terminal(self):
        Ctr.number += 1
        words = [ENGINES / "sid/bin/ctr", "-a", self.daemon.socket, "-n", MARK, "run", "--rm", "-t", "--runc-binary", runtime(), IMAGE,
                 f"c{Ctr.number}", "sh", "-c", "tty; stty size; exit 4"]
        done = in_terminal(words, self.daemon.env, self.daemon.dir)
        self.assertEqual(done.code, 4, done)
        self.assertIn(b"/dev/pts/0", done.out)

    def test_user_namespaces(self):
        done = self.run_it("cat", "/proc/self/uid_map", options=("--uidmap", "0:200000:70000", "--gidmap", "0:200000:70000", "--remap-labels"))
        if "remap" in done.errors:  # this snapshotter cannot shift owners: then it says so before the runtime is asked
            done = self.run_it("cat", "/proc/self/uid_map", options=("--uidmap", "0:200000:70000", "--gidmap", "0:200000:70000"))
        self.assertEqual(done.text.split(), ["0", "200000", "70000"], done)


class Kubernetes(ContainerdCase):
    """Pods and containers as a kubelet makes them, by the handler that a RuntimeClass names."""

    def prepare(self):
        super().prepare()
        self.call = cri.Client(self.daemon.socket, self.daemon.dir)
        self.pods = []

    def remove_containers(self):
        for pod in self.pods:
            self.call("StopPodSandbox", {1: pod})
            self.call("RemovePodSandbox", {1: pod})

    def pod(self, name="pod"):
        self.config = {1: {1: name, 2: f"uid-{name}", 3: "default"}, 2: name, 3: str(self.daemon.dir / "logs"),
                       8: {1: f"/{MARK}"}}
        pod = self.call("RunPodSandbox", {1: self.config, 2: "locald"})[1][0].decode()
        self.pods.append(pod)
        return pod

    def container(self, pod, name, *command, linux=None, **fields):
        config = {1: {1: name}, 2: {1: IMAGE}, 3: list(command), 11: f"{name}.log", 15: linux or {2: {3: {2: CONTAINER}}}}
        made = self.call("CreateContainer", {1: pod, 2: {**config, **fields}, 3: self.config})[1][0].decode()
        self.call("StartContainer", {1: made})
        return made

    def status(self, name):
        status = cri.decode(self.call("ContainerStatus", {1: name})[1][0])
        return {"state": status.get(3, [0])[0], "code": status.get(7, [0])[0], "reason": status.get(10, [b""])[0].decode()}

    def exec_sync(self, name, *command):
        answer = self.call("ExecSync", {1: name, 2: list(command), 3: 20})
        return answer.get(1, [b""])[0].decode(), answer.get(2, [b""])[0].decode(), answer.get(3, [0])[0]

    def test_a_pod_with_a_container_that_execs_is_updated_counted_and_stopped(self):
        pod = self.pod()
        name = self.container(pod, "one", "sh", "-c", "trap 'exit 6' TERM; echo logged; while :; do sleep 0.05; done",
                              linux={1: {3: 512, 4: 64 << 20, 5: 100}, 2: {3: {2: CONTAINER}}})
        self.assertEqual(self.status(name)["state"], 1)
        self.assertEqual(self.exec_sync(name, "sh", "-c", "echo in; echo err >&2; exit 3"), ("in\n", "err\n", 3))
        self.assertEqual(self.exec_sync(name, "cat", "/proc/self/oom_score_adj")[0], "100\n")
        self.call("UpdateContainerResources", {1: name, 2: {4: 96 << 20}})
        stats = cri.decode(self.call("ContainerStats", {1: name})[1][0])
        self.assertIn(3, stats, "memory statistics")
        log = self.daemon.dir / "logs/one.log"
        self.assertTrue(wait_until(lambda: log.exists() and "logged" in log.read_text(), 10))
        self.call("StopContainer", {1: name, 2: 10})
        self.assertEqual((self.status(name)["state"], self.status(name)["code"]), (2, 6))
        self.call("RemoveContainer", {1: name})

    def test_the_containers_of_a_pod_share_what_a_pod_shares(self):
        pod = self.pod("shares")
        names = [self.container(pod, f"c{number}", "sleep", "1000") for number in (1, 2)]
        for space, same in (("ipc", True), ("uts", True), ("net", True), ("mnt", False), ("pid", False)):
            inodes = {self.exec_sync(name, "readlink", f"/proc/1/ns/{space}")[0] for name in names}
            self.assertEqual(len(inodes) == 1, same, (space, inodes))

    def test_the_security_context_arrives(self):
        pod = self.pod("secure")
        context = {1: {2: ["ALL"]}, 3: {2: CONTAINER}, 5: {1: 1000}, 7: 1, 8: [50, 51], 11: 1, 12: {1: 1001}, 13: ["/proc/uptime"], 15: {1: 0}}
        name = self.container(pod, "one", "sleep", "1000", linux={2: context})
        out = self.exec_sync(name, "sh", "-c", "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | cut -f2; "
                             "wc -c < /proc/uptime; touch /tmp/x 2>/dev/null || echo read-only")[0].split("\n")
        self.assertEqual(out[:2], ["1000", "1001"], out)
        self.assertEqual(set(out[2].split()) & {"50", "51"}, {"50", "51"}, out)
        self.assertEqual(out[3:8], ["0000000000000000", "1", "2", "0", "read-only"], out)

    def test_a_missing_program_is_an_error_of_the_start(self):
        pod = self.pod("missing")
        with self.assertRaises(cri.Failed) as caught:
            self.container(pod, "one", "/no/such/program")
        self.assertIn("no such file or directory", str(caught.exception).lower())

    def test_a_container_that_ends_by_itself_has_its_status(self):
        pod = self.pod("ends")
        name = self.container(pod, "one", "sh", "-c", "exit 9")
        self.assertTrue(wait_until(lambda: self.status(name)["state"] == 2, 10))
        self.assertEqual((self.status(name)["code"], self.status(name)["reason"]), (9, "Error"))

    def test_an_orphan_of_a_killed_first_process_does_not_outlive_it(self):
        pod = self.pod("orphans")
        name = self.container(pod, "one", "sh", "-c", "sleep 1000.25 & wait")
        tasks = self.daemon.ctr("tasks", "ls", namespace="k8s.io").text.splitlines()
        pid = next(int(line.split()[1]) for line in tasks if line.startswith(name))
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.status(name)["state"] == 2, 10))
        self.assertEqual(self.status(name)["code"], 137)
