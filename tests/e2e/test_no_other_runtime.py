"""No other container runtime is ever executed: proven by a trace of every execve, and by a PATH that has none."""

import os
import re
import shutil
import subprocess

from tests.e2e import images
from tests.e2e.support import IS_ROOT, SAFE_PATH, ContainerCase, Done, for_each, on_this_host_alone, require, world

OTHERS = ("runc", "crun", "youki", "docker", "dockerd", "podman", "containerd", "buildah", "nerdctl", "skopeo", "umoci",
          "newroot", "bwrap")


class Path(ContainerCase):
    def test_the_suite_runs_without_one_on_path(self):
        for name in OTHERS[:9]:
            self.assertIsNone(shutil.which(name, path=SAFE_PATH), f"{name} is installed, so this run would prove nothing")


@for_each("root", "user", "plain")
@on_this_host_alone("the shim is not started by the command")
class Trace:
    def executed(self, *words):
        require(shutil.which("strace"), "strace")
        log = self.who.home / "trace"
        # A tracer without root would take newuidmap's rights away, so root traces what the user does.
        user = ["-u", self.who.name] if IS_ROOT else []
        words = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=execve,execveat", "-o", log, *user, world().locald, *words]
        ended = subprocess.run(words, env=self.who.environment(), cwd=self.who.home, capture_output=True, timeout=60,
                               stdin=subprocess.DEVNULL, check=False)
        done = Done(words, ended.returncode, ended.stdout, ended.stderr)
        text = log.read_text(errors="replace")
        log.unlink()
        programs = re.findall(r'^\d+ +execve\("([^"]+)"[^\n]*= 0$', text, re.M)
        for pid, place, name in re.findall(r'^(\d+) +execveat\((?:\d+<)?([^>]*)>?, "([^"]*)"[^\n]*= 0$', text, re.M):
            # As root the shim starts its own file again, from a mount that is attached nowhere or from a sealed copy.
            before = re.findall(rf'^{pid} +execve\("([^"]+)"[^\n]*= 0$', text, re.M)
            again = name == "" and place in ("/", "/memfd:locald-shim") and before[-1:] == [str(world().shim)]
            programs.append(before[-1] if again else (place, name))
        # A call that another thread's line interrupted ends as `<... execve resumed>) = 0`.
        for pid, name in re.findall(r'^(\d+) +execve\("([^"]+)"[^\n]*<unfinished', text, re.M):
            if re.search(rf"^{pid} +<\.\.\. execve resumed>.*= 0$", text, re.M):
                programs.append(name)
        return done, programs

    def test_a_run_executes_ours_and_the_payload_only(self):
        self.assert_ok(self.who.container(images.image(), "true"))
        done, programs = self.executed("container", "run", "--rm", images.image(), "/bin/echo", "traced")
        self.assert_prints(done, "traced\n")
        ours = {str(world().locald), str(world().shim), "/proc/self/exe", "/bin/echo"}
        helpers = {"newuidmap", "newgidmap"}
        for program in programs:
            name = program if isinstance(program, str) else program[1]
            self.assertTrue(name in ours or os.path.basename(name) in helpers, f"{name} was executed: {programs}")
        self.assertIn(str(world().shim), programs)

    def test_a_first_run_that_unpacks_does_not_either(self):
        layout, _ = images.write_layout(f"traced-{self.kind}", [images.base_layer(), images.layer(
            images.entry("mark", self.kind + str(os.getpid())))])
        done, programs = self.executed("container", "run", "--rm", f"oci:{layout}", "/bin/true")
        self.assert_ok(done)
        names = {os.path.basename(program if isinstance(program, str) else program[1]) for program in programs}
        self.assertLessEqual(names, {"locald", "locald-shim", "exe", "true", "newuidmap", "newgidmap", ""}, programs)
