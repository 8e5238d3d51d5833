"""A real registry on loopback with storage of its own, and images in it."""

import crypt
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.e2e import images, support


class Registry:
    """Debian's docker-registry; with `users` it asks for basic auth."""

    def __init__(self, users=None):
        support.require((support.PEERS / "docker-registry").exists(), "tools/fetch-peers")
        self.dir = support.world().dir / f"registry-{time.monotonic_ns()}"
        self.dir.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        auth = ""
        if users:
            lines = [f"{name}:{crypt.crypt(word, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}" for name, word in users.items()]
            (self.dir / "htpasswd").write_text("\n".join(lines) + "\n")
            auth = f"auth:\n  htpasswd:\n    realm: tests\n    path: {self.dir}/htpasswd\n"
        (self.dir / "config.yml").write_text(
            f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {self.dir}/data\n"
            f"http:\n  addr: {self.host}\n{auth}")
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(
            [support.PEERS / "docker-registry", "serve", self.dir / "config.yml"], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, env={"PATH": support.SAFE_PATH, "OTEL_TRACES_EXPORTER": "none"})
        support.servers.add(self.process.pid)
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        log = (self.dir / "log").read_text()
        self.stop()
        raise AssertionError(f"the registry does not answer: {log}")

    def push(self, source, name, *options):
        """Copies `oci:…` to `host/name` with skopeo; returns the full name."""
        subprocess.run(["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *options, source,
                        f"docker://{self.host}/{name}"], check=True, capture_output=True)
        return f"{self.host}/{name}"

    def push_index(self, name, manifests):
        """An index over manifests that were pushed before: [(digest, size, platform)]."""
        repository, tag = name.rsplit(":", 1)
        body = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
                           "platform": platform} for digest, size, platform in manifests]}).encode()
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}", data=body, method="PUT",
            headers={"Content-Type": "application/vnd.oci.image.index.v1+json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
        return f"{self.host}/{name}"

    def manifest(self, name):
        """(digest, bytes) of what a tag names."""
        repository, tag = name.rsplit(":", 1)
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return images.digest_of(body), body

    def blob_file(self, digest):
        hexadecimal = digest.removeprefix("sha256:")
        return Path(self.dir) / f"data/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        support.servers.discard(self.process.pid)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def login(who, registry, name, word):
    """A config.json as `docker login` writes it; returns the directory for DOCKER_CONFIG."""
    import base64
    token = base64.b64encode(f"{name}:{word}".encode()).decode()
    path = who.write(f"docker-{registry.port}/config.json", json.dumps({"auths": {registry.host: {"auth": token}}}))
    os.chmod(path, 0o600)
    return path.parent
