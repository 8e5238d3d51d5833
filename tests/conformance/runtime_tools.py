"""Runs the validation programs of opencontainers/runtime-tools and keeps what they say.

usage: python3 -m tests.conformance.runtime_tools        runs them under crun and runc, records that, writes the page's table
       python3 -m tests.conformance.runtime_tools page   writes the table alone

results.json has for each program: what our shim, crun and runc do (`passes` or `fails`), and where ours fails: `when`
(`always`, `machine` where a richer machine makes it pass, `race` where the program passes when it is quick enough), what its
output `says` then, and `why`.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.support import ROOT, call, v1_view, world

HERE = Path(__file__).resolve().parent / "runtime-tools"
RESULTS = HERE / "results.json"
PAGE = ROOT / "docs/conformance.md"
LANES = 5
PROGRAM_TIMEOUT = 90
# Programs that lose a race of their own now and then: killsig sends signals to a shell that may not have set its traps
# yet, and process 1 ignores what it does not handle; poststart wants the program's first output before the hook's, and
# the hook is run once the program is executed, however far that has come.
TRIES = {"killsig": 4, "poststart": 6}
# These use one cgroup by name.
ONE_CGROUP = ("linux_cgroups_", "delete_resources", "delete_only_create_resources")

_place = None
_pool = None
_running = {}


def place():
    """Where the programs are, built when they are not there yet."""
    global _place
    if _place is None:
        done = subprocess.run([HERE / "build"], stdout=subprocess.PIPE, text=True, check=True)
        _place = Path(done.stdout.strip())
    return _place


def names():
    return sorted(p.name for p in place().iterdir() if os.access(p, os.X_OK) and p.is_file() and p.name != "runtimetest")


@dataclass
class Result:
    passed: bool
    text: str


def judge(done):
    """A TAP program that names no check says what is wrong in a document with `error`, or ends with nonzero; two that
    expect a failing `create` print no TAP at all."""
    text = done.out + done.err + f"ended with {done.code} after {done.seconds:.0f} s\n"
    plan = re.search(r"^1\.\.(\d+)$", done.out, re.M)
    failed = re.search(r"^not ok ", done.out, re.M) is not None
    silent = plan is not None and plan[1] == "0" and '"error"' in done.out
    return Result(done.code == 0 and not failed and not silent, text)


def run(runtime, name):
    scratch = world().dir / f"tools-{runtime}-{name}"
    scratch.mkdir(exist_ok=True)
    env = dict(os.environ, RUNTIME=str(world().wrapper(runtime)), TMPDIR=str(scratch))
    for _ in range(TRIES.get(name, 1)):
        found = judge(call([*v1_view(), place() / name], timeout=PROGRAM_TIMEOUT, cwd=place(), env=env))
        if found.passed:
            break
    return found


def start(runtime, only=()):
    """Begins to run them; result() waits for one. Those that make cgroups use the same names and go one after another."""
    global _pool
    _pool = concurrent.futures.ThreadPoolExecutor(LANES)
    wanted = [name for name in names() if not only or name in only]
    cgroups = [name for name in wanted if name.startswith(ONE_CGROUP)]
    lane = concurrent.futures.ThreadPoolExecutor(1)
    # The slow ones first: they mostly sleep.
    slow = ("delete", "start", "kill", "linux_readonly_paths", "pidfile", "linux_rootfs_propagation")
    for name in sorted(wanted, key=lambda name: name not in slow):
        _running[name] = (lane if name in cgroups else _pool).submit(run, runtime, name)


def result(name):
    return _running[name].result()


def stop():
    for future in _running.values():
        future.cancel()
    _running.clear()
    _pool.shutdown()


def table(results):
    lines = ["| program | locald-shim | crun | runc | why not |", "|---|---|---|---|---|"]
    for name, known in sorted(results.items()):
        lines.append(f"| `{name}` | {known['shim']} | {known['crun']} | {known['runc']} | {known.get('why', '')} |")
    return "\n".join(lines) + "\n"


def write_page(results):
    text = PAGE.read_text()
    begin, end = "<!-- runtime-tools -->\n", "<!-- end -->\n"
    PAGE.write_text(text[: text.index(begin) + len(begin)] + table(results) + text[text.index(end):])


def main():
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if sys.argv[1:] != ["page"]:
        for runtime in ("crun", "runc"):
            start(runtime)
            for name in names():
                found = result(name)
                known = results.setdefault(name, {"shim": "passes", "crun": "", "runc": ""})
                known[runtime] = "passes" if found.passed else "fails"
            stop()
            for name in world().containers(runtime):
                call([world().wrapper(runtime), "delete", "--force", name])
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    write_page(results)


if __name__ == "__main__":
    main()
