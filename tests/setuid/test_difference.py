"""The promise as a difference: what root of a plain user namespace can do, against what root of a container of the setuid shim can
do, attempt by attempt. Only ids that root granted, and the cgroup, may differ. The default profile stands not in between (support.Bundle):
it is no part of the promise, because the caller may name another."""

import os

from tests.setuid.support import SetuidCase, build_program


class Difference(SetuidCase):
    def attempts(self, text):
        return dict(line.rsplit(" ", 1) for line in text.splitlines())

    def test_the_shim_gives_the_granted_ids_and_nothing_else(self):
        program = build_program("enumerate")
        place = self.who.write("place/x", "").parent
        place.chmod(0o755)
        os.chown(place, self.who.uid, self.who.gid)
        plain = self.who.run(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--ipc", "--uts", "--net", "--cgroup",
                              "--mount-proc", program, place])
        self.assertEqual(plain.code, 0, plain)
        bundle = self.bundle(str(program), str(place))
        bundle.config["root"] = {"path": "/"}
        bundle.config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"},
                                   {"destination": "/dev", "source": "/dev", "options": ["rbind"]}]
        bundle.config["linux"]["namespaces"].append({"type": "network"})
        bundle.config["process"]["capabilities"] = EVERYTHING
        bundle.write()
        done = self.run_bundle(bundle)
        self.assertEqual(done.code, 0, done)
        there, here = self.attempts(plain.text), self.attempts(done.text)
        self.assertEqual(there.keys(), here.keys())
        self.assertGreater(len(here), 100)
        differing = {name: (there[name], here[name]) for name in here if there[name] != here[name]}
        beyond = {name: answers for name, answers in differing.items() if answers[1] == "done"}
        _, count = self.who.ranges()[0]
        granted = {f"id: {what} {number}" for what in ("setuid", "setgid", "chown") for number in (1, 1000, 65534, 65535, 65536)
                   if number <= count}
        self.assertEqual(set(beyond), granted | {"id: setgroups 0"}, differing)


CAPABILITIES = """AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID
IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP
SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME
SYS_TTY_CONFIG WAKE_ALARM""".split()
EVERYTHING = {kind: [f"CAP_{name}" for name in CAPABILITIES] for kind in ("bounding", "effective", "permitted")}
