"""What a hostile configuration asks of root: nothing of it may come true, because root is gone before it is read."""

import json
import os
import socket
from pathlib import Path

from tests.setuid.support import SetuidCase, processes, user


class Configurations(SetuidCase):
    def test_the_hosts_root_without_a_user_namespace_is_read_with_the_callers_eyes(self):
        bundle = self.bundle("sh", "-c", "cat /etc/shadow; echo x >/etc/locald-was-here; cat /proc/self/uid_map")
        bundle.config["root"] = {"path": "/"}
        bundle.config["mounts"] = []
        bundle.config["linux"]["namespaces"] = [{"type": "mount"}]
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertNotIn("root:", done.text, done)
        self.assertFalse(Path("/etc/locald-was-here").exists())

    def test_every_process_of_a_container_is_the_callers_or_of_his_grants(self):
        bundle = self.bundle("sleep", "100")
        bundle.config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "pid"}]
        bundle.write()
        process, first, _ = self.start(bundle)
        ids = set(processes()[first]) | set(processes()[process.pid])
        self.assertEqual(ids, {self.who.uid})

    def test_id_maps_other_than_the_callers_are_refused_by_name(self):
        other = user("other")
        bad = [
            [(0, 0, 1)], [(0, other.uid, 1)], [(0, self.who.uid, 1), (1, 0, 1)], [(0, self.who.uid, 2)],
            [(0, self.who.uid, 1), (1, other.ranges()[0][0], 65536)], [(0, self.who.uid, 4294967295)],
            [(0, 4294967295, 1)], [(4294967295, self.who.uid, 1)], [(0, self.who.uid, 1), (0, self.who.ranges()[0][0], 65536)],
        ]
        for maps in bad:
            for field in ("uidMappings", "gidMappings"):
                with self.subTest(maps=maps, field=field):
                    bundle = self.bundle("true")
                    bundle.config["linux"][field] = [{"containerID": a, "hostID": b, "size": c} for a, b, c in maps]
                    bundle.write()
                    done = self.run_bundle(bundle)
                    self.assert_refused(done, field)

    def test_hooks_have_the_callers_rights(self):
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
            said = self.who.write(f"said-{kind}", "", 0o666)
            inside = kind == "startContainer"
            script = f"/bin/cat /proc/self/status >{'/tmp/said' if inside else said}"
            program = {"path": "/bin/sh", "args": ["sh", "-c", script]}
            bundle = self.bundle("cat", "/tmp/said") if inside else self.bundle("true")
            bundle.config["hooks"] = {kind: [program]}
            bundle.write()
            done = self.run_bundle(bundle)
            self.assertEqual(done.code, 0, done)
            text = done.text if inside else said.read_text()
            fields = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
            # Inside the namespace it is root there; the host's ids are what /proc of the host shows.
            expected = {"0", str(self.who.uid)}
            self.assertLessEqual(set(fields["Uid"].split()), expected, kind)
            if not inside and kind != "createContainer":
                self.assertEqual(int(fields["CapEff"], 16), 0, kind)

    def test_places_of_root_and_of_others_cannot_be_bound(self):
        secret = user("other").write("private/secret", "mine")
        secret.parent.chmod(0o700)
        os.chown(secret.parent, user("other").uid, user("other").gid)
        for source in ("/root", str(secret.parent), str(secret), "/etc/shadow"):
            with self.subTest(source=source):
                bundle = self.bundle("sh", "-c", "ls /mnt; cat /mnt /mnt/*")
                bundle.config["mounts"].append({"destination": "/mnt", "source": source, "options": ["rbind", "rw", "suid", "dev", "exec"]})
                (bundle.dir / "rootfs/mnt").rmdir()
                bundle.write()
                done = self.run_bundle(bundle)
                self.assertNotIn("mine", done.text)
                self.assertNotIn("root:", done.text)
                self.assertNotEqual(done.code, 0, done)

    def test_a_bind_of_the_hosts_tree_gives_no_more_than_the_caller_has(self):
        bundle = self.bundle("sh", "-c", "cat /mnt/etc/shadow; echo x >/mnt/etc/locald-was-here; ls /mnt/root; true")
        bundle.config["mounts"].append({"destination": "/mnt", "source": "/", "options": ["rbind", "rw", "suid", "dev"]})
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertNotIn("root:", done.text, done)
        self.assertFalse(Path("/etc/locald-was-here").exists())

    def test_namespaces_of_root_cannot_be_joined(self):
        for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("pid", "pid"), ("cgroup", "cgroup"),
                           ("user", "user")):
            with self.subTest(kind=kind):
                bundle = self.bundle("true")
                spaces = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != kind]
                bundle.config["linux"]["namespaces"] = [*spaces, {"type": kind, "path": f"/proc/1/ns/{name}"}]
                if kind == "mount":
                    bundle.config["mounts"] = []
                bundle.write()
                self.assert_refused(self.run_bundle(bundle), f"/proc/1/ns/{name}")

    def test_values_of_the_host_cannot_be_set(self):
        wishes = {
            "kernel.core_pattern": {"linux": {"sysctl": {"kernel.core_pattern": "|/tmp/x"}}},
            "vm.overcommit_memory": {"linux": {"sysctl": {"vm.overcommit_memory": "2"}}},
            "oomScoreAdj": {"process": {"oomScoreAdj": -1000}},
            "rlimits": {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 30, "hard": 1 << 30}]}},
            "nice": {"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 50}}},
            "selinux": {"process": {"selinuxLabel": "system_u:system_r:init_t:s0"}},
        }
        before = {name: Path(name).read_text() for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory")}
        for name, wish in wishes.items():
            with self.subTest(wish=name):
                bundle = self.bundle("true")
                for part, values in wish.items():
                    bundle.config[part].update(values)
                bundle.write()
                done = self.run_bundle(bundle)
                self.assertNotEqual(done.code, 0, done)
        self.assertEqual(before, {name: Path(name).read_text() for name in before})

    def test_cgroups_of_others_and_of_the_system_cannot_be_used(self):
        other = user("other")
        self.assertEqual(other.shim("list").code, 0)
        for path in ("/system.slice/x", f"/locald/user-{other.uid}/x/c", "/../x", "/locald/user-0/x/c", "/", f"/locald/user-{self.who.uid}/../y"):
            with self.subTest(path=path):
                bundle = self.bundle("cat", "/proc/self/cgroup")
                bundle.config["linux"]["cgroupsPath"] = path
                bundle.config["linux"]["namespaces"] = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != "cgroup"]
                bundle.write()
                done = self.run_bundle(bundle)
                if done.code == 0:  # then it is in his own subtree, or nowhere of its own
                    for line in done.text.splitlines():
                        place = line.split(":", 2)[2]
                        self.assertTrue(f"user-{self.who.uid}/" in place or "x" not in place.split("/"), done)

    def test_devices_open_as_the_caller_could_open_them(self):
        for path, major, minor in (("/dev/kmsg", 1, 11), ("/dev/mem", 1, 1), ("/dev/vda", 254, 0)):
            with self.subTest(path=path):
                bundle = self.bundle("sh", "-c", f"cat <{path} | true; echo x >{path}; ls -l {path}")
                bundle.config["linux"]["devices"] = [{"path": path, "type": "b" if "vda" in path else "c", "major": major, "minor": minor,
                                                      "fileMode": 0o666, "uid": 0, "gid": 0}]
                bundle.config["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
                bundle.write()
                done = self.run_bundle(bundle)
                if done.code == 0:
                    self.assertRegex(done.errors, "(Permission denied|Operation not permitted|can't open|can't create)", done)

    def test_device_rules_are_accepted_and_not_loaded_and_features_says_so(self):
        bundle = self.bundle("sh", "-c", "echo x >/dev/null && echo opened")
        bundle.config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
        bundle.write()
        self.assertEqual(self.assert_runs(bundle), "opened\n")
        said = json.loads(self.who.shim("features").text)["annotations"]["org.locald.shim.user-namespace.linux.resources.devices"]
        self.assertEqual(said, "ignored")

    def test_ids_are_checked_before_a_file_is_looked_at(self):
        bundle = self.bundle("true")
        for name in ("/x", "..", "a/../b", "", "x" * 129, "x" * 4096, "a\nb", "-x", ".x", "a b", "*", "x/"):
            with self.subTest(id=name):
                done = self.who.shim("bundle", "run", "--bundle", bundle.dir, "--id", name)
                self.assertEqual(done.code, 125, done)
                self.assertEqual(done.text, "", done)

    def test_secrets_are_not_told_by_errors_about_the_bundle(self):
        bundle = self.bundle("true")
        config = bundle.dir / "config.json"
        for target in ("/etc/shadow", "/dev/zero", "/root/x"):
            with self.subTest(target=target):
                config.unlink()
                config.symlink_to(target)
                done = self.run_bundle(bundle)
                self.assertEqual(done.code, 125, done)
                self.assertNotRegex(done.errors, r"root:|\$y\$|\*:", done)
        config.unlink()
        os.mkfifo(config)
        os.chown(config, self.who.uid, self.who.gid)
        self.assert_refused(self.run_bundle(bundle), "not a regular file")

    def test_a_missing_and_a_forbidden_bundle_are_one_to_the_caller(self):
        hidden = Path("/root/.locald-hidden")
        hidden.mkdir(exist_ok=True)
        self.addCleanup(hidden.rmdir)
        there = self.who.shim("bundle", "run", "--bundle", hidden, "--id", "one")
        absent = self.who.shim("bundle", "run", "--bundle", "/root/.locald-absent", "--id", "one")
        self.assertEqual(there.errors.replace("hidden", "absent"), absent.errors)

    def test_planted_states_lead_nowhere(self):
        self.assertEqual(self.who.shim("list").code, 0)
        victim = self.who.write("victim/keep", "kept")
        (self.who.state / "planted").symlink_to(victim.parent)
        self.addCleanup((self.who.state / "planted").unlink)
        for words in (("delete", "--force", "planted"), ("kill", "planted", "KILL"), ("state", "planted")):
            self.who.shim(*words)
        self.assertEqual(victim.read_text(), "kept")
        # A state that names pid 1 and the root of all cgroups, as a user may write it himself.
        forged = self.who.state / "forged"
        forged.mkdir(mode=0o700)
        record = {"ociVersion": "1.3.0", "id": "forged", "status": "running", "pid": 1, "bundle": "/", "rootfs": "/", "created": "",
                  "cgroups": ["/sys/fs/cgroup"], "annotations": {}, "startTime": 0}
        (forged / "state.json").write_text(json.dumps(record))
        (forged / "lock").write_text("")
        for path in (forged, forged / "state.json", forged / "lock"):
            os.chown(path, self.who.uid, self.who.gid)
        for words in (("kill", "forged", "KILL"), ("exec", "forged", "id"), ("pause", "forged"), ("delete", "--force", "forged")):
            self.who.shim(*words)
        self.assertTrue(Path("/proc/1").exists())
        if forged.exists():
            for path in sorted(forged.iterdir()):
                path.unlink()
            forged.rmdir()

    def test_verbs_of_earlier_shims_are_unknown(self):
        for words in (("bind", "22", "/tmp/x"), ("admin", "sync-hosts", "a\n6.6.6.6 bank"), ("admin", "cleanup", "/x/.locald/../victim"),
                      ("admin", "trust"), ("admin", "cgroup", "setup"), ("debug", "port", "22")):
            done = self.who.shim(*words)
            self.assertEqual((done.code, done.text), (2, ""), done)
            self.assertIn("unknown verb", done.errors)

    def test_a_fake_system_bus_is_not_asked_with_rights(self):
        path = self.who.home / "bus"
        bus = socket.socket(socket.AF_UNIX)
        self.addCleanup(bus.close)
        bus.bind(str(path))
        bus.listen()
        bus.settimeout(0.2)
        os.chmod(path, 0o777)
        self.run_bundle(self.bundle("true"), env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={path}",
                                                  "DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"})
        with self.assertRaises(TimeoutError):
            bus.accept()

    def test_a_terminal_cannot_be_typed_into(self):
        bundle = self.bundle("sh", "-c", "exec 3</dev/tty && echo has a terminal")
        done = self.run_bundle(bundle)
        self.assertNotIn("has a terminal", done.text)


class WithoutGrants(SetuidCase):
    kind = "plain"

    def test_his_own_ids_alone_are_mapped_and_groups_cannot_be_dropped(self):
        text = self.assert_runs(self.bundle("cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"))
        self.assertEqual([line.split() for line in text.splitlines()],
                         [["0", str(self.who.uid), "1"], ["0", str(self.who.gid), "1"], ["deny"]])

    def test_a_file_that_denies_his_group_stays_denied(self):
        path = user("other").write("denied", "for others than the group", 0o604)
        os.chown(path, user("other").uid, 12345)
        bundle = self.bundle("cat", "/mnt")
        (bundle.dir / "rootfs/mnt").rmdir()
        (bundle.dir / "rootfs/mnt").write_text("")
        bundle.config["mounts"].append({"destination": "/mnt", "source": str(path), "options": ["bind"]})
        bundle.config["process"]["user"]["additionalGids"] = []
        bundle.write()
        done = self.run_bundle(bundle, groups=(12345,))
        self.assertNotIn("for others", done.text, done)
        self.assertIn("for others", self.run_bundle(bundle).text)
