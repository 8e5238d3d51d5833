"""crun's run.oci.delegate-cgroup: the container's first process is below the cgroup that has the limits, which is the root of its
cgroup namespace."""

import unittest

from tests.conformance.bundle import NAMESPACES, BundleTest
from tests.conformance.support import call, v1_view, v2_view

MIB = 1 << 20
CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "rw"]}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
KEY = "run.oci.delegate-cgroup"


class Delegated(BundleTest):
    """Under a view of version 2 alone, the same for both runtimes."""

    def delegated(self, runtime, line, place="payload", **linux):
        bundle = self.bundle(runtime, line, (*NAMESPACES, "cgroup"))
        bundle.config["mounts"] += [SYS, CGROUPS]
        (bundle.dir / "rootfs/sys").mkdir()
        bundle.config["annotations"] = {KEY: place}
        bundle.config["linux"].update(linux, resources={"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}]})
        bundle.write()
        return bundle

    def run_it(self, bundle, after="true"):
        """`run`, then what is left on the host, in the same view."""
        words = bundle.words("run", "--bundle", bundle.dir, bundle.id)
        line = '"$@"; code=$?; find /sys/fs/cgroup -name "$0*" >&2; exit $code'
        return call([*v2_view(), "sh", "-c", line, bundle.id, *words])

    def told_inside(self, **linux):
        line = ("cat /proc/self/cgroup | grep ^0; cd /sys/fs/cgroup; ls -d payload*; cat cgroup.procs cgroup.subtree_control "
                "hugetlb.2MB.max payload/hugetlb.2MB.max")
        return {name: self.ok(self.run_it(self.delegated(name, line, **linux))) for name in ("shim", "crun")}

    def test_the_process_is_below_its_limits_as_with_crun(self):
        told = self.told_inside()
        self.assertEqual((told["shim"].out, told["shim"].err), (told["crun"].out, ""))
        *lines, unlimited = told["shim"].out.splitlines()
        self.assertEqual(lines, ["0::/payload", "payload", "hugetlb", str(2 * MIB)])
        self.assertNotEqual(unlimited, str(2 * MIB))

    def test_root_of_a_user_namespace_owns_both_and_makes_more(self):
        ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        line = ("cd /sys/fs/cgroup; busybox mkdir more payload/less && echo $$ > more/cgroup.procs && cat /proc/self/cgroup | grep ^0; "
                "echo 1 > hugetlb.2MB.max")
        bundle = self.delegated("shim", line, uidMappings=ids, gidMappings=ids)
        bundle.config["linux"]["namespaces"].append({"type": "user"})
        bundle.write()
        bundle.dir.chmod(0o755)
        done = self.run_it(bundle)
        self.assertEqual((done.out, done.code), ("0::/more\n", 1), done)
        self.assertIn("hugetlb.2MB.max: Permission denied", done.err)

    def test_the_other_verbs_act_on_the_cgroup_above(self):
        bundle = self.delegated("shim", "sleep 1000", "deep/payload")
        verbs = ["run --detach --bundle $1 $0", "exec $0 cat /proc/self/cgroup | grep ^0", "pause $0", "state $0 | grep -o paused",
                 "resume $0", "update --resources $1/change $0",
                 "cat /sys/fs/cgroup/$0/hugetlb.2MB.max", "ps -f json $0 | wc -w", "delete --force $0",
                 "find /sys/fs/cgroup -name $0"]
        (bundle.dir / "change").write_text('{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}')
        shim = " ".join(map(str, bundle.words("")))
        line = "; ".join(verb if verb.startswith(("cat", "find")) else f"{shim} {verb}" for verb in verbs)
        done = call([*v2_view(), "sh", "-c", line, bundle.id, bundle.dir])
        # exec: controllers are handed on, so that nobody may be in the cgroup above any more.
        self.assertEqual((done.out.splitlines(), done.err), (["0::/deep/payload", "paused", str(4 * MIB), "1"], ""), done)

    def test_exec_is_never_a_moment_outside(self):
        """Nobody may be in the cgroup above any more, so the process cannot be born there; then it must wait until it was moved."""
        bundle = self.delegated("shim", "sleep 1000")
        shim = " ".join(map(str, bundle.words("")))
        line = (f"{shim} run --detach --bundle $1 $0; i=0; while [ $i -lt 40 ]; do i=$((i + 1)); "
                f"{shim} exec $0 cat /proc/self/cgroup | grep ^0; done | sort -u; {shim} delete --force $0")
        done = call([*v2_view(), "sh", "-c", line, bundle.id, bundle.dir])
        self.assertEqual((done.out, done.err), ("0::/payload\n", ""), done)

    def test_a_way_out_is_refused(self):
        for place in ("..", "a/../../b", "a\nb"):
            done = self.run_it(self.delegated("shim", "true", place))
            self.assertEqual(done.code, 1, done)
            self.assertIn(f"{KEY}: expected a path below the container's cgroup", done.err)

    def test_version_1_is_refused_in_cruns_words(self):
        bundle = self.delegated("shim", "true")
        done = call([*v1_view(), *bundle.words("run", "--bundle", bundle.dir, bundle.id)])
        if v1_view():
            self.assertEqual(done.code, 1, done)
            self.assertIn("not supported on cgroup v1", done.err)


if __name__ == "__main__":
    unittest.main()
