"""A real OpenSSH server of the tests' own: its own keys and configuration, on a port of loopback, in its own process."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

SSHD = "/usr/sbin/sshd"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_key(path, kind="ed25519"):
    for old in (Path(path), Path(f"{path}.pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path], check=True)
    return path


class Server:
    """sshd below `directory`. Users log in by key, and their sessions get the environment that `admit` names."""

    def __init__(self, directory, *lines, host_key="ed25519"):
        self.dir = Path(directory)
        self.dir.mkdir()
        self.dir.chmod(0o755)
        self.port = free_port()
        self.log = self.dir / "log"
        self.host_key = make_key(self.dir / "host_key", host_key)
        self.keys = self.dir / "keys"
        self.keys.mkdir()
        self.config = self.dir / "sshd_config"
        self.config.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.keys}/%u", "StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin yes",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitUserEnvironment yes",
            "MaxStartups 100", *lines, ""]))
        self.process = None
        self.start()

    def start(self):
        Path("/run/sshd").mkdir(exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = self.popen(stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"sshd does not answer: {self.log.read_text()}")

    def popen(self, **kwargs):
        return subprocess.Popen([SSHD, "-D", "-e", "-f", self.config], **kwargs)

    def stop(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None

    @property
    def known_line(self):
        return self.known_line_at(self.port)

    def known_line_at(self, port):
        """For a port of loopback that leads here."""
        kind, blob = Path(f"{self.host_key}.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{port} {kind} {blob}\n"

    def admit(self, name, home, uid, gid, environment=None):
        """Makes a key in `home`/.ssh, lets it log in as `name`, and puts this server's key among the known ones.

        An account may be used by several homes; the environment of a session is that of the key it came with.
        """
        ssh = Path(home) / ".ssh"
        ssh.mkdir(exist_ok=True)
        key = make_key(ssh / "id_ed25519")
        (ssh / "known_hosts").write_text(self.known_line)
        for path in (ssh, *ssh.iterdir()):
            os.chown(path, uid, gid)
        ssh.chmod(0o700)
        self.authorize(name, key, environment)

    def authorize(self, name, key, environment=None):
        """Lets a key log in as `name`; its sessions get the environment."""
        options = ",".join(f'environment="{name}={value}"' for name, value in (environment or {}).items())
        with open(self.keys / name, "a") as keys:
            keys.write(f"{options} {Path(f'{key}.pub').read_text()}".lstrip())

    def url(self, name, port=None):
        return f"ssh://{name}@127.0.0.1:{port or self.port}"

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
