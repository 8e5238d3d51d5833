"""The filter that a setuid start gives to a configuration that names none, and who is left alone: whoever names one, root, and a
start without the bit."""

import json
import subprocess

from tests.setuid.support import Done, SetuidCase, wait_until, world

# Of no rights, so without a filter the kernel lets everybody do it.
LOOK = "grep Seccomp: /proc/self/status; unshare -U true && echo unshared"
FILTERED, OPEN = "Seccomp:\t2\n", "Seccomp:\t0\nunshared\n"
ALLOW_ALL = {"defaultAction": "SCMP_ACT_ALLOW"}


class Seccomp(SetuidCase):
    kind = "plain"  # whose map, his own id alone, may stand in a configuration for root and for a start without the bit

    def looking(self, *args, seccomp=None, **changes):
        bundle = self.bundle(*(args or ("sh", "-c", LOOK)), **changes)
        (bundle.dir / "rootfs/bin/unshare").symlink_to("busybox")
        del bundle.config["linux"]["seccomp"]
        if seccomp:
            bundle.config["linux"]["seccomp"] = seccomp
        maps = {"uidMappings": self.who.uid, "gidMappings": self.who.gid}
        bundle.config["linux"].update({name: [{"containerID": 0, "hostID": own, "size": 1}] for name, own in maps.items()})
        bundle.write()
        return bundle

    def look(self, bundle):
        done = self.run_bundle(bundle)
        self.assertIn(done.code, (0, 1), done)
        if "unshared" not in done.text:
            self.assertIn("unshare: unshare(0x10000000): Operation not permitted", done.errors)
        return done.text

    def test_a_configuration_that_names_none_gets_the_default_profile(self):
        self.assertEqual(self.look(self.looking()), FILTERED)
        self.assertEqual(self.look(self.looking()), FILTERED, "the second time out of the cache")

    def test_one_that_allows_everything_is_no_filter(self):
        self.assertEqual(self.look(self.looking(seccomp=ALLOW_ALL)), OPEN)

    def test_one_that_is_named_is_neither_edited_nor_added_to(self):
        rule = {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}
        self.assertEqual(self.look(self.looking(seccomp={**ALLOW_ALL, "syscalls": [rule]})), "Seccomp:\t2\nunshared\n")
        allow = "BgAAAAAA/38="  # BPF_RET | BPF_K, SECCOMP_RET_ALLOW
        self.assertEqual(self.look(self.looking(annotations={"run.oci.seccomp_bpf_data": allow})), "Seccomp:\t2\nunshared\n")

    def test_it_is_that_of_the_containers_capabilities(self):
        bundle = self.looking()
        bundle.config["process"]["capabilities"] = {"bounding": ["CAP_SYS_ADMIN"]}
        bundle.write()
        self.assertEqual(self.look(bundle), "Seccomp:\t2\nunshared\n")

    def test_keys_are_refused_whatever_the_capabilities(self):
        program = world().dir / "add-key"
        source = self.who.write("key.c", "#include <sys/syscall.h>\n#include <unistd.h>\n#include <errno.h>\n"
                                         'int main(void) { return syscall(SYS_add_key, "user", "x", "y", 1, -2) >= 0 ? 0 : errno; }\n')
        subprocess.run(["gcc", "-static", "-o", program, source], check=True)
        for seccomp, code in ((None, 1), (ALLOW_ALL, 0)):
            bundle = self.looking(str(program), seccomp=seccomp, root={"path": "/"})
            bundle.config["process"]["capabilities"] = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
            bundle.write()
            self.assertEqual(self.run_bundle(bundle).code, code)

    def test_create_and_exec_have_the_same(self):
        for seccomp, expected in ((None, FILTERED), (ALLOW_ALL, OPEN)):
            name = self.new_id()
            bundle = self.looking("sleep", "100", seccomp=seccomp)
            self.assertEqual(self.who.shim("create", "--bundle", bundle.dir, name).code, 0)
            self.addCleanup(self.who.shim, "delete", "--force", name)
            self.assertEqual(self.who.shim("start", name).code, 0)
            self.assertTrue(wait_until(lambda name=name: json.loads(self.who.shim("state", name).text)["status"] == "running"))
            self.assertEqual(self.who.shim("exec", name, "sh", "-c", LOOK).text, expected)
            self.assertEqual(self.who.shim("exec", name, "grep", "Seccomp:", "/proc/1/status").text, expected[:11])
            self.assertEqual(self.who.shim("delete", "--force", name).code, 0)

    def test_root_and_a_start_without_the_bit_add_none(self):
        bundle = self.looking()
        words = ("bundle", "run", "--bundle", bundle.dir, "--id")
        plain = world().install("locald-shim", "plain-shim", mode=0o755)
        self.assertEqual(self.who.shim(*words, self.new_id(), shim=plain).text, OPEN)
        state = world().dir / "root-state"
        argv = [str(word) for word in (world().shim, "--root", state, *words, self.new_id())]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        self.assertEqual(Done(argv, done.returncode, done.stdout, done.stderr).text, OPEN)

    def test_features_lists_what_is_added(self):
        annotations = json.loads(self.who.shim("features").text)["annotations"]
        added = {name.split("setuid-defaults.")[1]: value for name, value in annotations.items() if "setuid-defaults." in name}
        self.assertEqual(added, {"linux.seccomp": "default", "user.containers": "1024", "user.pids": "32768", "user.memory": "max"})


class WithGrants(SetuidCase):
    def test_a_filter_is_there_for_another_user_of_the_container_too(self):
        bundle = self.bundle("sh", "-c", LOOK)
        (bundle.dir / "rootfs/bin/unshare").symlink_to("busybox")
        del bundle.config["linux"]["seccomp"]
        bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
        bundle.write()
        self.assertEqual(self.run_bundle(bundle).text, FILTERED)
