"""The machine of the guest tests, as its host sees it: built once a recipe, booted, talked to by ssh, ended by its process id."""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "vm-images"
CACHE = ROOT / "build/guest"
READY = b"locald-guest: ready"
BUILD_SECONDS, BOOT_SECONDS, SSH_SECONDS, END_SECONDS = 900, 240, 60, 30
PR_SET_PDEATHSIG = 1

#: Under emulation the kernel's watchdogs and its test of the timer see a slow host, not a broken machine.
CMDLINE = ("console=ttyS0 quiet net.ifnames=0 mitigations=off audit=0 random.trust_cpu=on tsc=reliable nokaslr no_timer_check "
           "nowatchdog panic=-1 systemd.show_status=0")


class GuestError(Exception):
    """The machine could not be built, booted or reached."""


def recipe_hash(name):
    digest = hashlib.sha256()
    for path in (RECIPES / "common", RECIPES / name / "build"):
        digest.update(f"{path.relative_to(RECIPES)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def image(name="test"):
    """The directory of the built image; builds it where the recipe changed, and drops images of former recipes."""
    CACHE.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES / name / "build"
    wanted = CACHE / f"{name}-{recipe_hash(name)}"
    with open(CACHE / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (wanted / "disk.raw").exists():
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            done = subprocess.run([recipe, wanted], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BUILD_SECONDS, check=False)
            if done.returncode != 0:
                raise GuestError(f"{recipe} ended with {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-40:]))
    return wanted


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Guest:
    """A booted machine whose disk forgets everything at its end. Use as a context manager."""

    def __init__(self, directory, cmdline="", memory_mib=1024, processors=2):
        self.image = Path(directory)
        self.dir = Path(tempfile.mkdtemp(prefix="locald-guest-"))
        self.console = self.dir / "console"
        self.process = None
        self.port = 0
        monitor = self.dir / "monitor"
        self.argv = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc",
            "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", str(processors), "-m", str(memory_mib),
            "-kernel", self.image / "vmlinux", "-initrd", self.image / "initrd.img", "-append", f"{CMDLINE} {cmdline}",
            "-drive", f"file={self.image}/disk.raw,if=none,id=disk,format=raw,snapshot=on,cache=unsafe",
            "-device", "virtio-blk-pci,drive=disk",
            "-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
            "-qmp", f"unix:{monitor},server=on,wait=off"]
        self.monitor = monitor

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def boot(self):
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [str(word) for word in self.argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.dir / "errors", "wb"), env=dict(os.environ, TMPDIR=str(self.dir)), preexec_fn=die_with_parent)
        self.wait(lambda: READY in self.console_bytes(), BOOT_SECONDS, "boot")
        self.port = self.forwarded_port()
        self.wait(lambda: self.ssh("true", timeout=20).returncode == 0, SSH_SECONDS, "answer by ssh")

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise GuestError(f"qemu ended with {self.process.returncode}: {self.told()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                if condition():
                    return
            time.sleep(0.1)
        raise GuestError(f"the guest did not {what} in {seconds} s: {self.told()}")

    def console_bytes(self):
        return self.console.read_bytes() if self.console.exists() else b""

    def told(self):
        """The end of what qemu and the guest's console said."""
        errors = (self.dir / "errors").read_text(errors="replace")
        return errors[-1000:] + self.console_bytes()[-3000:].decode(errors="replace")

    def forwarded_port(self):
        """The port of loopback that qemu took for the guest's sshd."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(str(self.monitor))
            stream = link.makefile("rw")
            stream.readline()
            for execute in ({"execute": "qmp_capabilities"},
                            {"execute": "human-monitor-command", "arguments": {"command-line": "info usernet"}}):
                stream.write(json.dumps(execute) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    if "error" in answer:
                        raise GuestError(f"qemu: {answer['error']}")
        for line in answer["return"].splitlines():
            if "HOST_FORWARD" in line:
                return int(line.split()[3])
        raise GuestError(f"qemu forwards no port: {answer['return']}")

    def ssh_words(self, *command):
        return ["ssh", "-F", "none", "-i", self.image / "key", "-p", str(self.port), "-o", "BatchMode=yes",
                "-o", f"UserKnownHostsFile={self.image}/known_hosts", "-o", "GlobalKnownHostsFile=none",
                "-o", "HostKeyAlias=locald-guest", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
                "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8", "-o", "LogLevel=ERROR",
                "-o", "ControlMaster=auto", "-o", f"ControlPath={self.dir}/ssh", "-o", "ControlPersist=yes",
                "root@127.0.0.1", *command]

    def ssh(self, command, timeout=60, **kwargs):
        """Runs a shell line in the guest; output is captured together."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        # A file, not a pipe: the connection that stays open in the background would keep a pipe from its end.
        with tempfile.TemporaryFile(dir=self.dir) as output:
            done = subprocess.run([str(word) for word in self.ssh_words(command)], stdout=output, stderr=subprocess.STDOUT,
                                  timeout=timeout, check=False, **kwargs)
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, output.read().decode(errors="replace"))

    def copy_in(self, files, into, timeout=120):
        """Copies files and trees below `into`: pairs of host path and name there."""
        with tempfile.TemporaryDirectory(dir=self.dir) as scratch:
            os.chmod(scratch, 0o755)
            for source, name in files:
                target = Path(scratch) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if Path(source).is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
                else:
                    shutil.copy2(source, target)
            archive = subprocess.run(["tar", "-C", scratch, "--owner=0", "--group=0", "-cz", "."], stdout=subprocess.PIPE,
                                     timeout=timeout, check=True).stdout
        with tempfile.TemporaryFile(dir=self.dir) as packed:
            packed.write(archive)
            packed.seek(0)
            done = self.ssh(f"mkdir -p {into} && tar -xz -C {into}", timeout=timeout, stdin=packed)
        if done.returncode != 0:
            raise GuestError(f"copy into the guest: {done.stdout}")

    def end(self):
        """Powers off; kills what does not end. Removes everything the machine had on this host."""
        if self.process is not None:
            if self.port:
                with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                    self.ssh("sync; systemctl poweroff --force --force", timeout=END_SECONDS)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(END_SECONDS)
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        if (self.dir / "ssh").exists():
            subprocess.run([str(word) for word in ["ssh", "-F", "none", "-o", f"ControlPath={self.dir}/ssh", "-O", "exit", "guest"]],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
