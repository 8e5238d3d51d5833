"""podman with the shim as its runtime: the options that end in config.json."""

import json
import os
import re

from tests.clients.support import IMAGE, MARK, inspect, podmans, wait_until
from tests.e2e import images


@podmans("sid root", "sid user", "bookworm root", "bookworm user")
class Options:
    def test_cgroups_enabled_disabled_and_without_conmon(self):
        for how in ("enabled", "disabled", "no-conmon"):
            with self.subTest(how):
                self.assertEqual(self.run_ok(f"--cgroups={how}", *([] if how == "disabled" or not self.who.is_root else ["--cgroup-parent", f"/{MARK}"]),
                                             "--", "echo", how), f"{how}\n")

    def test_security_options(self):
        status = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\n\\t'"
        self.assertEqual(self.run_ok("--security-opt", "no-new-privileges", "--", "sh", "-c", status), "NoNewPrivs:1Seccomp:2")
        self.assertEqual(self.run_ok("--security-opt", "seccomp=unconfined", "--", "sh", "-c", status), "NoNewPrivs:0Seccomp:0")
        profile = self.who.write("profile.json", json.dumps({
            "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 113}]}))
        done = self.run_it("--security-opt", f"seccomp={profile}", "--", "mkdir", "/tmp/made")
        self.assertIn("No route to host", done.errors, done)

    def test_masked_and_unmasked_paths(self):
        script = "cat /proc/keys | wc -c; head -c 1 /proc/uptime | wc -c"
        self.assertEqual(self.run_ok("--security-opt", "mask=/proc/uptime", "--", "sh", "-c", script).split(), ["0", "0"])
        self.assertNotEqual(self.run_ok("--security-opt", "unmask=ALL", "--", "sh", "-c", script).split()[0], "0")

    def test_capabilities(self):
        get = ("--", "sh", "-c", "grep CapEff /proc/self/status | cut -f2")
        self.assertEqual(self.run_ok("--cap-drop", "all", *get), "0000000000000000\n")
        self.assertEqual(self.run_ok("--cap-drop", "all", "--cap-add", "net_bind_service", *get), "0000000000000400\n")

    def test_privileged(self):
        done = self.run_it("--privileged", "--", "sh", "-c", "mkdir /tmp/m && mount -t tmpfs none /tmp/m && grep -q ' /tmp/m tmpfs' /proc/mounts && ls /dev | wc -l")
        self.assert_ok(done)
        self.assertGreater(int(done.text), 10)

    def test_devices(self):
        self.assertEqual(self.run_ok("--device", "/dev/null:/dev/mine:rw", "--", "sh", "-c", "stat -c %F /dev/mine; echo x > /dev/mine"),
                         "character special file\n")

    def test_resource_limits_of_processes(self):
        most = f"nproc={self.podman.most_processes}"
        self.assertEqual(self.run_ok("--ulimit", "nofile=321:432", "--ulimit", "core=0", "--ulimit", most, "--", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"),
                         "321\n432\n0\n")

    def test_sysctls(self):
        script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax"
        self.assertEqual(self.run_ok("--sysctl", "net.ipv4.ip_unprivileged_port_start=77", "--sysctl", "kernel.msgmax=4321", "--", "sh", "-c", script),
                         "77\n4321\n")

    def test_mounts_volumes_and_a_read_only_root(self):
        shared = self.who.directory("shared")
        self.who.write("shared/file", "from outside\n")
        script = "cat /data/file; echo x > /data/new || echo refused; touch /root/x || echo read-only; touch /tmp/x /run/x; grep -c ' /scratch tmpfs.*noexec' /proc/mounts"
        done = self.run_it("--read-only", "-v", f"{shared}:/data:ro", "--tmpfs", "/scratch:size=1m,noexec", "--", "sh", "-c", script)
        self.assertEqual(done.text, "from outside\nrefused\nread-only\n1\n", done)
        self.assertEqual(self.run_ok("--mount", f"type=bind,src={shared},dst=/data", "--shm-size", "1m", "--", "sh", "-c",
                                     "echo inside > /data/back; df -k /dev/shm | tail -n 1 | awk '{print $2}' 2>/dev/null || true")[:0], "")
        self.assertEqual((shared / "back").read_text(), "inside\n")

    def test_named_volumes_keep_what_was_written(self):
        volume = f"volume{os.getpid()}"
        self.addCleanup(self.podman, "volume", "rm", "-f", volume)
        self.run_ok("-v", f"{volume}:/data", "--", "sh", "-c", "echo kept > /data/file")
        self.assertEqual(self.run_ok("-v", f"{volume}:/data", "--", "cat", "/data/file"), "kept\n")

    def test_names_and_identity(self):
        self.assertEqual(self.run_ok("--hostname", "box", "-u", "app", "-w", "/srv/app", "-e", "A=b", "--", "sh", "-c", "hostname; id -un; pwd; echo $A"),
                         "box\napp\n/srv/app\nb\n")
        self.assertEqual(self.run_ok("--group-add", "staff", "-u", "app", "--", "id", "-G").split(), ["1001", "50", "1002"])

    def test_namespaces_of_the_host(self):
        # podman binds the host's queues for an ordinary user, and not every machine has them.
        for name in ("uts", "net", "pid", *(["ipc"] if self.who.is_root or os.path.exists("/dev/mqueue") else [])):
            with self.subTest(name):
                option = "--network" if name == "net" else f"--{name}"
                inside = self.run_ok(option, "host", "--", "readlink", f"/proc/self/ns/{name}").strip()
                self.assertEqual(inside, os.readlink(f"/proc/self/ns/{name}"))

    def test_namespaces_of_another_container(self):
        first = self.begin()
        words = []
        for option in ("--network", "--ipc", "--pid", "--uts"):
            words += [option, f"container:{first}"] if option != "--uts" else []
        done = self.run_it(*words, "--", "ps")
        self.assertIn("sleep 1000", done.text, done)

    def test_an_init_process_reaps(self):
        self.assertEqual(self.run_ok("--init", "--", "sh", "-c", "cat /proc/1/comm"), "podman-init\n")

    def test_hooks_run_with_the_state(self):
        marks = self.who.directory("hooks")
        folder = self.who.directory("hooks.d")
        for stage in ("createRuntime", "poststop"):
            script = self.who.write(f"hooks/{stage}.sh", f"#!/bin/sh\ncat > {marks}/{stage}\n")
            script.chmod(0o755)
            self.who.write(f"hooks.d/{stage}.json", json.dumps({
                "version": "1.0.0", "hook": {"path": str(script)}, "when": {"always": True}, "stages": [stage]}))
        done = self.podman("--hooks-dir", folder, "run", "--rm", *self.parent(()), IMAGE, "true")
        self.assert_ok(done)
        self.assertTrue(wait_until((marks / "poststop").exists, 5))
        self.assertEqual(json.loads((marks / "createRuntime").read_text())["status"], "creating")
        self.assertEqual(json.loads((marks / "poststop").read_text())["status"], "stopped")

    def test_user_namespaces_by_name(self):
        if self.who.is_root:
            done = self.run_it("--uidmap", "0:200000:70000", "--gidmap", "0:200000:70000", "--", "cat", "/proc/self/uid_map")
            self.assertEqual(done.text.split(), ["0", "200000", "70000"], done)
        else:
            self.assertEqual(self.run_ok("--userns", "keep-id", "--", "id", "-u"), f"{self.who.uid}\n")
            self.assertEqual(self.run_ok("--uidmap", "0:1:100", "--gidmap", "0:1:100", "--", "sh", "-c", "set -- $(cat /proc/self/uid_map); echo $1 $3"),
                             "0 100\n")

    def test_a_root_filesystem_that_is_a_plain_directory(self):
        done = self.podman("run", "--rm", *self.parent(()), "--read-only", "--rootfs", images.rootfs(), "cat", "/etc/motd")
        self.assertEqual(done.text, "busybox of the tests\n", done)

    def test_a_health_check_pod_and_what_they_share(self):
        pod = self.assert_ok(self.podman("pod", "create", *self.parent(()), "--name", f"pod{os.getpid()}")).text.strip()
        for number in (1, 2):
            self.assert_ok(self.podman("run", "-d", "--pod", pod, "--name", f"c{number}-{os.getpid()}", IMAGE, "sleep", "1000"))
        spaces = {self.podman("exec", f"c{number}-{os.getpid()}", "readlink", "/proc/self/ns/ipc").text for number in (1, 2)}
        self.assertEqual(len(spaces), 1, spaces)
        if self.who.is_root:
            self.assert_ok(self.podman("pod", "pause", pod))
            self.assertIn("Paused", self.podman("pod", "ps").text)
            self.assert_ok(self.podman("pod", "unpause", pod))
        self.assert_ok(self.podman("pod", "stop", "-t", "0", pod))
        self.assert_ok(self.podman("pod", "rm", "-f", pod))

    def test_a_kubernetes_pod_is_played_and_taken_down(self):
        name = f"kube{os.getpid()}"
        text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never", "containers": [{
                "name": "one", "image": IMAGE, "command": ["sh", "-c", "id -u; exec sleep 1000"],
                "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
            "volumes": [{"name": "scratch", "emptyDir": {}}]}})
        path = self.who.write("kube.yaml", text)
        words = ["kube", "play"] if self.suite == "sid" else ["play", "kube"]
        self.assert_ok(self.podman(*words, "--network", "none", path))
        self.assertTrue(wait_until(lambda: self.podman("logs", f"{name}-one").text == "1000\n", 10))
        self.assertTrue(inspect(self.podman("inspect", f"{name}-one"))["State"]["Running"])
        self.assert_ok(self.podman("pod", "rm", "-f", "-t", "0", name))
        self.podman("volume", "rm", "-f", "scratch")


@podmans("sid root", "sid root v2", "bookworm root")
class Cgroups:
    """What needs a cgroup of one's own, which an ordinary user has only by delegation."""

    def test_pause_and_unpause(self):
        name = self.begin()
        self.assert_ok(self.podman("pause", name))
        self.assertEqual(self.state(name)["Status"], "paused")
        done = self.podman("exec", name, "true")
        self.assertNotEqual(done.code, 0, done)
        self.assert_ok(self.podman("unpause", name))
        self.assert_ok(self.podman("exec", name, "true"))
        self.assert_ok(self.podman("pause", name))
        self.assert_ok(self.podman("rm", "-f", "-t", "0", name))

    def test_kill_of_a_paused_one(self):
        name = self.begin()
        self.assert_ok(self.podman("pause", name))
        self.podman("unpause", name)
        self.assert_ok(self.podman("kill", name))
        self.assertTrue(wait_until(lambda: self.state(name)["Status"] == "exited", 10))

    def test_a_container_without_a_pid_namespace_is_killed_whole(self):
        name = self.begin("--pid", "host", script="sleep 1000.5 & exec sleep 1000")
        self.assert_ok(self.podman("rm", "-f", "-t", "0", name))


@podmans("sid root", "bookworm root")
class Controllers:
    """What the controllers count and limit; they are in the v1 hierarchies of some machines, in the v2 tree of others."""

    def test_stats_count_memory_and_processes(self):
        name = self.begin(script="sleep 1000 & sleep 1000")
        done = self.assert_ok(self.podman("stats", "--no-stream", "--format", "json", name))
        stats = json.loads(done.text)[0]
        self.assertGreaterEqual(int(stats["pids"]), 2, stats)
        self.assertRegex(stats["mem_usage"], r"^[1-9][\d.]*[kM]B")

    def test_limits_at_the_start_and_after_an_update(self):
        name = self.begin("--memory", "64m", "--pids-limit", "50", "--cpu-shares", "512")
        # Only the later one knows --pids-limit here; what an update leaves out stays.
        pids = 60 if self.suite == "sid" else 50
        words = ["--pids-limit", "60"] if self.suite == "sid" else []
        self.assert_ok(self.podman("update", "--memory", "96m", "--cpus", "0.5", *words, name))
        pid = self.state(name)["Pid"]
        text = open(f"/proc/{pid}/cgroup", encoding="ascii").read()
        values = {}
        for controller, file in (("memory", "memory.limit_in_bytes"), ("pids", "pids.max"), ("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.shares")):
            path = re.search(rf"^\d+:{controller}:(.*)$", text, re.M)
            self.assertTrue(path, text)
            values[file] = int(open(f"/sys/fs/cgroup/{controller}{path[1]}/{file}", encoding="ascii").read())
        expected = {"memory.limit_in_bytes": 96 << 20, "pids.max": pids, "cpu.cfs_quota_us": 50000, "cpu.shares": 512}
        self.assertEqual(values, expected)

    def test_a_device_rule_refuses(self):
        done = self.run_it("--cap-add", "mknod", "--", "sh", "-c", "mknod /tmp/n b 254 0 2>/dev/null; cat /tmp/n >/dev/null 2>&1 || echo refused")
        self.assertEqual(done.text, "refused\n", done)
