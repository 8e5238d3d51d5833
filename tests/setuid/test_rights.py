"""What an ordinary user has from the setuid shim, and that nothing of root's is left in it."""

import fcntl
import json
import os
import re
import struct
import subprocess
import time
from pathlib import Path

from tests.setuid.support import SetuidCase, has_v2, processes, subtrees, traced, user, wait_until, world

NS_GET_OWNER_UID = 0xB704
O_ACCMODE = 3


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


class Rights(SetuidCase):
    def test_ids_are_the_callers_own_and_his_grants(self):
        text = self.assert_runs(self.bundle("cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"))
        numbers = [tuple(map(int, line.split())) for line in text.splitlines()[:-1]]
        (uid_first, uid_count), (gid_first, gid_count) = self.who.ranges("uid")[0], self.who.ranges("gid")[0]
        self.assertEqual(numbers, [(0, self.who.uid, 1), (1, uid_first, uid_count), (0, self.who.gid, 1), (1, gid_first, gid_count)])
        self.assertEqual(text.splitlines()[-1], "allow")

    def test_nothing_of_roots_is_left_in_the_shim_while_a_container_runs(self):
        process, first, _ = self.start(self.bundle("sleep", "100"))
        now = status(process.pid)
        self.assertEqual(now["Uid"].split(), [str(self.who.uid)] * 4)
        self.assertEqual(now["Gid"].split(), [str(self.who.gid)] * 4)
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(now[name], 16), 0, name)
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            place = os.readlink(f"/proc/{process.pid}/fd/{fd}")
            flags = int(re.search(r"flags:\t(\d+)", Path(f"/proc/{process.pid}/fdinfo/{fd}").read_text())[1], 8)
            if flags & O_ACCMODE:
                self.assertNotRegex(place, r"^/(proc|sys|etc|run/locald$)", f"descriptor {fd} is open for writing")
        mine = {pid for pid, uids in processes().items() if self.who.uid in uids}
        self.assertEqual(mine, {process.pid, first}, "the shim and the container's program alone")

    def test_the_namespace_belongs_to_the_caller(self):
        _, first, _ = self.start(self.bundle("sleep", "100"))
        with open(f"/proc/{first}/ns/user", "rb") as namespace:
            owner = struct.unpack("I", fcntl.ioctl(namespace, NS_GET_OWNER_UID, b"\0" * 4))[0]
        self.assertEqual(owner, self.who.uid)

    def test_root_is_given_up_before_the_configuration_is_looked_at(self):
        bundle = self.bundle("true")
        log = self.who.write("trace", "")
        done = traced(self.who, ["-o", log], world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id())
        self.assertEqual(done.code, 0, done)
        calls = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
        dropped = max(i for i, call in enumerate(calls) if re.match(r"setresuid\(-1, 0, -1\)\s+= -1 EPERM", call))
        touched = min(i for i, call in enumerate(calls) if str(bundle.dir) in call and not call.startswith("execve"))
        self.assertLess(dropped, touched)
        for call in calls[:dropped]:
            if match := re.search(r'"(/[^"]*)"', call):
                self.assertRegex(match[1], r"^/(etc/(locald(/shim.conf)?|passwd|group|subuid|subgid)|run/locald|sys/fs/cgroup.*|proc|"
                                           r"proc/self/(cgroup|ns/user)|dev/null)?$" + f"|^{re.escape(str(world().shim))}$", call)

    def test_verbs_of_an_engine_work_for_a_user(self):
        bundle = self.bundle("sh", "-c", "echo on >/tmp/said; sleep 100")
        name = self.new_id()
        self.assertEqual(self.who.shim("create", "--bundle", bundle.dir, name).code, 0)
        self.assertEqual(json.loads(self.who.shim("state", name).text)["status"], "created")
        self.assertEqual(self.who.shim("start", name).code, 0)
        done = self.who.shim("exec", name, "id")
        self.assertEqual((done.code, done.text), (0, "uid=0 gid=0\n"), done)
        self.assertIn(name, self.who.shim("list", "--quiet").text)
        self.assertEqual(self.who.shim("pause", name).code, 0)
        self.assertEqual(self.who.shim("resume", name).code, 0)
        self.assertEqual(self.who.shim("kill", name, "KILL").code, 0)
        self.assertTrue(wait_until(lambda: json.loads(self.who.shim("state", name).text)["status"] == "stopped"))
        self.assertEqual(self.who.shim("delete", name).code, 0)

    def test_another_users_containers_are_not_there(self):
        _, _, name = self.start(self.bundle("sleep", "100"))
        other = user("other")
        self.assertEqual(other.shim("list", "--quiet").text, "")
        for words in (("state", name), ("kill", name, "KILL"), ("exec", name, "id"), ("delete", "--force", name), ("pause", name),
                      ("--root", self.who.state, "kill", name, "KILL"), ("--root", self.who.state, "delete", "--force", name)):
            done = other.shim(*words)
            if words[0] == "delete":  # nothing there is nothing to do
                self.assertIn(done.code, (0, 1), done)
            else:
                self.assertNotEqual(done.code, 0, done)
        self.assertEqual(json.loads(self.who.shim("state", name).text)["status"], "running")


class Cgroups(SetuidCase):
    def setUp(self):
        super().setUp()
        self.assertTrue(has_v2(), "no cgroup v2 hierarchy")

    def v2_subtree(self):
        self.assert_runs(self.bundle("true"))
        return next(path for path in subtrees(self.who.uid) if (path / "cgroup.subtree_control").exists())

    def test_processes_of_run_and_exec_are_born_in_the_callers_subtree(self):
        process, first, name = self.start(self.bundle("sleep", "100"))
        place = f"/locald/user-{self.who.uid}/{name}/c"
        self.assertIn(f"0::{place}\n", Path(f"/proc/{first}/cgroup").read_text())
        added = self.who.popen([world().shim, "exec", name, "sleep", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end, added)
        procs = next(Path(base) for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if Path(base + place).exists())
        self.assertTrue(wait_until(lambda: len(Path(f"{procs}{place}/cgroup.procs").read_text().split()) == 2))
        self.assertEqual(added.wait(10), 0)
        self.assertEqual((Path(f"{procs}{place}").parent.parent / ".start/cgroup.procs").read_text(), "")
        self.assertNotIn("locald", Path(f"/proc/{process.pid}/cgroup").read_text().split("0::")[1])

    def test_the_limits_of_the_whole_subtree_stay_roots(self):
        subtree = self.v2_subtree()
        theirs = {path.name for path in subtree.iterdir() if path.is_file() and path.stat().st_uid == self.who.uid}
        self.assertEqual(theirs, {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"})
        self.assertLess(int((subtree / "cgroup.max.descendants").read_text()), 10000)
        self.assertEqual(subtree.parent.stat().st_uid, 0)
        for file in ("cgroup.max.descendants", "cgroup.procs"):
            done = self.who.run(["sh", "-c", f"echo 1 > {subtree.parent}/{file}"])
            self.assertNotEqual(done.code, 0, done)
        done = self.who.run(["sh", "-c", f"echo max > {subtree}/cgroup.max.descendants"])
        self.assertNotEqual(done.code, 0, done)
        done = self.who.run(["mkdir", f"{subtree.parent}/mine"])
        self.assertNotEqual(done.code, 0, done)

    def test_version_1_hands_out_no_devices_net_or_cpuset(self):
        self.v2_subtree()
        for controller in ("devices", "net_cls", "net_prio", "cpuset"):
            self.assertFalse(Path(f"/sys/fs/cgroup/{controller}/locald/user-{self.who.uid}").exists())
        if not Path("/sys/fs/cgroup/pids").is_dir():
            return
        mine = Path(f"/sys/fs/cgroup/pids/locald/user-{self.who.uid}")
        self.assertEqual({path.name for path in mine.iterdir() if path.is_file() and path.stat().st_uid == self.who.uid},
                         {"cgroup.procs", "tasks"})
        self.assertLess(int((mine / "pids.max").read_text()), 1 << 20)

    def test_a_root_of_a_container_does_not_reach_its_own_limits(self):
        bundle = self.bundle("sh", "-c", "mkdir /tmp/c; mount -t cgroup2 cgroup2 /tmp/c && cat /tmp/c/cgroup.procs; ls /tmp/c/..; "
                             "echo 5 >/tmp/c/cgroup.max.descendants && echo written; ls -d /tmp/c/.start")
        bundle.config["process"]["capabilities"] = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
        bundle.write()
        (bundle.dir / "rootfs/bin/mkdir").symlink_to("busybox")
        text = self.run_bundle(bundle).text
        self.assertNotIn(f"user-{self.who.uid}", text)
        self.assertNotIn("/tmp/c/.start", text)


class Bites(SetuidCase):
    def test_rights_of_roots_would_be_left_if_they_were_not_given_up(self):
        _, _, name = self.start(self.bundle("sleep", "100"))
        for shim, left in ((world().shim, False), (world().weak("capabilities"), True)):
            watching = self.who.popen([shim, "events", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(self.end, watching)
            time.sleep(0.3)  # it waits for events
            self.assertIn("locald-shim", os.readlink(f"/proc/{watching.pid}/exe"))
            self.assertEqual(int(status(watching.pid)["CapPrm"], 16) != 0, left)
            self.assertIsNone(watching.poll())
