"""Bad input: one line that says what was tried on which object, the kernel's words and the remedy; nothing left."""

import contextlib
import json
import os
import subprocess

from tests.e2e import images
from tests.e2e.registry import Registry
from tests.e2e.support import IS_ROOT, NOISE, ContainerCase, for_each, on_this_host_alone, require, world


def config(**changes):
    """A config.json that works, with changes to its top level."""
    spec = {
        "ociVersion": "1.2.0", "root": {"path": "rootfs"},
        "process": {"args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    spec.update(changes)
    return spec


@for_each("root", "user")
class BadBundle:
    """What the shim says about a bundle that it cannot run."""

    def bundle(self, text, with_root=True):
        path = self.who.directory(f"bundle-{self.id().rsplit('.', 1)[-1][:30]}")
        self.addCleanup(subprocess.run, ["rm", "-rf", path], check=False)
        if text is not None:
            self.who.write(f"{path.name}/config.json", text)
        if with_root:
            self.assert_ok(self.who.run(["cp", "-r", images.rootfs(), path / "rootfs"]))
        return path

    def config(self, **changes):
        spec = config(**changes)
        if not self.who.is_root and "linux" not in changes:
            spec["linux"]["namespaces"].append({"type": "user"})
            spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": self.who.uid, "size": 1}]
            spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": self.who.gid, "size": 1}]
        return spec

    def shim(self, bundle, name="bad-1"):
        return self.who.run([world().shim, "bundle", "run", "--bundle", bundle, "--id", name])

    def test_no_config(self):
        self.assert_error(self.shim(self.bundle(None)), 125, "config.json", "No such file or directory")

    def test_no_bundle(self):
        self.assert_error(self.shim("/no/such/bundle"), 125, "/no/such/bundle", "No such file or directory")

    def test_broken_json_names_the_place(self):
        self.assert_error(self.shim(self.bundle('{"ociVersion": "1.2.0", ')), 125, "config.json")

    def test_an_empty_file(self):
        self.assert_error(self.shim(self.bundle("")), 125, "config.json")

    def test_a_wrong_type_names_the_field(self):
        spec = self.config(process={"args": "true", "cwd": "/"})
        self.assert_error(self.shim(self.bundle(json.dumps(spec))), 125, r"process\.args", "expected")

    def test_a_wrong_number_names_the_field(self):
        spec = config(linux={"namespaces": [{"type": "user"}], "uidMappings": [{"containerID": 0, "hostID": 0, "size": -1}]})
        self.assert_error(self.shim(self.bundle(json.dumps(spec))), 125, r"linux\.uidMappings\[0\]\.size")

    def test_no_process(self):
        spec = self.config()
        del spec["process"]
        self.assert_error(self.shim(self.bundle(json.dumps(spec))), 125, "process")

    def test_no_root_filesystem(self):
        done = self.shim(self.bundle(json.dumps(self.config()), with_root=False))
        self.assert_error(done, 125, "rootfs", "No such file or directory")

    def test_a_mount_type_that_the_kernel_lacks(self):
        spec = self.config(mounts=[{"destination": "/data", "type": "nosuchfs", "source": "none"}])
        self.assert_error(self.shim(self.bundle(json.dumps(spec))), 125, "nosuchfs on /data", "no file system")

    def test_an_id_that_is_not_allowed(self):
        bundle = self.bundle(json.dumps(self.config()))
        for name in ("../escape", "", "-dash", "a/b", "x" * 129, "new\nline"):
            with self.subTest(name):
                self.assert_error(self.shim(bundle, name), 125, "id")

    def test_the_config_works_otherwise(self):
        self.assertEqual(self.shim(self.bundle(json.dumps(self.config()))).code, 0)


@for_each("root", "user")
class BadRun:
    def test_an_unknown_image_in_a_registry(self):
        registry = Registry()
        self.addCleanup(registry.stop)
        done = self.who.container(f"{registry.host}/no/such:image", "true")
        self.assert_error(done, 125, f"{registry.host}/no/such:image", "not found|unknown|404")

    def test_a_registry_that_is_not_there(self):
        self.assert_error(self.who.container("127.0.0.1:9/some/image:1", "true"), 125, "127.0.0.1:9", "Connection refused")

    def test_an_image_name_that_is_none(self):
        self.assert_error(self.who.container("UPPER//case", "true"), 125, "UPPER//case")

    def test_an_unknown_layout(self):
        self.assert_error(self.who.container("oci:/no/such/layout", "true"), 125, "/no/such/layout",
                          "No such file or directory")

    def test_an_unknown_tag_of_a_layout(self):
        self.assert_error(self.who.container(f"oci:{images.busybox()}:absent", "true"), 125, "absent")

    def test_an_unknown_archive(self):
        self.assert_error(self.who.container("docker-archive:/no/such.tar", "true"), 125, "/no/such.tar",
                          "No such file or directory")

    def test_a_file_that_is_no_archive(self):
        path = self.who.write("text.tar", "this is not a tar at all\n" * 100)
        self.assert_error(self.who.container(f"docker-archive:{path}", "true"), 125, "text.tar")

    def damaged(self, name, damage, **kwargs):
        layout, blobs = images.write_layout(f"{name}-{self.kind}", [images.base_layer(), images.layer(
            images.entry("file", f"{name} {self.kind} {os.getpid()}"))], **kwargs)
        damage(blobs[1])
        return self.who.container(f"oci:{layout}", "true"), blobs[1].name

    def test_a_digest_that_does_not_match(self):
        def flip(path):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)

        done, hexadecimal = self.damaged("flipped", flip)
        self.assert_error(done, 125, hexadecimal[:12], "digest|match")

    def test_a_truncated_layer(self):
        done, hexadecimal = self.damaged("cut", lambda path: path.write_bytes(path.read_bytes()[:-20]))
        self.assert_error(done, 125, hexadecimal[:12])

    def test_a_missing_layer(self):
        done, hexadecimal = self.damaged("missing", lambda path: path.unlink())
        self.assert_error(done, 125, hexadecimal[:12], "No such file or directory|missing")

    def test_a_layer_cut_inside_its_tar(self):
        whole = images.layer(images.entry("big", b"x" * 100000))
        layout, _ = images.write_layout(f"cut-tar-{self.kind}", [images.base_layer(), whole[:50000]])
        self.assert_error(self.who.container(f"oci:{layout}", "true"), 125, "tar|layer|truncated|end")

    def test_layers_that_want_out_stay_in(self):
        """Names, links and hard links that point outside: the layer is refused or confined, the host is untouched."""
        target = self.who.directory("victim")
        for number, bad in enumerate((
                [images.entry(f"../../../../../..{target}/a", "x")],
                [images.entry("out", kind=b"2", linkname=str(target)), images.entry("out/b", "x")],
                [images.entry("hard", kind=b"1", linkname="../../../../../../../../etc/passwd")],
                [images.entry(f"{target}/c", "x")])):
            with self.subTest(number):
                layout, _ = images.write_layout(f"hostile-{self.kind}-{number}", [images.base_layer(), images.layer(*bad)])
                done = self.who.container(f"oci:{layout}", "true")
                self.assertIn(done.code, (0, 125), done)
                self.assertEqual(os.listdir(target), [])

    def test_a_broken_config_of_an_image(self):
        layout, _ = images.write_layout(f"env-{self.kind}", [images.base_layer()], {"Env": "not a list"})
        self.assert_error(self.who.container(f"oci:{layout}", "true"), 125, "env", "expected")

    def test_a_name_that_is_not_allowed(self):
        for name in ("../escape", "a/b", "-dash", "x" * 129):
            with self.subTest(name):
                self.assert_error(self.who.container(f"--name={name}", images.image(), "true"), 125, "name|id")

    def test_a_name_that_is_taken(self):
        first = self.who.start("container", "run", "--rm", "-i", "--name", "taken", images.image(), "sh", "-c",
                               "echo ready; cat", stdin=subprocess.PIPE)
        self.read_until(first.stdout, b"ready\n")
        self.assert_error(self.who.container("--name", "taken", images.image(), "true"), 125, "taken", "exists|in use|running|already")
        self.assertEqual(self.finish(first).code, 0)


@on_this_host_alone("the command's own mount namespace is not the container's")
class BadHost(ContainerCase):
    """A host that lacks something, made for one command in a mount namespace of its own."""

    kind = "root"

    def under(self, script, *words, env=None):
        """Runs locald in a private mount namespace after `script`."""
        return self.who.run(["unshare", "-m", "sh", "-ec", f'{script}; exec "$@"', "sh", world().locald, *words], env=env)

    def run_with_data(self, options):
        data = self.who.directory("small-data", 0o700)
        script = f"mount -t tmpfs -o {options} none {data}"
        done = self.under(script, "container", "run", "--rm", images.image(), "true", env={"XDG_DATA_HOME": data})
        os.rmdir(data)
        return done

    def test_a_full_disk(self):
        done = self.run_with_data("size=256k")
        self.assert_error(done, 125, "small-data", "No space left on device")

    def test_a_store_that_is_read_only(self):
        self.assert_error(self.run_with_data("ro"), 125, "small-data", "Read-only file system")

    def test_a_present_image_in_a_store_that_is_read_only(self):
        data = self.who.directory("frozen-data", 0o700)
        script = (f'mount -t tmpfs none {data}; "$@" || exit 9; mount -o remount,ro {data}; "$@"; exit $?')
        done = self.who.run(["unshare", "-m", "sh", "-c", script, "sh", world().locald, "--quiet", "container", "run",
                             images.image(), "true"], env={"XDG_DATA_HOME": data})
        os.rmdir(data)
        self.assert_error(done, 125, "frozen-data", "Read-only file system; .*XDG_DATA_HOME")

    def test_a_full_disk_leaves_a_store_that_works_when_there_is_room(self):
        data = self.who.directory("growing-data", 0o700)
        script = (f'mount -t tmpfs -o size=256k none {data}; "$@" && exit 9; mount -o remount,size=64m {data}; '
                  f'ls {data}/locald/tmp | wc -l >&2; "$@"; exit $?')
        done = self.who.run(["unshare", "-m", "sh", "-c", script, "sh", world().locald, "container", "run", "--rm",
                             images.image(), "echo", "again"], env={"XDG_DATA_HOME": data})
        os.rmdir(data)
        self.assertEqual((done.code, done.text), (0, "again\n"), done)
        self.assertIn("\n0\n", "\n" + done.errors)

    def test_no_cgroup(self):
        done = self.under("umount -R /sys/fs/cgroup", "container", "run", "--rm", images.image(), "echo", "fine")
        self.assertEqual((done.code, done.text), (0, "fine\n"), done)
        self.assertRegex(done.errors, "^warning: .*cgroup|warning: .*cgroup")

    def test_no_cgroup_but_a_limit(self):
        done = self.under("umount -R /sys/fs/cgroup", "container", "run", "--rm", "-m", "64m", images.image(), "true")
        self.assert_error(done, 125, "cgroup", "memory")

    def test_a_cgroup_that_is_read_only(self):
        script = "for m in $(awk '$2 ~ /^.sys.fs.cgroup/ {print $2}' /proc/mounts); do mount -o remount,bind,ro $m; done"
        done = self.under(script, "container", "run", "--rm", "-m", "64m", images.image(), "true")
        self.assert_error(done, 125, "cgroup", "Read-only file system")


@on_this_host_alone("the faults are of the command's own host")
class BadHostForAUser(ContainerCase):
    kind = "user"

    def test_no_user_namespaces(self):
        """max_user_namespaces of a user namespace around the user is his limit."""
        require(IS_ROOT, "root to forbid namespaces")
        become = f"exec setpriv --reuid {self.who.uid} --regid {self.who.gid} --clear-groups"
        # Mapped before the second program starts, which therefore has the namespace's rights.
        script = 'echo ready; read go; exec sh -ec "$0" sh "$@"'
        inner = f'echo 0 > /proc/sys/user/max_user_namespaces; {become} "$@" </dev/null'
        process = subprocess.Popen(
            ["unshare", "-U", "sh", "-ec", script, inner, world().locald, "container", "run", "--rm", "locald/hello"],
            env=self.who.environment(), cwd=self.who.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{process.pid}/{name}", "w", encoding="ascii") as table:
                table.write("0 0 4294967295")
        out, err = process.communicate(b"go\n", timeout=60)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        self.assertEqual((done.returncode, done.stdout), (125, b""), done)
        lines = NOISE.sub("", done.stderr.decode()).splitlines()
        self.assertEqual(len(lines), 1, done)
        self.assertRegex(lines[-1], "user namespace")
        self.assertRegex(lines[-1], "No space left on device|Operation not permitted")
        self.assertRegex(lines[-1], "max_user_namespaces|sysctl")

    def test_a_store_of_somebody_else(self):
        require(IS_ROOT, "root to make a foreign directory")
        data = self.who.home / "foreign"
        data.mkdir()
        data.chmod(0o755)
        self.addCleanup(os.rmdir, data)
        done = self.who.container("locald/hello", env={"XDG_DATA_HOME": data})
        self.assert_error(done, 125, str(data), "Permission denied")

    def test_a_state_directory_that_others_may_write(self):
        runtime = self.who.directory("loose", 0o700)
        loose = self.who.directory("loose/locald", 0o777)
        done = self.who.container("locald/hello", env={"XDG_RUNTIME_DIR": runtime})
        self.assert_error(done, 125, str(loose), "mode|permissions|0?777")
        os.rmdir(loose)

    def test_the_shim_is_not_beside_the_command(self):
        alone = self.who.directory("alone")
        self.who.write("alone/locald", world().locald.read_bytes()).chmod(0o755)
        done = self.who.run([alone / "locald", "container", "run", "--rm", "locald/hello"])
        (alone / "locald").unlink()
        self.assert_error(done, 125, "locald-shim", "alone")

    def test_a_shim_of_another_version(self):
        other = self.who.directory("other")
        self.who.write("other/locald", world().locald.read_bytes()).chmod(0o755)
        self.who.write("other/locald-shim", "#!/bin/sh\necho 99.0.0\n").chmod(0o755)
        done = self.who.run([other / "locald", "container", "run", "--rm", "locald/hello"])
        self.assert_error(done, 125, "locald-shim", r"99\.0\.0")
        for name in ("locald", "locald-shim"):
            with contextlib.suppress(OSError):
                (other / name).unlink()
