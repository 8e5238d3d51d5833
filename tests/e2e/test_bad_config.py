"""Hundreds of configurations that cannot be right: each fails with an error that names its field, and makes nothing."""

import copy
import json
import os
import re
import subprocess

from tests.e2e.support import for_each, world

BASE = {
    "ociVersion": "1.3.0",
    "process": {"args": ["/nothing"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["A=b"]},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}]},
}

MEMBERS = {
    # What a field holds, and where. A field inside a list is made with the list around it.
    "string": """ociVersion root.path hostname domainname process.cwd process.apparmorProfile process.selinuxLabel process.args[0]
        process.env[0] process.capabilities.bounding[0] process.rlimits[0].type process.scheduler.policy process.scheduler.flags[0]
        process.ioPriority.class process.execCPUAffinity.initial process.execCPUAffinity.final mounts[0].destination mounts[0].type
        mounts[0].source mounts[0].options[0] hooks.prestart[0].path hooks.createRuntime[0].args[0] hooks.createContainer[0].env[0]
        hooks.startContainer[0].path hooks.poststart[0].path hooks.poststop[0].path annotations.key linux.cgroupsPath
        linux.namespaces[0].type linux.namespaces[0].path linux.sysctl.net linux.seccomp.defaultAction linux.seccomp.architectures[0]
        linux.seccomp.flags[0] linux.seccomp.listenerPath linux.seccomp.listenerMetadata linux.seccomp.syscalls[0].names[0]
        linux.seccomp.syscalls[0].action linux.seccomp.syscalls[0].args[0].op linux.rootfsPropagation linux.maskedPaths[0]
        linux.readonlyPaths[0] linux.mountLabel linux.intelRdt.closID linux.intelRdt.l3CacheSchema linux.intelRdt.memBwSchema
        linux.intelRdt.schemata[0] linux.personality.domain linux.memoryPolicy.mode linux.memoryPolicy.nodes linux.memoryPolicy.flags[0]
        linux.netDevices.eth0.name linux.devices[0].path linux.devices[0].type linux.resources.devices[0].type
        linux.resources.devices[0].access linux.resources.cpu.cpus linux.resources.cpu.mems linux.resources.hugepageLimits[0].pageSize
        linux.resources.network.priorities[0].name linux.resources.unified.key""",
    "boolean": """root.readonly process.terminal process.noNewPrivileges linux.resources.devices[0].allow
        linux.resources.memory.disableOOMKiller linux.resources.memory.useHierarchy linux.resources.memory.checkBeforeUpdate
        linux.intelRdt.enableMonitoring""",
    "list": """mounts process.args process.env process.rlimits process.user.additionalGids process.capabilities.effective
        process.capabilities.permitted process.capabilities.inheritable process.capabilities.ambient hooks.prestart hooks.poststop
        linux.namespaces linux.uidMappings linux.gidMappings linux.devices linux.maskedPaths linux.readonlyPaths
        linux.seccomp.syscalls linux.seccomp.architectures linux.seccomp.flags linux.resources.devices
        linux.resources.hugepageLimits linux.resources.blockIO.weightDevice linux.resources.network.priorities
        linux.intelRdt.schemata linux.memoryPolicy.flags""",
    "object": """root process process.user process.capabilities process.scheduler process.ioPriority process.execCPUAffinity
        process.consoleSize hooks annotations linux linux.sysctl linux.resources linux.resources.memory linux.resources.cpu
        linux.resources.pids linux.resources.blockIO linux.resources.network linux.resources.rdma linux.resources.unified
        linux.seccomp linux.netDevices linux.intelRdt linux.memoryPolicy linux.personality linux.timeOffsets mounts[0]
        linux.namespaces[0] hooks.prestart[0] linux.uidMappings[0] process.rlimits[0]""",
    "u16": "linux.resources.blockIO.weight linux.resources.blockIO.leafWeight",
    "u32": """process.user.uid process.user.gid process.user.umask process.user.additionalGids[0] process.consoleSize.height
        process.consoleSize.width linux.uidMappings[0].containerID linux.uidMappings[0].hostID linux.uidMappings[0].size
        linux.gidMappings[0].containerID linux.gidMappings[0].hostID linux.gidMappings[0].size linux.devices[0].fileMode
        linux.devices[0].uid linux.devices[0].gid linux.seccomp.defaultErrnoRet linux.seccomp.syscalls[0].errnoRet
        linux.seccomp.syscalls[0].args[0].index linux.resources.network.classID linux.resources.rdma.card.hcaHandles
        linux.resources.rdma.card.hcaObjects linux.timeOffsets.boottime.nanosecs""",
    "u64": """process.rlimits[0].soft process.rlimits[0].hard process.scheduler.runtime process.scheduler.deadline
        process.scheduler.period linux.resources.memory.swappiness linux.resources.cpu.shares linux.resources.cpu.period
        linux.resources.cpu.burst linux.resources.hugepageLimits[0].limit linux.seccomp.syscalls[0].args[0].value""",
    "i32": """process.oomScoreAdj process.scheduler.nice process.scheduler.priority process.ioPriority.priority
        hooks.prestart[0].timeout""",
    "i64": """linux.resources.memory.limit linux.resources.memory.swap linux.resources.memory.reservation linux.resources.cpu.quota
        linux.resources.cpu.idle linux.resources.pids.limit linux.devices[0].major linux.devices[0].minor
        linux.timeOffsets.monotonic.secs""",
}

# What stands beside a field, so that the field itself is what is wrong.
AROUND = {
    r"process\.rlimits\[0\]": {"type": "RLIMIT_CPU", "soft": 1, "hard": 2},
    r"process\.scheduler": {"policy": "SCHED_OTHER"},
    r"process\.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    r"process\.consoleSize": {"height": 1, "width": 1},
    r"mounts\[0\]": {"destination": "/x", "type": "tmpfs"},
    r"hooks\.\w+\[0\]": {"path": "/bin/true"},
    r"linux\.namespaces\[0\]": {"type": "mount"},
    r"linux\.[ug]idMappings\[0\]": {"containerID": 0, "hostID": 0, "size": 1},
    r"linux\.seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
    r"linux\.seccomp\.syscalls\[0\]": {"names": ["chmod"], "action": "SCMP_ACT_ERRNO"},
    r"linux\.seccomp\.syscalls\[0\]\.args\[0\]": {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
    r"linux\.personality": {"domain": "LINUX"},
    r"linux\.memoryPolicy": {"mode": "MPOL_DEFAULT"},
    r"linux\.devices\[0\]": {"path": "/dev/x", "type": "c", "major": 1, "minor": 3},
    r"linux\.resources\.devices\[0\]": {"allow": True},
    r"linux\.resources\.hugepageLimits\[0\]": {"pageSize": "2MB", "limit": 0},
    r"linux\.resources\.network\.priorities\[0\]": {"name": "lo", "priority": 1},
}

WRONG = {
    "string": [1, True, [], {}, "a\0b"],
    "boolean": [0, "true", [], {}],
    "list": [1, "x", {}, True],
    "object": [1, "x", [], True],
    "u16": [-1, 1 << 16, 1.5, "1"],
    "u32": [-1, 1 << 32, 1.5, "1", [], True, 1e3],
    "u64": [-1, 1 << 64, 1.5, "1"],
    "i32": [1 << 31, -(1 << 31) - 1, 0.5, "1", {}],
    "i64": [1 << 63, -(1 << 63) - 1, 0.5, "1"],
}

LONG = "x" * 5000

# field → values that have the right type and still cannot be right; `also` is what else the configuration has.
IMPOSSIBLE = [
    ("ociVersion", ["", "1", "1.3", "v1.3.0", "1.3.0.0", "01.3.0", "1.3.x", "2.0.0", "0.9.0", "1.3.0-", "1.3.0+", "1.3.0-01"], {}),
    ("process.cwd", ["", "relative", "./x", "/" + LONG], {}),
    ("process.args", [[], ["x" * 131072]], {}),
    ("process.env", [["A=" + "x" * 131072]], {}),
    ("process.user.uid", [4294967295], {}),
    ("process.user.gid", [4294967295], {}),
    ("process.user.additionalGids", [[4294967295]], {}),
    ("process.user.umask", [512, 4294967295], {}),
    ("process.oomScoreAdj", [-1001, 1001, 2147483647], {}),
    ("process.rlimits", [
        [{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}], [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}],
        [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2, [{"soft": 1, "hard": 1}], [{"type": "RLIMIT_CPU", "soft": 1}]], {}),
    ("process.scheduler", [
        {}, {"policy": ""}, {"policy": "SCHED_NONE"}, {"policy": "SCHED_OTHER", "nice": 20}, {"policy": "SCHED_OTHER", "nice": -21},
        {"policy": "SCHED_OTHER", "priority": 1}, {"policy": "SCHED_FIFO", "runtime": 1}, {"policy": "SCHED_FIFO", "priority": -1},
        {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NONE"]}], {}),
    ("process.ioPriority", [{"class": "IOPRIO_CLASS_NONE"}, {"class": "IOPRIO_CLASS_BE", "priority": 8}, {"class": "IOPRIO_CLASS_BE", "priority": -1}], {}),
    ("process.execCPUAffinity", [{"initial": "a"}, {"final": "3-1"}, {"initial": "1,,2"}, {"final": "99999"}], {}),
    ("process.consoleSize", [{"height": 1}, {"width": 1}, {"height": 65536, "width": 1}, {"height": 1, "width": 65536}], {}),
    ("process.apparmorProfile", ["locald-no-such-profile"], {}),
    ("root", [{}], {}),
    ("root.path", ["", "/" + LONG], {}),
    ("hostname", ["h" * 65], {}),
    ("domainname", ["d" * 65], {}),
    ("hostname", ["box"], {"linux.namespaces": [{"type": "mount"}]}),
    ("domainname", ["box"], {"linux.namespaces": [{"type": "mount"}]}),
    ("mounts", [[{}], [{"type": "tmpfs"}], [{"destination": ""}], [{"destination": "/" + LONG}], [{"destination": "/x", "source": LONG}]], {}),
    ("hooks.prestart", [[{}], [{"path": "relative"}], [{"path": ""}], [{"path": "/x", "timeout": 0}], [{"path": "/x", "timeout": -1}], [{"path": "/" + LONG}]], {}),
    ("linux.namespaces", [
        [{"type": "mount"}, {"type": "none"}], [{"type": "mount"}, {"type": ""}], [{"type": "mount"}, {"type": "mount"}],
        [{"type": "mount"}, {"type": "PID"}], [{"type": "mount"}, {"type": "pid", "path": "relative"}], [{"path": "/x"}]], {}),
    ("linux.uidMappings", [[{"containerID": 0, "hostID": 0, "size": 1}]], {}),
    ("linux.gidMappings", [[{"containerID": 0, "hostID": 0, "size": 1}]], {}),
    ("linux.uidMappings", [
        [], [{"containerID": 0, "hostID": 0}], [{"containerID": 0, "hostID": 0, "size": 0}], [{"containerID": 4294967295, "hostID": 0, "size": 1}],
        [{"containerID": 0, "hostID": 4294967295, "size": 1}], [{"containerID": 0, "hostID": 0, "size": 4294967295}, {"containerID": 5, "hostID": 0, "size": 4294967295}],
        [{"containerID": 0, "hostID": 0, "size": 2}, {"containerID": 1, "hostID": 9, "size": 1}],
        [{"containerID": 0, "hostID": 0, "size": 2}, {"containerID": 9, "hostID": 1, "size": 1}],
        [{"containerID": i, "hostID": i, "size": 1} for i in range(341)]],
     {"linux.namespaces": [{"type": "mount"}, {"type": "user"}], "linux.gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}),
    ("linux.timeOffsets", [{"monotonic": {"secs": 1}}], {}),
    ("linux.timeOffsets", [{"realtime": {"secs": 1}}, {"boottime": {"nanosecs": 1000000000}}], {"linux.namespaces": [{"type": "mount"}, {"type": "time"}]}),
    ("linux.sysctl", [
        {"kernel.hostname": "x"}, {"kernel.panic": "1"}, {"vm.swappiness": "1"}, {"": "1"}, {"net.": "1"}, {"net..x": "1"},
        {"net.../../kernel.panic": "1"}, {"net.core.somaxconn": "1\n2"}, {"user.max_user_namespaces": "1"}], {}),
    ("linux.sysctl", [{"kernel.msgmax": "1"}, {"fs.mqueue.msg_max": "1"}, {"net.ipv4.ip_forward": "1"}, {"kernel.domainname": "x"}], {"linux.namespaces": [{"type": "mount"}]}),
    ("linux.rootfsPropagation", ["public", "SHARED", "ro"], {}),
    ("linux.maskedPaths", [["relative"], [""], ["/" + LONG]], {}),
    ("linux.readonlyPaths", [["relative"], [""], ["/" + LONG]], {}),
    ("linux.rootfsPropagation", ["shared"], {"linux.namespaces": []}),
    ("linux.devices", [
        [{"path": "/dev/x", "type": "x", "major": 1, "minor": 1}], [{"path": "dev/x", "type": "c", "major": 1, "minor": 1}],
        [{"type": "c", "major": 1, "minor": 1}], [{"path": "/dev/x", "type": "c", "minor": 1}], [{"path": "/dev/x", "type": "b", "major": 1}],
        [{"path": "/dev/x", "type": "c", "major": -1, "minor": 1}], [{"path": "/dev/x", "type": "c", "major": 4096, "minor": 1}],
        [{"path": "/dev/x", "type": "c", "major": 1, "minor": 1048576}], [{"path": "/dev/x", "type": "c", "major": 1, "minor": 1, "uid": 4294967295}]], {}),
    ("linux.resources.devices", [[{"type": "c"}], [{"allow": True, "type": "x"}], [{"allow": True, "access": "rwx"}]], {}),
    ("linux.seccomp", [
        {}, {"defaultAction": "SCMP_ACT_NONE"}, {"defaultAction": ""}, {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}, {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["NONE"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}], {}),
    ("linux.seccomp.syscalls", [
        [{}], [{"names": [], "action": "SCMP_ACT_ERRNO"}], [{"names": ["chmod"]}], [{"action": "SCMP_ACT_ERRNO"}], [{"names": ["chmod"], "action": "X"}],
        [{"names": ["chmod"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}], [{"names": ["chmod"], "action": "SCMP_ACT_NOTIFY"}],
        [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}],
        [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0, "op": "EQ"}]}],
        [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0}]}]], {"linux.seccomp.defaultAction": "SCMP_ACT_LOG"}),
    ("linux.netDevices", [{"a/b": {}}, {".": {}}, {"x" * 16: {}}, {"eth0": {"name": "a b"}}, {"a": {"name": "x"}, "b": {"name": "x"}}], {}),
    ("linux.netDevices", [{"eth0": {}}], {"linux.namespaces": [{"type": "mount"}]}),
    ("linux.intelRdt", [{"closID": ".."}, {"closID": "a/b"}, {"memBwSchema": "L3:0=1"}, {"memBwSchema": "MB:0=1\nMB:1=1"}, {"schemata": ["x"]}], {}),
    ("linux.personality", [{}, {"domain": "BSD"}, {"domain": "LINUX", "flags": ["X"]}], {}),
    ("linux.memoryPolicy", [{}, {"mode": "MPOL_NONE"}, {"mode": "MPOL_BIND", "nodes": "x"}, {"mode": "MPOL_BIND", "nodes": "1-0"},
                            {"mode": "MPOL_BIND", "nodes": "5000"}, {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NONE"]}], {}),
]

MISSING = ["ociVersion", "root", "root.path", "process.cwd", "linux"]


def steps(field):
    return [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", field)]


def put(config, field, value):
    """Sets a field, with the objects and lists around it."""
    here, name = config, ""
    path = steps(field)
    for step, after in zip(path, path[1:] + [None]):
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
        if after is None:
            if isinstance(here, list):
                here[step:] = [value]
            else:
                here[step] = value
            return
        around = next((copy.deepcopy(beside) for pattern, beside in AROUND.items() if re.fullmatch(pattern, name)), [] if isinstance(after, int) else {})
        if isinstance(here, list):
            if len(here) <= step:
                here.append(around)
        elif step not in here:
            here[step] = around
        here = here[step]


def cases():
    for kind, fields in MEMBERS.items():
        for field in fields.split():
            for value in WRONG[kind]:
                config = copy.deepcopy(BASE)
                put(config, field, value)
                yield field, config
    for field, values, also in IMPOSSIBLE:
        for value in values:
            config = copy.deepcopy(BASE)
            for other, beside in also.items():
                put(config, other, copy.deepcopy(beside))
            put(config, field, copy.deepcopy(value))
            yield field, config
    for field in MISSING:
        config = copy.deepcopy(BASE)
        *outer, last = steps(field)
        here = config
        for step in outer:
            here = here[step]
        del here[last]
        yield field, config


def outermost(field):
    """The part of a field that an error has to name at least: a wrong member may be told by the object around it."""
    return re.split(r"\[", field)[0]


@for_each("root", "user")
class BadConfig:
    def setUp(self):
        super().setUp()
        self.bundle = self.who.directory("bad-bundle")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.bundle], check=False)
        os.makedirs(self.bundle / "rootfs", exist_ok=True)
        self.state = self.who.directory("bad-state", 0o700)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.state], check=False)

    def create(self, text):
        (self.bundle / "config.json").write_text(text)
        return self.who.run([world().shim, "--root", self.state, "create", "--bundle", self.bundle, "bad"])

    def test_each_is_refused_by_the_name_of_its_field_and_makes_nothing(self):
        count = 0
        for field, config in cases():
            count += 1
            text = json.dumps(config)
            done = self.create(text)
            message = done.err.decode(errors="replace")
            shown = text if len(text) < 1000 else text[:1000] + "…"
            self.assertEqual(done.code, 1, f"{field}: {shown}: {message}")
            self.assertIn(outermost(field), message, f"{field}: {shown}")
            self.assertEqual(message.count("\n"), 1, message)
            self.assertEqual(os.listdir(self.state), [], f"{field}: {shown}")
        self.assertGreater(count, 500)

    def test_texts_that_are_no_configuration_are_refused(self):
        for text in ["", " ", "{", "[]", "null", "1", '"x"', '{"ociVersion"', '{"a":1,}', "{" * 5000, "[" * 100000, "\0", "{}\0", "{} {}", '{"ociVersion": 1e400}',
                     json.dumps(BASE)[:-1], "\ufeff{}", '{"hostname":"\\ud800"}']:
            done = self.create(text)
            self.assertEqual(done.code, 1, text[:50])
            self.assertIn("config.json", done.err.decode(errors="replace"))
            self.assertEqual(os.listdir(self.state), [], text[:50])

    def test_what_it_does_not_know_is_accepted(self):
        config = copy.deepcopy(BASE)
        for field in ["unknown", "process.unknown", "process.user.unknown", "root.unknown", "linux.unknown", "linux.namespaces[0].unknown", "linux.resources.unknown"]:
            put(config, field, {"any": ["thing"]})
        config["process"]["args"] = ["/no-such-program"]
        config["ociVersion"] = "1.9.7-rc.1+build.5"
        (self.bundle / "config.json").write_text(json.dumps(config))
        done = self.who.run([world().shim, "--root", self.state, "run", "--bundle", self.bundle, "good"])
        # It came as far as its program: the root filesystem is empty. An ordinary user has no rights for so much.
        self.assertIn("no-such-program" if self.kind == "root" else "namespace", done.err.decode())
