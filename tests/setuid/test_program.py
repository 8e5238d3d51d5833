"""What the program itself is, which may be root's: position independent, hardened, and free of what it has no use for."""

import re
import subprocess
import unittest

from tests.setuid.support import BUILT, ROOT


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, BUILT / "locald-shim"], check=True, capture_output=True, text=True).stdout


class Program(unittest.TestCase):
    def test_it_is_static_and_position_independent(self):
        text = readelf("-l", "-d")
        self.assertIn("DYN (Position-Independent Executable file)", text)
        self.assertNotIn("INTERP", text)
        self.assertNotIn("(NEEDED)", text)

    def test_nothing_is_writable_and_executable(self):
        text = readelf("-l")
        self.assertNotRegex(text, r"(?m)^ +LOAD .* RWE ")
        self.assertRegex(text, r"(?m)^ +GNU_STACK .* RW ")
        self.assertIn("GNU_RELRO", text)
        self.assertRegex(readelf("-d"), r"FLAGS.*(NOW|PIE)")

    def test_nothing_is_in_it_that_loads_programs_or_asks_the_network(self):
        functions = set(re.findall(r" FUNC +\S+ +\S+ +\S+ (\S+)", readelf("-s")))
        for name in ("getaddrinfo", "gethostbyname", "dlopen", "system", "popen", "getpwnam", "getgrnam", "initgroups"):
            self.assertNotIn(name, functions)
        self.assertEqual([name for name in functions if "SSL_" in name or "Poco" in name or "curl" in name], [])

    def test_the_prologue_calls_nothing_but_itself_and_the_kernel(self):
        allowed, wanted = set(), set()
        for name in ("prologue", "subtree", "root_files"):
            out = ROOT / "build" / f"prologue-{name}.o"
            subprocess.run(["gcc", "-std=gnu11", "-O2", "-fno-builtin", "-fno-stack-protector", f"-I{ROOT}", "-c",
                            ROOT / f"shim/start/{name}.c", "-o", out], check=True)
            text = subprocess.run(["nm", out], check=True, capture_output=True, text=True).stdout
            out.unlink()
            wanted.update(re.findall(r"(?m)^ +U (\S+)$", text))
            allowed.update(re.findall(r"(?m)^\S+ [TBDC] (\S+)$", text))
        self.assertEqual(wanted - allowed - {"_GLOBAL_OFFSET_TABLE_"}, {"locald_stand_by"},
                         "what the foothold does when it has given its rights up")

    def test_nothing_in_the_prologue_waits_for_a_relocation(self):
        """It runs before there is one; a compiler may put two addresses that are stored together into a constant."""
        objects = [path for name in ("prologue", "subtree", "root_files", "birth") for path in (BUILT.parent / "shim").rglob(f"start/{name}.c.o")]
        self.assertGreaterEqual(len(objects), 4)
        for path in objects:
            text = subprocess.run(["readelf", "-rW", path], check=True, capture_output=True, text=True).stdout
            self.assertNotRegex(text, r"\.rela\.(ro)?data", str(path))

    def test_analysers_find_nothing_in_the_prologue(self):
        for name in ("prologue", "subtree", "root_files", "birth"):
            done = subprocess.run(["gcc", "-x", "c", "-std=gnu11", "-O2", "-fanalyzer", "-Wall", "-Wextra", "-Werror", "-fno-builtin",
                                   f"-I{ROOT}", "-c", ROOT / f"shim/start/{name}.c", "-o", "/dev/null"], capture_output=True, text=True,
                                  check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            done = subprocess.run(["clang-16", "--analyze", "--analyzer-output", "text", "-std=gnu11", f"-I{ROOT}", "-Xclang",
                                   "-analyzer-werror", ROOT / f"shim/start/{name}.c"], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_the_prologue_stays_readable_in_one_sitting(self):
        lines = sum(len((ROOT / f"shim/start/{name}.c").read_text().splitlines()) for name in ("prologue", "subtree", "root_files"))
        self.assertLess(lines, 1230)
