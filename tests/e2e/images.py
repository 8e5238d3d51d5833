"""The images that the tests run: made with umoci from busybox and from debootstrap, and byte by byte where it matters."""

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.e2e import support

APPLETS = """sh ash cat chmod chown cp cut date dd df dirname echo env expr false find grep head hostname id kill ls md5sum
mkdir mkfifo mktemp mount mountpoint mv nc nproc od printf ps pwd readlink realpath rm rmdir sed seq sha256sum sleep sort stat
stty sync tail tee test timeout touch tr true tty umount uname wc whoami xargs yes""".split()

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
GROUP = "root:x:0:\nstaff:x:50:app\napp:x:1001:\nextra:x:1002:app,root\nnogroup:x:65534:\n"


def umoci(*words):
    subprocess.run(["umoci", *map(str, words)], check=True, capture_output=True)


def rootless():
    return [] if support.IS_ROOT else ["--rootless"]


def fill_busybox(root):
    """A root filesystem of busybox, its applets, accounts and a few directories."""
    for name in ("bin", "etc", "tmp", "root", "home/app", "proc", "dev", "sys", "srv/app"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "tmp").chmod(0o1777)
    (root / "etc/motd").write_text("busybox of the tests\n")
    (root / "srv/app/data").write_text("data\n")


_made = {}


def once(make):
    def get(*arguments):
        key = (make.__name__, arguments)
        if key not in _made:
            _made[key] = make(*arguments)
        return _made[key]

    return get


def images_dir():
    path = support.world().dir / "images"
    path.mkdir(exist_ok=True)
    return path


def readable(path):
    subprocess.run(["chmod", "-R", "a+rX", path], check=True)
    return path


@once
def busybox():
    """OCI layout with the images `latest` (Cmd sh) and `configured` (every field that a config can have)."""
    layout = images_dir() / "busybox"
    umoci("init", "--layout", layout)
    umoci("new", "--image", f"{layout}:latest")
    bundle = images_dir() / "busybox-bundle"
    umoci("unpack", *rootless(), "--image", f"{layout}:latest", bundle)
    fill_busybox(bundle / "rootfs")
    umoci("repack", "--image", f"{layout}:latest", bundle)
    shutil.rmtree(bundle, ignore_errors=True)
    umoci("config", "--image", f"{layout}:latest", "--config.cmd", "sh", "--config.env", "PATH=/usr/bin:/bin")
    umoci("config", "--image", f"{layout}:latest", "--tag", "configured",
          "--config.entrypoint", "/bin/echo", "--config.entrypoint", "entry", "--config.cmd", "cmd",
          "--config.env", "COLOUR=blue", "--config.env", "PATH=/bin", "--config.workingdir", "/srv/app",
          "--config.user", "app", "--config.stopsignal", "SIGUSR1", "--config.label", "org.example.kind=configured")
    return readable(layout)


def image(tag="latest"):
    """The name under which tests run the busybox image: `oci:DIR:TAG`."""
    return f"oci:{busybox()}:{tag}"


@once
def docker_archive():
    path = images_dir() / "busybox.tar"
    subprocess.run(["skopeo", "copy", "--insecure-policy", image(), f"docker-archive:{path}:example.com/busybox:1"],
                   check=True, capture_output=True)
    path.chmod(0o644)
    return path


@once
def rootfs():
    """A plain directory for `--rootfs`, readable by everybody."""
    path = images_dir() / "rootfs"
    path.mkdir()
    fill_busybox(path)
    return path


# --- byte by byte ---------------------------------------------------------------------------------------------------


def entry(name, content=None, kind=tarfile.REGTYPE, **fields):
    """One tar entry as (TarInfo, bytes)."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = fields.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    for key, value in fields.items():
        setattr(info, key, value)
    data = content.encode() if isinstance(content, str) else (content or b"")
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def layer(*entries):
    """An uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def base_layer():
    """busybox and its shell, small and the same every time."""
    entries = [entry(name, kind=tarfile.DIRTYPE) for name in ("bin", "etc", "proc", "dev", "sys", "root")]
    entries.append(entry("tmp", kind=tarfile.DIRTYPE, mode=0o1777))
    entries.append(entry("bin/busybox", Path("/bin/busybox").read_bytes(), mode=0o755))
    entries += [entry(f"bin/{applet}", kind=tarfile.SYMTYPE, linkname="busybox") for applet in APPLETS]
    entries += [entry("etc/passwd", PASSWD), entry("etc/group", GROUP)]
    return layer(*entries)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write_blob(layout, data):
    path = layout / "blobs/sha256" / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path


def write_layout(name, layers, config=None, architecture=None, compress=True):
    """An OCI layout of the given layers with the tag `latest`. Returns (directory, blob file of each layer)."""
    layout = images_dir() / name
    shutil.rmtree(layout, ignore_errors=True)
    (layout / "blobs/sha256").mkdir(parents=True)
    blobs, descriptors, diff_ids = [], [], []
    for data in layers:
        blob = gzip.compress(data, 6, mtime=0) if compress else data
        blobs.append(write_blob(layout, blob))
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else "")
        descriptors.append({"mediaType": kind, "digest": digest_of(blob), "size": len(blob)})
        diff_ids.append(digest_of(data))
    body = json.dumps({
        "architecture": architecture or {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine), "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    write_blob(layout, body)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(body), "size": len(body)},
        "layers": descriptors}).encode()
    write_blob(layout, manifest)
    index = {"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(manifest), "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return readable(layout), blobs


@once
def layered():
    """Three layers with everything that a layer can say: whiteouts, opaque directories, links, owners, modes, xattrs."""
    directory = tarfile.DIRTYPE
    xattr = entry("marked", "x\n")
    xattr[0].pax_headers = {"SCHILY.xattr.user.colour": "green"}
    second = layer(
        entry("gone", "to be removed\n"), entry("kept", "kept\n"), entry("tree", kind=directory),
        entry("tree/gone", "x"), entry("tree/kept", "kept too\n"), entry("opaque", kind=directory),
        entry("opaque/old", "x"), entry("opaque/sub", kind=directory), entry("opaque/sub/old", "x"),
        entry("becomes-directory", "x"), entry("becomes-file", kind=directory), entry("becomes-file/inner", "x"),
        entry("owned", "o\n", uid=1234, gid=5678), entry("setuid", "s\n", mode=0o4755), xattr,
        entry("long/" + "n" * 120 + "/" + "m" * 120, "long\n"))
    third = layer(
        entry(".wh.gone"), entry("tree/.wh.gone"), entry("opaque", kind=directory), entry("opaque/.wh..wh..opq"),
        entry("opaque/new", "new\n"), entry("becomes-directory", kind=directory), entry("becomes-directory/inner", "in\n"),
        entry("becomes-file", "now a file\n"), entry("hard", kind=tarfile.LNKTYPE, linkname="kept"),
        entry("absolute", kind=tarfile.SYMTYPE, linkname="/kept"), entry("pipe", kind=tarfile.FIFOTYPE))
    return write_layout("layered", [base_layer(), second, third])[0]


# --- Debian ---------------------------------------------------------------------------------------------------------


def mirror():
    for path in ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"):
        if os.path.exists(path):
            for line in Path(path).read_text().splitlines():
                for word in line.split():
                    if word.startswith("http") and not line.startswith("#"):
                        return word
    return "http://deb.debian.org/debian"


@once
def debian():
    """A debootstrap root as an OCI layout made by umoci, kept in build/cache because it takes a minute to make."""
    support.require(support.IS_ROOT, "root for debootstrap")
    support.CACHE.mkdir(parents=True, exist_ok=True)
    cached = support.CACHE / "debian-bookworm-oci.tar"
    layout = images_dir() / "debian"
    with open(support.CACHE / ".debian.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.exists():
            make_debian(cached)
    layout.mkdir()
    subprocess.run(["tar", "-xf", cached, "-C", layout], check=True)
    return readable(layout)


def make_debian(cached):
    work = images_dir() / "debian-work"
    layout, bundle = work / "layout", work / "bundle"
    work.mkdir()
    umoci("init", "--layout", layout)
    umoci("new", "--image", f"{layout}:bookworm")
    umoci("unpack", "--image", f"{layout}:bookworm", bundle)
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", bundle / "rootfs", mirror()], check=True,
                   capture_output=True)
    for path in (bundle / "rootfs/var/cache/apt/archives").glob("*.deb"):
        path.unlink()
    umoci("repack", "--image", f"{layout}:bookworm", bundle)
    umoci("config", "--image", f"{layout}:bookworm", "--config.cmd", "bash")
    subprocess.run(["tar", "-cf", f"{cached}.new", "-C", layout, "."], check=True)
    os.rename(f"{cached}.new", cached)
    shutil.rmtree(work)
