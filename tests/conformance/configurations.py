"""Makes configurations from a seed: valid ones mostly, each property asked for in some."""

import random

CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_BOOT SYS_NICE SYS_TIME
SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE SETFCAP SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF""".split()
TMPFS_OPTIONS = ["nosuid", "nodev", "noexec", "ro", "rw", "noatime", "relatime", "strictatime", "nodiratime", "size=1m",
                 "mode=1777", "mode=0700", "mode=755", "uid=5", "gid=6", "nr_inodes=100", "sync", "dirsync", "nosymfollow"]
BIND_OPTIONS = ["ro", "rw", "nosuid", "nodev", "noexec", "noatime", "private", "rprivate", "slave", "rslave", "shared", "rshared",
                "rro", "rnosuid", "rnodev", "rnoexec", "nosymfollow", "unbindable", "suid", "dev", "exec"]
EXCLUSIVE = [{"noatime", "relatime", "strictatime"}, {"private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"},
             {"ro", "rw", "rro"}, {"nosuid", "rnosuid", "suid"}, {"nodev", "rnodev", "dev"}, {"noexec", "rnoexec", "exec"},
             {"mode=1777", "mode=0700", "mode=755"}]
MASKED = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/proc/bus", "/etc/passwd",
          "/proc/nothing", "/tmp", "/proc/version"]
READONLY = ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/etc", "/tmp", "/etc/passwd", "/nothing", "/proc/sysrq-trigger"]
SYSCTLS_NET = {"net.ipv4.ip_forward": ["0", "1"], "net.ipv4.ping_group_range": ["0 0", "5 10"], "net/ipv4/ip_local_port_range": ["2000 3000"],
               "net.core.somaxconn": ["64", "8192"]}
SYSCTLS_IPC = {"kernel.shmmax": ["65536"], "kernel.msgmax": ["4096"], "kernel.sem": ["100 200 300 400"], "fs.mqueue.msg_max": ["7"],
               "kernel.shm_rmid_forced": ["1"]}
CALLS = ["getppid", "times", "sysinfo", "sched_yield", "getcpu", "gettid", "getpgid", "alarm", "sched_get_priority_max", "time"]


def base(name):
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/inspect"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"cgroupsPath": f"/{name}", "namespaces": [{"type": "mount"}]},
    }


class Maker:
    """One configuration and the words its inspecting program gets."""

    def __init__(self, seed, index, name, controllers):
        self.random = random.Random(f"{seed}-{index}")
        self.config = base(name)
        self.process = self.config["process"]
        self.linux = self.config["linux"]
        self.controllers = controllers
        self.types = {"mount"}
        for part in (self.namespaces, self.user, self.capabilities, self.limits, self.attributes, self.names, self.places,
                     self.mounts, self.devices, self.paths, self.sysctls, self.seccomp, self.resources):
            part()
        self.process["args"] += [f"path={path}" for path in MASKED + READONLY]

    def often(self, probability=0.5):
        return self.random.random() < probability

    def some(self, words, most=None):
        return self.random.sample(words, self.random.randint(0, most or len(words)))

    def namespaces(self):
        for kind, probability in (("pid", 0.8), ("ipc", 0.6), ("uts", 0.7), ("network", 0.5), ("cgroup", 0.5), ("user", 0.15), ("time", 0.1)):
            if self.often(probability):
                self.linux["namespaces"].append({"type": kind})
                self.types.add(kind)
        if "user" in self.types and "pid" not in self.types:  # it could not mount /proc
            self.linux["namespaces"].append({"type": "pid"})
            self.types.add("pid")
        self.random.shuffle(self.linux["namespaces"])
        if "user" in self.types:
            self.linux["uidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 70000}]
            self.linux["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 70000}]
        if "time" in self.types and self.often():
            self.linux["timeOffsets"] = {"monotonic": {"secs": 86400}, "boottime": {"secs": 172800, "nanosecs": 5}}

    def user(self):
        user = self.process["user"]
        if self.often(0.4):
            user.update(uid=self.random.choice([1, 1000, 65534]), gid=self.random.choice([0, 1, 100, 65534]))
        if self.often(0.4):
            user["additionalGids"] = self.random.sample(range(1, 500), self.random.randint(1, 6))
        if self.often(0.3):
            user["umask"] = self.random.choice([0, 0o22, 0o77, 0o27, 0o777])

    def capabilities(self):
        if self.often(0.1):
            del self.process["capabilities"]
            return
        bounding = self.some(CAPABILITIES)
        permitted = self.some(bounding) if bounding else []
        sets = {"bounding": bounding, "permitted": permitted, "effective": self.some(permitted) if permitted else []}
        if self.often(0.3):
            sets["inheritable"] = self.some(permitted) if permitted else []
            if self.often():
                sets["ambient"] = self.some(sets["inheritable"]) if sets["inheritable"] else []
        self.process["capabilities"] = {key: [f"CAP_{name}" for name in names] for key, names in sets.items()}

    def limits(self):
        limits = []
        for name, most in (("NOFILE", 4096), ("NPROC", 4096), ("CORE", 1 << 30), ("FSIZE", 1 << 30), ("STACK", 8 << 20),
                           ("SIGPENDING", 1000), ("MSGQUEUE", 100000), ("CPU", 3600), ("AS", 1 << 40), ("RTTIME", 5000), ("LOCKS", 100)):
            if self.often(0.15):
                hard = self.random.randint(most // 2, most)
                limits.append({"type": f"RLIMIT_{name}", "hard": hard, "soft": self.random.randint(most // 4, hard)})
        if limits:
            self.process["rlimits"] = limits

    def attributes(self):
        if self.often():
            self.process["noNewPrivileges"] = self.often()
        if self.often(0.4):
            self.process["oomScoreAdj"] = self.random.choice([0, 1, 100, 500, 1000])
        if self.often(0.15):
            self.process["scheduler"] = self.random.choice([
                {"policy": "SCHED_OTHER", "nice": 5}, {"policy": "SCHED_BATCH", "nice": 3}, {"policy": "SCHED_IDLE"}])
        if self.often(0.2):
            self.process["ioPriority"] = {"class": self.random.choice(["IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]), "priority": self.random.randint(0, 7)}
        if self.often(0.15):
            self.linux["personality"] = {"domain": self.random.choice(["LINUX", "LINUX32"])}

    def names(self):
        if "uts" in self.types:
            if self.often(0.6):
                self.config["hostname"] = self.random.choice(["box", "a.b.c", "x" * 63])
            if self.often(0.3):
                self.config["domainname"] = "example.test"
        env = self.process["env"]
        if self.often(0.3):
            env.append("HOME=/somewhere")
        if self.often(0.2):
            env += ["EMPTY=", "SPACES=a b  c", "EQUALS=a=b"]
        if self.often(0.1):
            env += ["TWICE=1", "TWICE=2"]
        if self.often(0.1):
            env.remove("TERM=xterm")

    def places(self):
        if self.often(0.4):
            self.process["cwd"] = self.random.choice(["/tmp", "/made/here", "/etc", "/link"])
        if self.often(0.3):
            self.config["root"]["readonly"] = True
        if self.often(0.25):
            self.linux["rootfsPropagation"] = self.random.choice(
                ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"])

    def mounts(self):
        mounts = self.config["mounts"]
        if self.often(0.3):
            mounts[0]["options"] = self.some(["nosuid", "noexec", "nodev", "relatime"])
        if self.often(0.8):
            mounts.append({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]})
            if self.often(0.8):
                mounts.append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                               "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + self.some(["gid=5"])})
            if self.often():
                mounts.append({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64k"]})
            if self.often(0.4) and "ipc" in self.types:
                mounts.append({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]})
        if self.often(0.5) and ("network" in self.types or "user" not in self.types):
            mounts.append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]})
            if self.often(0.6):
                mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                               "options": ["nosuid", "noexec", "nodev", "relatime"] + self.some(["ro"])})
        for number in range(self.random.randint(0, 3)):
            mounts.append(self.extra_mount(number))

    def extra_mount(self, number):
        kind = self.random.choice(["tmpfs", "tmpfs", "bind", "bind", "rbind", "file"])
        place = self.random.choice([f"/extra{number}", f"/deep/{number}/er", f"/link/{number}", "/tmp", f"relative{number}"])
        if kind == "tmpfs":
            return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": self.options(TMPFS_OPTIONS, 6)}
        source = "@BUNDLE@/shared/file" if kind == "file" else "@BUNDLE@/shared"
        if kind == "file":
            place = f"/files/{number}"
        options = [kind if kind != "file" else "bind", *self.options(BIND_OPTIONS, 4)]
        return {"destination": place, "type": "bind", "source": source, "options": options}

    def options(self, words, most):
        """Some, at most one of those that exclude each other: what two of them mean is nowhere written."""
        chosen, groups = [], set()
        for word in self.some(words, most):
            group = next((number for number, group in enumerate(EXCLUSIVE) if word in group), word)
            if group not in groups:
                chosen.append(word)
            groups.add(group)
        return chosen

    def devices(self):
        if not self.often(0.3) or "user" in self.types:  # where nobody may make them
            return
        self.linux["devices"] = self.some([
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
            {"path": "/dev/plain", "type": "c", "major": 1, "minor": 7},
            {"path": "/dev/sub/dir/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o666},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 0, "gid": 0},
        ])

    def paths(self):
        if self.often(0.5):
            self.linux["maskedPaths"] = self.some(MASKED)
        if self.often(0.5):
            self.linux["readonlyPaths"] = self.some(READONLY)

    def sysctls(self):
        choice = {}
        if "network" in self.types:
            choice |= SYSCTLS_NET
        if "ipc" in self.types:
            choice |= SYSCTLS_IPC
        if "user" in self.types or not self.often(0.4):
            return
        asked = {key: self.random.choice(choice[key]) for key in self.some(sorted(choice))}
        if asked:
            self.linux["sysctl"] = asked
        self.process["args"] += ["sysctl=/proc/sys/" + (key if "/" in key else key.replace(".", "/")) for key in sorted(choice)]

    def seccomp(self):
        if not self.often(0.3):
            return
        rules = [{"names": self.some(CALLS, 4) or ["alarm"], "action": "SCMP_ACT_ERRNO"} for _ in range(self.random.randint(1, 3))]
        for rule in rules:
            if self.often():
                rule["errnoRet"] = self.random.choice([1, 38, 61, 13])
        # A call in two rules with two answers has no meaning.
        seen = set()
        for rule in rules:
            rule["names"] = [name for name in rule["names"] if name not in seen] or ["getpmsg"]
            seen.update(rule["names"])
        self.linux["seccomp"] = {"defaultAction": self.random.choice(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]), "syscalls": rules,
                                 "architectures": self.some(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])}
        self.process["args"].append("syscalls")

    def resources(self):
        if not self.often(0.4):
            return
        wanted = {}
        if "memory" in self.controllers:
            limit = self.random.choice([64, 128, 256]) << 20
            wanted["memory"] = self.random.choice([
                {"limit": limit}, {"limit": limit, "reservation": limit // 2}, {"limit": limit, "swap": limit * 2}, {"limit": -1},
                {"limit": limit, "swap": -1}, {"limit": limit, "swappiness": 10}, {"disableOOMKiller": True}])
        if "cpu" in self.controllers:
            wanted["cpu"] = self.random.choice([
                {"shares": 2}, {"shares": 512}, {"shares": 262144}, {"quota": 50000, "period": 100000}, {"quota": -1}, {"period": 50000},
                {"quota": 20000}, {"idle": 1}, {"cpus": "0"}, {"cpus": "0-1", "mems": "0"}])
        if "pids" in self.controllers:
            wanted["pids"] = {"limit": self.random.choice([-1, 10, 100])}
        if "devices" in self.controllers:
            wanted["devices"] = [{"allow": False, "access": "rwm"}, *self.some([
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                {"allow": True, "type": "c", "major": 7, "access": "r"},
                {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "rwm"},
                {"allow": False, "type": "c", "major": 1, "minor": 8, "access": "w"}])]
        if "blkio" in self.controllers and self.often():
            wanted["blockIO"] = {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1 << 20}]} if self.often(0.0) else {}
        if "hugetlb" in self.controllers:
            wanted["hugepageLimits"] = [{"pageSize": "2MB", "limit": self.random.choice([0, 2 << 20, 64 << 20])}]
        for key in self.some(sorted(wanted)):
            self.linux.setdefault("resources", {})[key] = wanted[key]


def make(seed, index, name, controllers):
    return Maker(seed, index, name, controllers).config
