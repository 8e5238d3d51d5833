"""The daemons of the tests, each started once, in directories of its own, and ended by the pid that it was started with."""

import os
import shutil
import subprocess
import tarfile

from tests.clients.support import ENGINES, MARK, Server, engine, runtime, unmount_below, view
from tests.e2e import images
from tests.e2e.support import SAFE_PATH, Done, world

_made = {}


def images_tar():
    """The images `latest` and `pause`, which a pod's first container runs, as one OCI archive."""
    path = images.images_dir() / "engines.tar"
    if not path.exists():
        layout = images.busybox()
        images.umoci("config", "--image", f"{layout}:latest", "--tag", "pause", "--config.cmd", "sleep", "--config.cmd", "100000")
        with tarfile.open(path, "w") as tar:
            tar.add(layout, ".")
    return path


class Daemon:
    """What containerd and dockerd share: a short directory (sockets' names are bounded), a clean environment, an end."""

    name = ""

    def __init__(self):
        engine("sid", self.name)
        self.dir = world().dir / self.name
        self.dir.mkdir()
        self.socket = self.dir / "sock"
        self.env = {"PATH": f"{ENGINES}/sid/bin:{SAFE_PATH}", "HOME": str(self.dir), "LANG": "C.UTF-8"}
        self.view = view("host")
        self.server = None
        # The directory goes after the daemon has ended: what was registered later runs first.
        import atexit
        atexit.register(self.remove, os.getpid())

    def start(self, words, ready):
        self.server = Server(self.name, [*self.view.prefix, engine("sid", self.name), *words], self.dir, ready, self.env)

    def remove(self, owner):
        if os.getpid() == owner:
            unmount_below(self.dir)
            shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, words, **kwargs):
        done = subprocess.run([str(word) for word in words], env=self.env, cwd=self.dir, capture_output=True, timeout=60,
                              stdin=None if "input" in kwargs else subprocess.DEVNULL, check=False, **kwargs)
        return Done(words, done.returncode, done.stdout, done.stderr)


class Containerd(Daemon):
    """containerd with its CRI service, whose handler `shim` names our runtime."""

    name = "containerd"

    def __init__(self):
        super().__init__()
        (self.dir / "config.toml").write_text(f"""version = 3
root = "{self.dir}/root"
state = "{self.dir}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "{self.socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "example.com/busybox:pause"
[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{self.dir}/cni-bin"]
conf_dir = "{self.dir}/cni"
use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "locald"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.locald]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.locald.options]
BinaryName = "{runtime()}"
""")
        self.make_network()
        self.start(["-c", self.dir / "config.toml"], lambda: self.socket.exists() and self.ctr("version").code == 0)
        for namespace in (MARK, "k8s.io"):
            done = self.ctr("images", "import", "--base-name", "example.com/busybox", images_tar(), namespace=namespace)
            if done.code != 0:
                raise AssertionError(f"the engine itself does not work here: {done!r}")

    def make_network(self):
        """A network plugin that gives a pod an address on paper: its namespace has the loopback device alone."""
        (self.dir / "cni").mkdir()
        (self.dir / "cni-bin").mkdir()
        plugin = self.dir / "cni-bin/paper"
        plugin.write_text("""#!/bin/sh
case $CNI_COMMAND in
  ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}],"ips":[{"interface":0,"address":"127.1.0.2/16"}]}' ;;
  VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' ;;
esac
""")
        plugin.chmod(0o755)
        (self.dir / "cni/10-paper.conflist").write_text('{"cniVersion":"1.0.0","name":"paper","plugins":[{"type":"paper"}]}\n')

    def ctr(self, *words, namespace=MARK, **kwargs):
        return self.run([ENGINES / "sid/bin/ctr", "-a", self.socket, "-n", namespace, *words], **kwargs)


class Docker(Daemon):
    """Docker Engine without networks of its own, on the containerd above."""

    name = "dockerd"

    def __init__(self):
        super().__init__()
        below = containerd()
        # Its builder wants some runc on PATH before anything runs: ours.
        (self.dir / "bin").mkdir()
        (self.dir / "bin/runc").symlink_to(runtime())
        self.env["PATH"] += f":{self.dir}/bin"
        (self.dir / "daemon.json").write_text(f"""{{
  "runtimes": {{"locald": {{"path": "{runtime()}"}}}},
  "default-runtime": "locald"
}}
""")
        self.start(["--config-file", self.dir / "daemon.json", "-H", f"unix://{self.socket}", "--containerd", below.socket,
                    "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--pidfile", self.dir / "pid",
                    "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none", "--userland-proxy=false",
                    "--cgroup-parent", f"/{MARK}", "--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", "overlay2"],
                   lambda: self.socket.exists() and self.docker("version").code == 0)
        done = self.docker("load", "-i", images.docker_archive())
        if done.code != 0:
            raise AssertionError(f"the engine itself does not work here: {done!r}")

    def docker(self, *words, **kwargs):
        return self.run(self.words(words), **kwargs)

    def words(self, words):
        return [ENGINES / "sid/bin/docker", "-H", f"unix://{self.socket}", *words]


def once(make):
    if make not in _made:
        _made[make] = make()
    return _made[make]


def containerd():
    return once(Containerd)


def docker():
    return once(Docker)
