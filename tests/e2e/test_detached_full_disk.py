"""A disk that fills up below containers in the background: they go on, their status is kept, and what their logs lack is said."""

import os
import unittest
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import IS_ROOT, ContainerCase, on_this_host_alone, world

#: The places of a store and of running containers, both small and of this shell's alone. $1 is the program, $2 the image.
PLACES = """
mount -t tmpfs -o size=48m,mode=0700 none "$XDG_DATA_HOME"
mount -t tmpfs -o size=4m,mode=0755 none /run/locald
fill() { dd if=/dev/zero of="$XDG_DATA_HOME/filler" bs=4k 2>/dev/null || dd if=/dev/zero of=/run/locald/filler bs=4k 2>/dev/null || true; }
room() { rm -f "$XDG_DATA_HOME/filler" /run/locald/filler; }
left() {
    find "$XDG_DATA_HOME/locald/detached" "$XDG_DATA_HOME/locald/containers" -mindepth 1
    find /run/locald/0 -mindepth 1 -not -name '.*' -not -path '*/.*/*'
}
"""

TALKS = ("echo before; trap 'echo after; exit 5' TERM; "
         "while :; do head -c 65536 /dev/zero | tr '\\\\0' x; sleep 0.01; done")


@unittest.skipUnless(IS_ROOT, "needs root for file systems of its own")
@on_this_host_alone("the disks are of this host")
class FullDisk(ContainerCase):
    kind = "root"

    def script(self, text):
        """Runs a shell's script where both places are small file systems of its own."""
        data = self.who.directory("small-data", 0o700)
        self.addCleanup(os.rmdir, data)
        Path("/run/locald").mkdir(mode=0o755, exist_ok=True)
        done = self.who.run(["unshare", "-m", "sh", "-ec", PLACES + text, "sh", world().locald, images.image()],
                            env={"XDG_DATA_HOME": data}, timeout=120)
        self.assertEqual(done.code, 0, done)
        return done

    def test_a_container_goes_on_and_its_status_is_kept(self):
        done = self.script(f"""
            "$1" --quiet container run -d --name talks "$2" sh -c "{TALKS}" >&2
            fill
            sleep 1
            "$1" container ls --format json | grep -o '"State":"[a-z]*"'
            "$1" container stop talks
            "$1" container wait talks
            "$1" container ls -a --format json | grep -o '"State":"[a-z]*"'
            "$1" container logs talks 2>"$HOME/tmp/missing" | (head -n 1; cat >/dev/null)
            cat "$HOME/tmp/missing" >&2
            rm "$HOME/tmp/missing"
            "$1" container rm talks
            left
        """)
        self.assertEqual(done.text.split(), ['"State":"running"', "talks", "5", '"State":"exited"', "before", "talks"], done)
        self.assertRegex(done.errors, r"\d+ bytes", done)

    def test_one_that_is_to_be_removed_goes_with_its_files(self):
        done = self.script(f"""
            "$1" --quiet container run -d --rm --name talks "$2" sh -c "{TALKS}" >&2
            fill
            sleep 0.5
            ("$1" container wait talks || echo lost) &
            sleep 0.5
            "$1" container stop talks
            wait
            "$1" container ls -aq
            left
        """)
        self.assertEqual(sorted(done.text.split()), ["5", "talks"], done)

    def test_none_is_started_any_more_and_that_leaves_nothing(self):
        done = self.script("""
            "$1" --quiet container run --rm "$2" true
            fill
            "$1" --quiet container run -d --name late "$2" sleep 100 && exit 9
            echo ended with $?
            "$1" container ls -aq
            left
            room
            "$1" --quiet container run -d --name late "$2" sleep 100
            "$1" container rm -f late
        """)
        self.assertEqual(done.text.split("\n"), ["ended with 125", "late", "late", ""], done)
        self.assertIn("No space left on device", done.errors)


if __name__ == "__main__":
    unittest.main()
