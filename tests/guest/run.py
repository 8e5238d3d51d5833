"""Boots the guest, runs every suite of this folder in it, and passes their results on: one JSON line a test. Then again with
version 1 of cgroups, in both of systemd's ways, for the classes of older_cgroups that are meant for each; with SELinux instead of
AppArmor; and Ubuntu's machine for its own suite.

usage: python3 -m tests.guest.run [PATTERN...]       as root, for the image; the released programs are in build/release/bin
"""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

from tests.e2e.report import flatten
from tests.guest.machine import ROOT, Guest, GuestError, image

HOME = "/srv/locald"
SUITES_SECONDS = 400
#: The machine, what its kernel is told beside the usual, and what is run then.
BOOTS = [("test", "", "tests.guest", ""),
         ("test", "systemd.unified_cgroup_hierarchy=0", "tests.guest.older_cgroups", "Hybrid"),
         ("test", "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1", "tests.guest.older_cgroups", "Legacy"),
         ("test", "security=selinux selinux=1 enforcing=1", "tests.guest.selinux", ""),
         ("ubuntu", "", "tests.guest.ubuntu", "")]
FILES = [(ROOT / "tests", "tests"), (ROOT / "build/release/bin/locald-shim", "bin/locald-shim"),
         (ROOT / "build/release/bin/locald", "bin/locald")]


def say(text):
    print(text, file=sys.stderr, flush=True)


def tell(test, result, text=""):
    print(json.dumps({"test": test, "result": result, "text": text}), flush=True)


def wanted(target, word, patterns):
    """The tests of one boot that the patterns choose."""
    folder = ROOT.joinpath(*target.split("."))
    names = [f"{target}.{path.stem}" for path in folder.glob("test_*.py")] if folder.is_dir() else [target]
    tests = [test.id() for test in flatten(unittest.defaultTestLoader.loadTestsFromNames(names)) if word in test.id()]
    return [name for name in tests if not patterns or any(pattern in name for pattern in patterns)]


def run_suites(guest, target, tests):
    """True when the suites came to their end."""
    command = f"cd {HOME} && LOCALD_E2E_BIN={HOME}/bin timeout {SUITES_SECONDS} python3 -B -m tests.e2e.report {target}"
    words = guest.ssh_words(" ".join([command, *tests]))
    ended = False
    with subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            ended = ended or event["result"] == "end"
            if not ended:
                print(line, end="", flush=True)
    return ended


def main():
    # What this starts must not write between the lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the machine goes as well
    started = time.monotonic()

    def step(what):
        say(f"  {what} after {time.monotonic() - started:.0f} s")

    if os.geteuid() != 0:
        tell("guest.machine", "skipped", "needs root for the image of the guest")
        tell("tests.guest", "end")
        return
    try:
        boots = [(name, cmdline, target, wanted(target, word, sys.argv[1:])) for name, cmdline, target, word in BOOTS]
        if not any(tests for *_, tests in boots):
            tell("tests.guest", "failed", "no test has this name")
        for name, cmdline, target, tests in boots:
            if not tests:
                continue
            directory = image(name)
            step(f"image {name} is there")
            with Guest(directory, cmdline) as guest:
                step(f"booted {cmdline}")
                guest.copy_in([(path, name) for path, name in FILES if path.exists()], HOME)
                step("programs are in")
                if not run_suites(guest, target, tests):
                    tell("guest.suites", "failed", "the suites did not come to their end\n" + guest.told())
                step("suites are done")
            step("powered off")
        tell("tests.guest", "end")
    except (GuestError, OSError, subprocess.SubprocessError) as error:
        tell("guest.machine", "failed", str(error))
        tell("tests.guest", "end")


if __name__ == "__main__":
    main()
