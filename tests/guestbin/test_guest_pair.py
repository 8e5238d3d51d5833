"""What tools/cross-build makes: programs that need nothing of the machine they come to."""

import hashlib
import os
import platform
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from tests.e2e.support import BUILT

GUEST = BUILT.resolve().parent / "lib/locald/guest"
#: EM_X86_64 and EM_AARCH64 of elf(5).
MACHINES = {"x86_64": 62, "aarch64": 183}
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3


def runner(machine):
    """What to put before a program of that machine, or nothing where it runs by itself."""
    return [] if machine == platform.machine() else [f"qemu-{machine}-static"]


class GuestPair(unittest.TestCase):
    def setUp(self):
        self.machines = sorted(entry.name for entry in GUEST.iterdir())
        self.assertIn(platform.machine(), self.machines, f"{GUEST}: tools/cross-build did not run")
        self.home = Path(tempfile.mkdtemp(prefix="locald-guest-"))
        self.addCleanup(shutil.rmtree, self.home)

    def programs(self):
        return [(machine, GUEST / machine / name) for machine in self.machines for name in ("locald", "locald-shim")]

    def run_there(self, machine, *words, **kwargs):
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.home)}
        return subprocess.run([*runner(machine), *map(str, words)], capture_output=True, env=env, timeout=60, check=False, **kwargs)

    def test_they_are_of_their_machine_and_load_nothing(self):
        for machine, path in self.programs():
            data = path.read_bytes()
            self.assertEqual(data[:6], b"\x7fELF\x02\x01")
            self.assertEqual(struct.unpack_from("<H", data, 18)[0], MACHINES[machine])
            at, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
            kinds = {struct.unpack_from("<I", data, at + size * i)[0] for i in range(count)}
            self.assertIn(PT_LOAD, kinds)
            self.assertNotIn(PT_INTERP, kinds)
            self.assertTrue(os.access(path, os.X_OK))
            self.assertFalse(b".debug_info" in data)

    def test_the_sums_name_them(self):
        for machine in self.machines:
            lines = [f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
                     for name in ("locald", "locald-shim") for data in [(GUEST / machine / name).read_bytes()]]
            self.assertEqual((GUEST / machine / "sums").read_text(), "".join(lines), machine)

    def test_they_run_and_say_their_version(self):
        for machine, path in self.programs():
            done = self.run_there(machine, path, "version" if path.name == "locald" else "--version")
            self.assertEqual(done.returncode, 0, done)
            self.assertRegex(done.stdout, rb"^locald(-shim version)? \d+\.\d+\.\d+")

    def test_the_agent_greets_for_its_machine(self):
        for machine in self.machines:
            words = [*runner(machine), str(GUEST / machine / "locald"), "agent", "--stdio"]
            with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"HOME": str(self.home)}) as agent:
                greeting = os.read(agent.stdout.fileno(), 4096)  # it says so before it is asked
                agent.stdin.close()
            self.assertTrue(f'"machine":"{machine}"'.encode() in greeting and b'"hello"' in greeting, repr(greeting[:500]))
            self.assertEqual(agent.returncode, 0)

    def test_the_image_inside_is_of_their_machine(self):
        for machine in self.machines:
            data = (GUEST / machine / "locald").read_bytes()
            name = {"x86_64": b"amd64", "aarch64": b"arm64"}[machine]
            self.assertTrue(b'"architecture":"' + name + b'"' in data, machine)


if __name__ == "__main__":
    unittest.main()
