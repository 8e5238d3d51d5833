"""Boots the guest once, runs every suite of this folder in it, and passes their results on: one JSON line a test.

usage: python3 -m tests.guest.run [PATTERN...]       as root, for the image; the released programs are in build/release/bin
"""

import json
import os
import signal
import subprocess
import sys
import time

from tests.guest.machine import ROOT, Guest, GuestError, image

HOME = "/srv/locald"
SUITES_SECONDS = 400
FILES = [(ROOT / "tests", "tests"), (ROOT / "build/release/bin/locald-shim", "bin/locald-shim"),
         (ROOT / "build/release/bin/locald", "bin/locald")]


def say(text):
    print(text, file=sys.stderr, flush=True)


def tell(test, result, text=""):
    print(json.dumps({"test": test, "result": result, "text": text}), flush=True)


def run_suites(guest, patterns):
    """True when the suites came to their end."""
    command = f"cd {HOME} && LOCALD_E2E_BIN={HOME}/bin timeout {SUITES_SECONDS} python3 -B -m tests.e2e.report tests.guest"
    words = guest.ssh_words(" ".join([command, *patterns]))
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
        directory = image()
        step("image is there")
        with Guest(directory) as guest:
            step("booted")
            guest.copy_in([(path, name) for path, name in FILES if path.exists()], HOME)
            step("programs are in")
            if not run_suites(guest, sys.argv[1:]):
                tell("guest.suites", "failed", "the suites did not come to their end\n" + guest.told())
            step("suites are done")
        step("powered off")
        tell("tests.guest", "end")
    except (GuestError, OSError, subprocess.SubprocessError) as error:
        tell("guest.machine", "failed", str(error))
        tell("tests.guest", "end")


if __name__ == "__main__":
    main()
