"""Runs generated configurations under the shim, crun and runc and prints what each of their processes saw, one JSON line
a configuration. Runs in a view of one cgroup version, so that crun starts at all.

usage: python3 -m tests.conformance.difference SEED FIRST COUNT SECONDS DIRECTORY
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from tests.conformance import configurations
from tests.conformance.support import PROGRAMS

CONTROL_FILES = {
    "memory": ["memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness", "memory.oom_control"],
    "cpu": ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.idle"],
    "cpuset": ["cpuset.cpus", "cpuset.mems"],
    "pids": ["pids.max"],
    "devices": ["devices.list"],
    "": ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "cgroup.type"],
}
CGROUPS = Path("/sys/fs/cgroup")


def controllers():
    if (CGROUPS / "cgroup.controllers").exists():
        return set((CGROUPS / "cgroup.controllers").read_text().split())
    return {entry.name for entry in CGROUPS.iterdir()}


def limits_of(name):
    found = {}
    for controller, files in CONTROL_FILES.items():
        for file in files:
            path = CGROUPS / controller / name / file
            try:
                found[f"limit:{file}"] = " ".join(sorted(path.read_text().split("\n"))).strip()
            except OSError:
                pass
    return found


class Bundle:
    """A root filesystem that is new for every run, always at the same place."""

    def __init__(self, directory):
        self.dir = directory
        self.root = directory / "rootfs"

    def renew(self, config):
        shutil.rmtree(self.dir, ignore_errors=True)
        # A container in a user namespace walks here as somebody else.
        for name in ("", "rootfs", "rootfs/proc", "rootfs/sys", "rootfs/dev", "rootfs/tmp", "rootfs/etc", "rootfs/elsewhere", "shared", "shared/sub"):
            (self.dir / name).mkdir(mode=0o755)
        (self.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nuser:x:1000:100::/home/user:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\n")
        (self.root / "link").symlink_to("/elsewhere")
        (self.dir / "shared/file").write_text("shared\n")
        shutil.copy(self.dir.parent / "inspect", self.root / "inspect")
        if any(space["type"] == "user" for space in config["linux"]["namespaces"]):
            for path in [self.root, *self.root.rglob("*")]:
                os.lchown(path, config["linux"]["uidMappings"][0]["hostID"], config["linux"]["gidMappings"][0]["hostID"])
        (self.dir / "config.json").write_text(json.dumps(config).replace("@BUNDLE@", str(self.dir)))

    def tree(self):
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            st = path.lstat()
            found[f"left:{name}"] = f"{stat.S_IFMT(st.st_mode):o} {st.st_uid}:{st.st_gid}"
        return found


def mount_value(line):
    words = line.split()
    dash = words.index("-")
    propagation = ",".join(sorted(word.split(":")[0] for word in words[6:dash] if not word.startswith("propagate_from"))) or "private"
    options = ",".join(sorted(words[5].split(",")))
    # The size of a tmpfs without one is that of the machine's memory.
    settings = ",".join(sorted(words[dash + 3].split(",")))
    return words[4], f"{options} {propagation} {words[dash + 1]} from {words[dash + 2]} root {words[3]} with {settings}"


def fields_of(text):
    found, environment = {}, []
    for line in text.splitlines():
        name, _, value = line.partition("\t")
        if name == "environment":
            environment.append(value)
        elif name == "mount":
            place, value = mount_value(value)
            name = f"mount:{place}"
            while name in found:
                name += "+"
            found[name] = value
        elif name.startswith("namespace:"):
            kind = name.partition(":")[2]
            found[name] = "the host's" if value == os.readlink(f"/proc/self/ns/{kind}") else "its own"
        else:
            found[name] = value.strip()
    found["environment"] = " ".join(sorted(environment))
    return found


def call(argv, out, timeout=20):
    with open(out, "w") as stdout, open(f"{out}.err", "w") as stderr:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 124


def run(runtime, config, bundle, name):
    bundle.renew(config)
    state = bundle.dir.parent / f"state-{runtime}"
    state.mkdir(mode=0o711, exist_ok=True)
    out = bundle.dir.parent / "out"
    base = [str(PROGRAMS[runtime]), "--root", str(state)]
    found = {}
    if "resources" in config["linux"]:
        code = call([*base, "create", "--bundle", str(bundle.dir), name], out)
        if code == 0:
            found = limits_of(name)
            code = call([*base, "start", name], f"{out}.start")
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                call([*base, "state", name], f"{out}.state")
                if '"stopped"' in Path(f"{out}.state").read_text():
                    break
                time.sleep(0.005)
        errors = Path(f"{out}.err").read_text()
        call([*base, "delete", "--force", name], f"{out}.delete")
    else:
        code = call([*base, "run", "--bundle", str(bundle.dir), name], out)
        errors = Path(f"{out}.err").read_text()
    fields = fields_of(Path(out).read_text())
    fields |= found | bundle.tree()
    fields["outcome"] = "runs" if code == 0 and "end" in fields else "fails"
    if fields["outcome"] == "fails":
        fields = {"outcome": "fails"}
        call([*base, "delete", "--force", name], f"{out}.delete")
    fields["#errors"] = errors[-600:]
    return fields


def main():
    seed, first, count, seconds, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5])
    deadline = time.monotonic() + seconds
    bundle = Bundle(directory / "bundle")
    have = controllers()
    for index in range(first, first + count):
        if time.monotonic() > deadline:
            break
        name = f"conformance-{os.getpid()}-{index}"
        config = configurations.make(seed, index, name, have)
        line = {"index": index, "config": config}
        for runtime in PROGRAMS:
            line[runtime] = run(runtime, config, bundle, name)
        text = json.dumps(line).replace(name, "ID")
        print(text, flush=True)


if __name__ == "__main__":
    main()
