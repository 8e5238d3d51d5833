"""`image pull|ls|inspect|rm|import|export`, against a real registry and with skopeo and umoci as witnesses."""

import json
import os
import subprocess
import tarfile

from tests.e2e import images
from tests.e2e.registry import Registry, login
from tests.e2e.support import Snapshot, for_each, on_this_host_alone

_shared = {}


def registry():
    if "plain" not in _shared:
        _shared["plain"] = Registry()
        _shared["plain"].push(images.image(), "tests/busybox:1")
        _shared["plain"].push(images.image("configured"), "tests/busybox:configured")
        _shared["plain"].push(f"oci:{images.layered()}:latest", "tests/layered:1")
    return _shared["plain"]


def guarded():
    if "guarded" not in _shared:
        _shared["guarded"] = Registry({"ann": "secret word"})
        _shared["guarded"].push(images.image(), "private/busybox:1", "--dest-creds", "ann:secret word")
    return _shared["guarded"]


def tearDownModule():
    for each in _shared.values():
        each.stop()
    _shared.clear()


def blobs(who):
    folder = who.store / "blobs/sha256"
    return set(os.listdir(folder)) if folder.exists() else set()


class FreshStore:
    """Tests that look at the whole store get one of their own."""

    def setUp(self):
        super().setUp()
        # The same account with an empty data directory: XDG_DATA_HOME decides.
        self.shared_data = self.who.data
        self.who.data = self.who.directory(f"data-{self.id().rsplit('.', 1)[-1][:40]}", 0o700)
        self.addCleanup(self.restore)
        self.before = Snapshot(self.who)

    def restore(self):
        self.assert_nothing_left()
        subprocess.run(["rm", "-rf", self.who.data], check=False)
        self.who.data = self.shared_data
        self.before = Snapshot(self.who)


@for_each("root", "user")
class Pull(FreshStore):
    def names(self):
        return [line.split()[0] for line in self.assert_ok(self.who.locald("image", "ls")).text.splitlines()[1:]]

    def test_pull_ls_run_and_rm(self):
        name = f"{registry().host}/tests/busybox:1"
        self.assert_ok(self.who.locald("image", "pull", name))
        self.assertIn(name, self.assert_ok(self.who.locald("image", "ls")).text)
        self.assert_prints(self.who.container("--pull", "never", name, "echo", "pulled"), "pulled\n")
        self.assert_ok(self.who.locald("image", "rm", name))
        self.assertNotIn(name, self.assert_ok(self.who.locald("image", "ls")).text)
        self.assertEqual(blobs(self.who), set())
        self.assertFalse([path for path in (self.who.store / "layers").glob("*/*") if not path.name.startswith(".")])

    def test_run_pulls_what_is_missing(self):
        done = self.who.container(f"{registry().host}/tests/busybox:1", "echo", "there")
        self.assert_prints(done, "there\n")

    def test_pull_always_sees_a_moved_tag(self):
        name = registry().push(images.image(), f"tests/moving-{self.kind}:1")
        self.assert_prints(self.who.container(name, "echo", "one"), "one\n")
        registry().push(images.image("configured"), f"tests/moving-{self.kind}:1")
        self.assert_prints(self.who.container("--pull", "always", name), "entry cmd\n")

    def test_a_present_image_needs_no_registry(self):
        other = Registry()
        name = other.push(images.image(), "tests/offline:1")
        self.assert_ok(self.who.locald("image", "pull", name))
        other.stop()
        self.assert_prints(self.who.container(name, "echo", "offline"), "offline\n")

    def test_by_digest(self):
        digest, _ = registry().manifest("tests/busybox:1")
        name = f"{registry().host}/tests/busybox@{digest}"
        self.assert_prints(self.who.container(name, "echo", "digest"), "digest\n")

    def test_an_index_gives_the_platform_of_this_machine(self):
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        host = registry()
        here, body = host.manifest("tests/busybox:1")
        other, other_body = host.manifest("tests/busybox:configured")
        name = host.push_index(f"tests/busybox:index-{self.kind}", [
            (other, len(other_body), {"os": "linux", "architecture": "s390x"}),
            (here, len(body), {"os": "linux", "architecture": machine})])
        self.assert_prints(self.who.container(name, "echo", "mine"), "mine\n")
        self.assert_error(self.who.container("--platform", "linux/riscv64", name), 125, "linux/riscv64", "linux/s390x")

    @on_this_host_alone("the other host's store is not this test's alone")
    def test_a_shared_layer_is_fetched_once(self):
        host = registry().host
        self.assert_ok(self.who.locald("image", "pull", f"{host}/tests/busybox:1"))
        before = blobs(self.who)
        self.assert_ok(self.who.locald("image", "pull", f"{host}/tests/busybox:configured"))
        self.assertEqual(len(blobs(self.who) - before), 2)  # its manifest and its config

    def test_rm_keeps_what_another_image_needs(self):
        host = registry().host
        for tag in ("1", "configured"):
            self.assert_ok(self.who.locald("image", "pull", f"{host}/tests/busybox:{tag}"))
        self.assert_ok(self.who.locald("image", "rm", f"{host}/tests/busybox:1"))
        self.assert_prints(self.who.container("--pull", "never", f"{host}/tests/busybox:configured"), "entry cmd\n")

    @on_this_host_alone("the other host's store is not this test's alone")
    def test_rm_by_id_removes_every_name_of_the_image(self):
        names = [f"{registry().host}/tests/busybox:1", "second/name:1"]
        self.assert_ok(self.who.locald("image", "pull", names[0]))
        archive = os.path.join(self.who.directory("rm-by-id"), "image.tar")
        self.assert_ok(self.who.locald("image", "export", names[0], archive))
        self.assert_ok(self.who.locald("image", "import", archive, names[1]))
        identity = json.loads(self.assert_ok(self.who.locald("image", "inspect", names[0])).text)["id"]
        printed = self.assert_ok(self.who.locald("image", "rm", identity[7:19])).text.splitlines()
        self.assertEqual(sorted(printed), sorted([names[0], "docker.io/" + names[1]]))
        self.assert_error(self.who.locald("image", "inspect", identity), 125, identity)

    def test_export_refuses_a_path_with_the_kind_of_a_source(self):
        for path in ("oci:out:tag", "docker-archive:out.tar", "oci-archive:out.tar"):
            self.assert_error(self.who.locald("image", "export", "no/such:image", path), 125, path)

    def test_basic_auth_from_dockers_config(self):
        name = f"{guarded().host}/private/busybox:1"
        self.assert_error(self.who.locald("image", "pull", name), 125, guarded().host, "login|credential|authenti")
        config = login(self.who, guarded(), "ann", "secret word")
        self.assert_ok(self.who.locald("image", "pull", name, env={"DOCKER_CONFIG": config}))

    def test_a_wrong_password_is_told_apart(self):
        config = login(self.who, guarded(), "ann", "wrong")
        done = self.who.locald("image", "pull", f"{guarded().host}/private/busybox:1", env={"DOCKER_CONFIG": config})
        self.assert_error(done, 125, guarded().host, "login|credential|authenti|refused")

    def test_pull_puts_data_on_stdout_and_progress_elsewhere(self):
        name = f"{registry().host}/tests/busybox:1"
        done = self.assert_ok(self.who.locald("image", "pull", name))
        self.assertNotIn(b"\x1b", done.err + done.out)
        self.assertLessEqual(len(done.text.splitlines()), 1)

    def test_inspect_is_json(self):
        name = f"{registry().host}/tests/busybox:configured"
        self.assert_ok(self.who.locald("image", "pull", name))
        found = json.loads(self.assert_ok(self.who.locald("image", "inspect", name)).text)
        found = found[0] if isinstance(found, list) else found
        self.assertIn("COLOUR=blue", json.dumps(found))
        self.assertIn(registry().manifest("tests/busybox:configured")[0], json.dumps(found))

    def test_rm_of_an_unknown_image_is_an_error(self):
        self.assert_error(self.who.locald("image", "rm", "no/such:image"), 125, "no/such:image")
        self.assert_error(self.who.locald("image", "inspect", "no/such:image"), 125, "no/such:image")


@for_each("root", "user")
class Transfer(FreshStore):
    def test_import_of_an_oci_directory(self):
        self.assert_ok(self.who.locald("image", "import", images.image()))
        self.assert_prints(self.who.container("--pull", "never", images.image(), "echo", "x"), "x\n")

    def test_import_of_a_docker_archive_keeps_its_name(self):
        self.assert_ok(self.who.locald("image", "import", f"docker-archive:{images.docker_archive()}"))
        self.assertIn("example.com/busybox:1", self.assert_ok(self.who.locald("image", "ls")).text)
        self.assert_prints(self.who.container("--pull", "never", "example.com/busybox:1", "echo", "named"), "named\n")

    def test_import_under_a_name_of_ones_own(self):
        self.assert_ok(self.who.locald("image", "import", images.image(), "localhost/mine:2"))
        self.assert_prints(self.who.container("--pull", "never", "localhost/mine:2", "echo", "mine"), "mine\n")

    def test_a_docker_archive_runs_directly(self):
        done = self.who.container(f"docker-archive:{images.docker_archive()}", "echo", "archived")
        self.assert_prints(done, "archived\n")

    def test_export_to_a_tar_that_skopeo_reads(self):
        self.assert_ok(self.who.locald("image", "import", images.image(), "localhost/out:1"))
        target = self.who.home / "out.tar"
        self.assert_ok(self.who.locald("image", "export", "localhost/out:1", target))
        done = self.assert_ok(self.who.run(["skopeo", "inspect", "--raw", f"oci-archive:{target}"]))
        self.assertIn("layers", json.loads(done.text))
        with tarfile.open(target) as tar:
            self.assertIn("oci-layout", [name.removeprefix("./") for name in tar.getnames()])
        target.unlink()

    def test_export_to_stdout_and_back(self):
        self.assert_ok(self.who.locald("image", "import", images.image()))
        data = self.assert_ok(self.who.locald("image", "export", images.image(), "-")).out
        path = self.who.write("back.tar", data)
        self.assert_ok(self.who.locald("image", "rm", images.image()))
        self.assert_ok(self.who.locald("image", "import", f"oci-archive:{path}"))
        self.assert_prints(self.who.container("--pull", "never", f"oci-archive:{path}", "echo", "back"), "back\n")

    def test_an_image_changed_in_its_directory_is_seen(self):
        layout, _ = images.write_layout(f"changing-{self.kind}", [images.base_layer()], {"Cmd": ["echo", "one"]})
        self.assert_prints(self.who.container(f"oci:{layout}"), "one\n")
        images.write_layout(f"changing-{self.kind}", [images.base_layer()], {"Cmd": ["echo", "two"]})
        self.assert_prints(self.who.container(f"oci:{layout}"), "two\n")

    def test_two_runs_at_once_unpack_once(self):
        first = self.who.start("container", "run", "--rm", images.image(), "echo", "a")
        second = self.who.start("container", "run", "--rm", images.image(), "echo", "b")
        self.assert_prints(self.finish(first), "a\n")
        self.assert_prints(self.finish(second), "b\n")


@for_each("root", "user", "plain")
class Unpacked:
    """What a container sees of an image with everything that a layer can say."""

    name = property(lambda self: f"oci:{images.layered()}")

    def sh(self, script):
        return self.assert_ok(self.who.container(self.name, "sh", "-c", script)).text

    def test_whiteouts_and_opaque_directories(self):
        self.assertEqual(self.sh("ls -d gone tree/gone opaque/old opaque/sub 2>/dev/null; ls opaque tree"),
                         "opaque:\nnew\n\ntree:\nkept\n")

    def test_a_file_becomes_a_directory_and_back(self):
        self.assertEqual(self.sh("cat becomes-directory/inner becomes-file"), "in\nnow a file\n")

    def test_links(self):
        self.assertEqual(self.sh("cat hard absolute; readlink absolute; stat -c %F pipe; [ hard -ef kept ] && echo same"),
                         "kept\nkept\n/kept\nfifo\nsame\n")

    def test_modes_and_long_names(self):
        self.assertEqual(self.sh("stat -c %a setuid /tmp; cat long/*/*"), "4755\n1777\nlong\n")

    def test_owners(self):
        expected = "0:0\n" if self.kind == "plain" else "1234:5678\n"
        self.assertEqual(self.sh("stat -c %u:%g owned"), expected)

    def test_the_single_id_map_warns_about_what_is_lost(self):
        done = self.assert_ok(self.who.container(self.name, "true"))
        if self.kind == "plain":
            self.assertRegex(done.errors, r"warning: .*(subuid|owner)")
        else:
            self.assertEqual(done.own_errors, "")
            self.assertNotIn("subuid", done.errors)

    def test_owners_on_the_host_are_the_callers_ranges(self):
        found = [path for path in self.who.store.glob("layers/*/*/diff/owned")]
        if not found:
            self.sh("true")
            found = [path for path in self.who.store.glob("layers/*/*/diff/owned")]
        owner = found[0].stat()
        if self.kind == "root":
            self.assertEqual((owner.st_uid, owner.st_gid), (1234, 5678))
        elif self.kind == "plain":
            self.assertEqual((owner.st_uid, owner.st_gid), (self.who.uid, self.who.gid))
        else:
            with open("/etc/subuid", encoding="ascii") as table:
                first = next(int(line.split(":")[1]) for line in table if line.startswith(f"{self.who.name}:"))
            self.assertEqual(owner.st_uid, first + 1234 - 1)


@for_each("root", "user")
class Debian:
    """A whole distribution, as debootstrap makes it."""

    def test_it_runs_with_its_own_programs_and_accounts(self):
        name = f"oci:{images.debian()}:bookworm"
        script = "set -e; . /etc/os-release; echo $VERSION_CODENAME; dpkg -l | grep -c ^ii; su -s /bin/sh nobody -c 'id -u'; stat -c %U:%G /var/mail"
        done = self.assert_ok(self.who.container(name, "bash", "-c", script, timeout=180))
        lines = done.text.splitlines()
        self.assertEqual((lines[0], lines[2], lines[3]), ("bookworm", "65534", "root:mail"), done)
        self.assertGreater(int(lines[1]), 80)
