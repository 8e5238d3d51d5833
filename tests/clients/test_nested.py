"""An engine with the shim inside a container that the shim made."""

from tests.clients.support import ENGINES, IMAGE, podmans
from tests.e2e import images
from tests.e2e.support import world


@podmans("sid root", "sid user")
class Nested:
    def inside(self, command):
        """What `podman COMMAND` says within a privileged container that has podman and the shim of the host."""
        archive, home = images.docker_archive(), self.podman.home
        words = f"{ENGINES}/sid/bin/podman --tmpdir /run/inner/t --root /run/inner/store --runroot /run/inner/r --storage-driver vfs"
        script = f"mkdir -p /run/inner/tmp && {words} load -qi {archive} >/dev/null && {words} {command}"
        places = [option for path in (ENGINES, world().bin, archive.parent, home) for option in ("-v", f"{path}:{path}:ro")]
        return self.run_it("--privileged", "--security-opt", "seccomp=unconfined", "--tmpfs", "/run", "--tmpfs", "/var", *places,
                           "-e", f"HOME={home}", "-e", f"CONTAINERS_CONF={home}/containers.conf", "-e", "TMPDIR=/run/inner/tmp",
                           "-e", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "-e", "PATH=/bin", "--", "sh", "-c", script)

    def test_an_engine_runs_a_container_in_a_container(self):
        done = self.inside(f"run --rm --cgroups=disabled --network none {IMAGE} sh -c 'echo nested; exit 3'")
        self.assertEqual((done.code, done.text), (3, "nested\n"), done)
