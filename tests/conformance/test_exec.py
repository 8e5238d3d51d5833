"""exec into containers whose root is not that of a mount namespace of their own."""

import os
import subprocess

from tests.conformance.bundle import NAMESPACES, BundleTest


class TestRoot(BundleTest):
    def look_around(self, bundle, *words):
        (bundle.dir / "rootfs/marker").touch()
        self.ok(bundle.call("run", "-d", *words))
        done = self.ok(bundle.call("exec", after=("sh", "-c", "ls / | grep -x -e marker -e home; pwd")))
        self.assertEqual(done.out, "marker\n/\n")

    def without_mounts(self, line, **kwargs):
        bundle = self.bundle("shim", line, namespaces=[kind for kind in NAMESPACES if kind != "mount"], **kwargs)
        bundle.config["mounts"] = []
        bundle.write()
        return bundle

    def test_of_a_container_that_pivoted(self):
        self.look_around(self.bundle("shim", "sleep 300"))

    def test_of_a_container_without_pivot_root(self):
        self.look_around(self.bundle("shim", "sleep 300"), "--no-pivot")

    def test_of_a_container_without_a_mount_namespace(self):
        self.look_around(self.without_mounts("sleep 300"))

    def test_of_a_container_in_the_mount_namespace_of_another(self):
        holder = subprocess.Popen(["unshare", "--mount", "sleep", "300"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        host = os.readlink("/proc/self/ns/mnt")
        self.wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/mnt") != host)
        bundle = self.without_mounts("sleep 300")
        bundle.config["linux"]["namespaces"].append({"type": "mount", "path": f"/proc/{holder.pid}/ns/mnt"})
        bundle.write()
        self.look_around(bundle)
