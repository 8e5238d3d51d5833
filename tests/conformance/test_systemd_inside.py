"""--systemd-cgroup where systemd is the init of a container of ours: it owns a subtree of cgroup v2 and nothing of the host."""

import json
import os
import shutil
import tempfile
import time
import unittest
from pathlib import Path

from tests.conformance.support import PROGRAMS, ROOT, call, reap, v2_view, world

SYSTEMD = ROOT / "build/peers/systemd/root"
CAPABILITIES = """AUDIT_CONTROL AUDIT_WRITE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE
LINUX_IMMUTABLE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT
SYS_NICE SYS_PTRACE SYS_TTY_CONFIG""".split()
TMPFS = {"/run": "mode=755", "/run/lock": "mode=1777", "/tmp": "mode=1777", "/var": "mode=755"}
MIB = 1 << 20
SHIM = "locald-shim --systemd-cgroup"
BOOTED = "until [ -S /run/systemd/private ]; do busybox usleep 20000; done; systemctl is-system-running --wait >/dev/null || true"


def config(args, env, root, name, mounts=(), **linux):
    return {
        "ociVersion": "1.0.2", "hostname": "box", "root": {"path": str(root), "readonly": True},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": args, "env": env,
                    "capabilities": {kind: [f"CAP_{one}" for one in CAPABILITIES] for kind in ("bounding", "effective", "permitted")}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}, *mounts],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
                  "cgroupsPath": name, **linux}}


def systemd_config(name, srv):
    """What systemd asks of who starts it (systemd.io/CONTAINER_INTERFACE): to be told that this is a container, /run of its own,
    and the cgroup file system from its own cgroup on, to write to. The limit hands one controller on, where few are at hand."""
    mounts = [{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=620"]},
              {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
              {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "rw"]}]
    mounts += [{"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", mode]}
               for path, mode in TMPFS.items()]
    mounts += [{"destination": "/srv", "source": str(srv), "options": ["bind", "rw"]},
               {"destination": "/usr/local/bin", "source": str(PROGRAMS["shim"].parent), "options": ["bind", "ro"]}]
    return config(["/usr/lib/systemd/systemd", "--unit=basic.target"], ["PATH=/usr/local/bin:/usr/bin:/usr/sbin", "container=oci"],
                  SYSTEMD, f"/{name}", mounts, resources={"hugepageLimits": [{"pageSize": "2MB", "limit": 64 * MIB}]})


class Systemd:
    """A container of ours whose init is systemd, with /srv shared with us."""

    count = 0

    def __init__(self):
        Systemd.count += 1
        self.name = f"systemd-{os.getpid()}-{self.count}"
        self.dir = Path(tempfile.mkdtemp(dir=world().dir))
        self.srv = self.dir / "srv"
        root = self.srv / "rootfs"
        for name in ("bin", "proc", "dev", "sys"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        (self.dir / "config.json").write_text(json.dumps(systemd_config(self.name, self.srv)))
        try:
            self.ok("run", "--detach", "--bundle", self.dir)
            self.ok("exec", after=["/usr/bin/sh", "-c", BOOTED])
        except AssertionError:
            self.remove()
            raise

    def verb(self, verb, *words, after=()):
        return call([*v2_view(), PROGRAMS["shim"], "--root", world().state("shim"), verb, *words, self.name, *after])

    def ok(self, verb, *words, **kwargs):
        done = self.verb(verb, *words, **kwargs)
        if done.code != 0:
            raise AssertionError(done)
        return done.out

    def inside(self, line):
        """A shell line below systemd, in a scope of its own: a process in systemd's own cgroup would keep it from handing on
        controllers."""
        return self.verb("exec", after=["/usr/bin/systemd-run", "--scope", "--quiet", "--collect", "/usr/bin/sh", "-c", line])

    def remove(self):
        self.verb("delete", "--force")
        shutil.rmtree(self.dir)
        reap()


class SystemdInside(unittest.TestCase):
    """One systemd for most tests; each makes containers of its own below it."""

    maxDiff = None
    count = 0

    @classmethod
    def setUpClass(cls):
        cls.systemd = Systemd()
        cls.addClassCleanup(cls.systemd.remove)

    def inside(self, line):
        done = self.systemd.inside(line)
        self.assertEqual((done.code, done.err), (0, ""), done)
        return done.out.strip()

    def shim(self, *words):
        return self.inside(" ".join([SHIM, *words]))

    def show(self, unit, *properties):
        text = self.inside(f"systemctl show {unit} " + " ".join(f"--property={one}" for one in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def create(self, annotations=None, **resources):
        """`create` of a container below systemd; its name, its unit and what the shim said."""
        SystemdInside.count += 1
        name = f"c{self.count}"
        place = self.systemd.srv / name
        place.mkdir()
        self.addCleanup(shutil.rmtree, place)
        spec = config(["/bin/busybox", "sleep", "1000"], ["PATH=/bin"], "/srv/rootfs", f"system.slice:in:{name}", resources=resources)
        (place / "config.json").write_text(json.dumps(dict(spec, annotations=annotations or {})))
        self.addCleanup(self.assert_gone, name)
        self.addCleanup(self.shim, "delete", "--force", name)
        # Its output goes to a file: a container that lives on would keep a pipe open.
        self.inside(f"{SHIM} create --bundle /srv/{name} {name} >/srv/{name}/output 2>&1 || true")
        return name, f"in-{name}.scope", (place / "output").read_text()

    def created(self, **kwargs):
        name, unit, said = self.create(**kwargs)
        self.assertEqual(said, "")
        return name, unit

    def state(self, name):
        return json.loads(self.shim("state", name))["status"]

    def file(self, unit, name):
        return self.inside(f"busybox cat /sys/fs/cgroup/system.slice/{unit}/{name}")

    def assert_gone(self, name):
        unit = f"in-{name}.scope"
        self.assertEqual(self.show(unit, "LoadState", "ActiveState"), {"LoadState": "not-found", "ActiveState": "inactive"})
        self.assertEqual(self.inside(f"busybox find /sys/fs/cgroup /run/locald /run/crun /run/runc -name '*{name}*' 2>/dev/null || true"), "")

    def test_a_container_is_a_scope_from_create_to_delete(self):
        name, unit = self.created()
        self.assertEqual(self.state(name), "created")
        wanted = {"ActiveState": "active", "ControlGroup": f"/system.slice/{unit}", "Delegate": "yes", "Slice": "system.slice",
                  "Description": f"container {unit}", "Transient": "yes", "CollectMode": "inactive-or-failed"}
        self.assertEqual(self.show(unit, *wanted), wanted)
        self.shim("start", name)
        self.assertEqual(self.state(name), "running")
        first = json.loads(self.shim("state", name))["pid"]
        self.assertEqual(self.inside(f"busybox cat /proc/{first}/cgroup").splitlines()[-1], f"0::/system.slice/{unit}")
        self.assertEqual(self.file(unit, "cgroup.procs"), str(first))
        self.shim("kill", name, "KILL")
        self.inside(f"until {SHIM} state {name} | busybox grep -q stopped; do busybox usleep 20000; done")
        self.shim("delete", name)
        self.assert_gone(name)

    def test_pause_and_resume_act_on_the_scope(self):
        name, unit = self.created()
        self.shim("start", name)
        self.shim("pause", name)
        self.assertEqual((self.state(name), self.file(unit, "cgroup.freeze")), ("paused", "1"))
        self.shim("resume", name)
        self.assertEqual((self.state(name), self.file(unit, "cgroup.freeze")), ("running", "0"))

    def test_limits_and_devices_are_of_the_unit_and_an_update_changes_them(self):
        devices = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]
        name, unit = self.created(devices=devices, hugepageLimits=[{"pageSize": "2MB", "limit": 2 * MIB}],
                                  annotations={"org.systemd.property.TimeoutStopSec": "uint64 7"})
        self.assertEqual(self.file(unit, "hugetlb.2MB.max"), str(2 * MIB))
        self.assertEqual(self.show(unit, "DevicePolicy", "TimeoutStopUSec"), {"DevicePolicy": "strict", "TimeoutStopUSec": "7s"})
        self.assertIn("/dev/char/10:229 rw", self.inside(f"systemctl show {unit} --property=DeviceAllow"))
        changed = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}], "devices": [{"allow": True, "access": "rwm"}]}
        (self.systemd.srv / name / "change").write_text(json.dumps(changed))
        self.shim("update", "--resources", f"/srv/{name}/change", name)
        self.assertEqual(self.file(unit, "hugetlb.2MB.max"), str(4 * MIB))
        self.assertEqual(self.show(unit, "DevicePolicy"), {"DevicePolicy": "auto"})

    def test_subgroup_and_delegated_cgroup_are_below_the_scope(self):
        """crun's annotations: the limits are the scope's and the subgroup's, the process is in the delegated one."""
        name, unit = self.created(annotations={"run.oci.systemd.subgroup": "box", "run.oci.delegate-cgroup": "payload"},
                                  hugepageLimits=[{"pageSize": "2MB", "limit": 2 * MIB}])
        self.shim("start", name)
        first = json.loads(self.shim("state", name))["pid"]
        self.assertEqual(self.inside(f"busybox cat /proc/{first}/cgroup").splitlines()[-1], f"0::/system.slice/{unit}/box/payload")
        self.assertEqual(self.shim("exec", name, "/bin/busybox cat /proc/self/cgroup").splitlines()[-1], "0::/payload")
        self.assertEqual(self.file(unit, "box/hugetlb.2MB.max"), str(2 * MIB))
        self.assertNotEqual(self.file(unit, "box/payload/hugetlb.2MB.max"), str(2 * MIB))
        self.shim("pause", name)
        self.assertEqual((self.state(name), self.file(unit, "box/cgroup.freeze")), ("paused", "1"))
        self.shim("resume", name)
        self.shim("delete", "--force", name)
        self.assert_gone(name)

    def test_an_empty_subgroup_is_none(self):
        name, unit = self.created(annotations={"run.oci.systemd.subgroup": ""})
        first = json.loads(self.shim("state", name))["pid"]
        self.assertEqual(self.file(unit, "cgroup.procs"), str(first))

    def test_a_limit_of_memory_is_kept_or_refused_with_nothing_left(self):
        name, unit, said = self.create(memory={"limit": 64 * MIB})
        if "memory" in self.inside("busybox cat /sys/fs/cgroup/cgroup.controllers").split():
            self.assertEqual((said, self.file(unit, "memory.max")), ("", str(64 * MIB)))
            self.assertEqual(self.show(unit, "MemoryMax"), {"MemoryMax": str(64 * MIB)})
        else:
            self.assertIn("memory", said)
            self.assert_gone(name)

    def test_a_name_in_use_is_refused_and_the_other_lives_on(self):
        name, unit = self.created()
        done = self.systemd.inside(f"{SHIM} create --bundle /srv/{name} other </dev/null >/dev/null")
        self.assertNotEqual(done.code, 0)
        self.assertIn(unit, done.err)
        self.assertEqual(self.state(name), "created")
        self.assertEqual(self.show(unit, "ActiveState"), {"ActiveState": "active"})

    def test_the_signal_that_halts_systemd_has_its_name(self):
        systemd = Systemd()
        self.addCleanup(systemd.remove)
        systemd.ok("kill", after=["SIGRTMIN+3"])
        end = time.monotonic() + 10
        while json.loads(systemd.ok("state"))["status"] != "stopped":
            self.assertLess(time.monotonic(), end, "it did not halt")
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
