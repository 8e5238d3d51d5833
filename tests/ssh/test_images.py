"""Images of this host for another one and back: as natively, over a connection of their own, and only what is missing."""

import os
import shutil
import signal
import tarfile
import time
import unittest
from pathlib import Path

from tests.e2e import images
from tests.e2e.support import IS_ROOT, ContainerCase
from tests.ssh.proxy import Proxy
from tests.ssh.server import Server

MIB = 1 << 20


def random_layer(name, size):
    """A layer with one file that nothing compresses."""
    return images.layer(images.entry(name, os.urandom(size)))


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Case(ContainerCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.who.home / "sshd")
        self.addCleanup(self.server.remove)
        self.proxy = Proxy(self.server.port)
        self.addCleanup(self.proxy.close)
        self.there = self.who.directory("there", 0o700)  # the other host's data
        self.addCleanup(shutil.rmtree, self.there, ignore_errors=True)
        self.who.enter(self.server, XDG_DATA_HOME=self.there)
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        with open(self.who.home / ".ssh/known_hosts", "a") as known:
            known.write(self.server.known_line_at(self.proxy.port))
        self.store = self.there / "locald"
        self.env = {"LOCALD_HOST": self.server.url(self.who.name, self.proxy.port)}
        self.addCleanup(self.end)

    def end(self):
        self.locald("host", "disconnect")
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)
        self.wait_for(lambda: not self.agents(), "end of the agents")

    def agents(self):
        from tests.e2e.support import descendants
        return [line for line in descendants().values() if " agent --" in line]

    def locald(self, *words, **kwargs):
        return self.who.locald(*words, env=self.env, **kwargs)

    def ready(self):
        """The pair is there, so that what goes over is images alone."""
        self.assert_ok(self.locald("image", "ls"))
        self.locald("host", "disconnect")
        self.wait_for(lambda: not self.agents(), "end of the agents")

    def here(self, *words):
        return self.who.locald(*words, env={"LOCALD_HOST": ""})

    def layout(self, name, *layers):
        directory, blobs = images.write_layout(name, layers, compress=False)
        self.addCleanup(shutil.rmtree, directory)
        return directory, blobs

    def left(self):
        """What is half there."""
        return sorted(path.name for path in (self.store / "tmp").iterdir())

    def sent_by(self, *words):
        before = sum(self.proxy.sent)
        self.assert_ok(self.locald(*words))
        return sum(self.proxy.sent) - before


class Missing(Case):
    def test_only_what_is_missing_goes_over(self):
        self.ready()
        base, extra = random_layer("base", 12 * MIB), random_layer("extra", 2 * MIB)
        first, _ = self.layout("first", base)
        second, _ = self.layout("second", base, extra)
        self.assertGreater(self.sent_by("image", "import", first, "test/first:1"), 12 * MIB)
        sent = self.sent_by("image", "import", second, "test/second:1")
        self.assertGreater(sent, 2 * MIB)
        self.assertLess(sent, 3 * MIB)
        self.assertLess(self.sent_by("image", "import", second, "test/third:1"), MIB // 8)
        self.assertEqual(len(self.locald("image", "ls").text.splitlines()), 4)

    def test_an_image_of_this_host_is_copied(self):
        self.ready()
        base, extra = random_layer("base", 6 * MIB), random_layer("extra", 2 * MIB)
        for name, layers in (("one", (base,)), ("two", (base, extra))):
            layout, _ = self.layout(f"copied-{name}", *layers)
            self.assert_ok(self.here("image", "import", layout, f"test/{name}:1"))
            self.addCleanup(self.here, "image", "rm", f"test/{name}:1")
        self.assertGreater(self.sent_by("image", "copy", "test/one:1"), 6 * MIB)
        self.assertLess(self.sent_by("image", "copy", "test/two:1", "test/renamed:1"), 3 * MIB)
        here, there = [run("image", "ls").text for run in (self.here, self.locald)]
        for name in ("test/one:1", "test/renamed:1"):
            self.assertIn(f"docker.io/{name}", there)
        self.assertNotIn("test/two:1", there)
        self.assertIn("test/two:1", here)
        self.assert_error(self.locald("image", "copy", "no/such:1"), 125, "no/such:1", "not in the store")
        self.assert_error(self.here("image", "copy", "test/one:1"), 125, "which host", "--host")

    def test_the_same_of_an_archive(self):
        self.ready()
        base, extra = random_layer("base", 12 * MIB), random_layer("extra", 2 * MIB)
        for number, layers in enumerate(((base,), (base, extra))):
            directory, _ = self.layout(f"tarred-{number}", *layers)
            with tarfile.open(self.who.home / f"{number}.tar", "w") as tar:
                tar.add(directory, ".")
        self.addCleanup(lambda: [(self.who.home / f"{number}.tar").unlink() for number in (0, 1)])
        self.assertGreater(self.sent_by("image", "import", self.who.home / "0.tar", "test/first:1"), 12 * MIB)
        sent = self.sent_by("image", "import", self.who.home / "1.tar", "test/second:1")
        self.assertGreater(sent, 2 * MIB)
        self.assertLess(sent, 3 * MIB)

    def test_senders_of_the_same_blob_at_once_send_it_once(self):
        self.ready()
        directory, _ = self.layout("shared", random_layer("base", 24 * MIB))
        before = sum(self.proxy.sent)
        started = [self.who.start("image", "import", directory, f"test/shared:{number}", env=self.env) for number in range(4)]
        for process in started:
            self.assert_ok(self.finish(process, 60))
        self.assertLess(sum(self.proxy.sent) - before, 30 * MIB)
        self.assertEqual(self.left(), [])
        self.assertEqual(len(self.locald("image", "ls").text.splitlines()), 5)


class Cut(Case):
    size = 24 * MIB

    def cut(self, directory):
        self.proxy.cut_after = 16 * MIB  # of one connection
        done = self.locald("image", "import", directory, "test/cut:1")
        self.proxy.cut_after = None
        self.assert_error(done, 125, "closed|lost|reset")
        self.assertEqual(len(self.locald("image", "ls").text.splitlines()), 1)
        self.wait_for(lambda: not [line for line in self.agents() if "--bulk" in line], "end of the agent")
        [name] = self.left()
        return self.store / "tmp" / name

    def setUp(self):
        super().setUp()
        self.ready()
        self.directory, [self.blob] = self.layout("cut", random_layer("base", self.size))

    def test_a_transfer_that_was_cut_goes_on_where_it_was(self):
        begun = self.cut(self.directory)
        self.assertEqual(begun.name, f"ingest-{self.blob.name}")
        there = begun.stat().st_size
        self.assertGreater(there, 8 * MIB)
        sent = self.sent_by("image", "import", self.directory, "test/cut:1")
        self.assertLess(sent, self.size - there + MIB)
        self.assertEqual((self.store / "blobs/sha256" / self.blob.name).read_bytes(), self.blob.read_bytes())
        self.assertEqual(self.left(), [])

    def test_what_was_kept_and_is_damaged_is_sent_again(self):
        begun = self.cut(self.directory)
        with open(begun, "r+b") as file:
            file.write(b"damaged")
        self.assertGreater(self.sent_by("image", "import", self.directory, "test/cut:1"), self.size)
        self.assertEqual((self.store / "blobs/sha256" / self.blob.name).read_bytes(), self.blob.read_bytes())
        self.assertEqual(self.left(), [])

    def test_what_nobody_goes_on_with_is_collected_after_a_day(self):
        begun = self.cut(self.directory)
        for hours, left in ((23, [begun.name]), (25, [])):
            self.locald("host", "disconnect")  # a new agent looks
            os.utime(begun, (time.time() - hours * 3600,) * 2)
            self.assert_ok(self.locald("image", "ls"))
            self.assertEqual(self.left(), left)

    def start_slowly(self):
        number = len(self.proxy.sent)
        self.proxy.slow = {number: 8 * MIB}
        process = self.who.start("image", "import", self.directory, "test/cut:1", env=self.env)
        self.wait_for(lambda: self.proxy.sent[number:] and self.proxy.sent[number] > 6 * MIB, "half of it")
        return process

    def test_a_client_that_is_killed_leaves_the_same(self):
        process = self.start_slowly()
        process.kill()
        process.wait()
        self.wait_for(lambda: not self.agents(), "end of the agent")
        self.assertEqual(self.left(), [f"ingest-{self.blob.name}"])
        self.assertNotIn(self.blob.name, os.listdir(self.store / "blobs/sha256"))

    def test_one_that_is_cancelled_leaves_nothing(self):
        process = self.start_slowly()
        process.send_signal(signal.SIGINT)
        done = self.finish(process)
        self.assertEqual(done.code, 130, done)
        self.assertEqual(self.left(), [])


class Wrong(Case):
    def test_bytes_of_another_digest_are_refused(self):
        directory, [blob] = self.layout("garbage", random_layer("base", 4 * MIB))
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
        self.assert_error(self.locald("image", "import", directory, "test/garbage:1"), 125, blob.name, "damaged")
        self.assertEqual(self.left(), [])
        self.assertNotIn(blob.name, os.listdir(self.store / "blobs/sha256"))

    def test_errors_are_those_of_this_host(self):
        home = self.who.directory("wrong")
        self.addCleanup(shutil.rmtree, home)
        self.who.directory("wrong/empty")
        self.who.directory("wrong/full/inside")
        self.who.write("wrong/garbage.tar", b"no tar " * 1000)
        whole = Path(images.docker_archive()).read_bytes()
        self.who.write("wrong/short.tar", whole[:len(whole) // 2])
        os.mkfifo(home / "fifo")
        link, [blob] = self.layout("leads-out", random_layer("base", MIB))
        blob.unlink()
        blob.symlink_to("../../../../../../../../etc/hostname")
        self.assert_ok(self.here("image", "import", images.image(), "test/there:1"))
        self.assert_ok(self.locald("image", "import", images.image(), "test/there:1"))
        self.addCleanup(self.here, "image", "rm", "test/there:1")
        for words in (["import", home / "nothing"], ["import", home / "empty"], ["import", home / "garbage.tar"],
                      ["import", home / "short.tar"], ["import", f"oci-archive:{home}/fifo"], ["import", link],
                      ["import", f"docker-archive:{images.docker_archive()}:no/such:1"], ["import", "alpine"],
                      ["import", images.image(), "no name"], ["import", f"{images.image()}-not"],
                      ["export", "no/such:1", "-"], ["export", "test/there:1", f"{home}/full/"],
                      ["export", "test/there:1", f"{home}/none/there.tar"], ["export", "test/there:1", f"{home}/none/there/"]):
            with self.subTest(words=words):
                here, there = self.here("image", *words), self.locald("image", *words)
                self.assertEqual(here.code, 125, here)
                self.assertEqual((there.code, self.plain(there)), (here.code, self.plain(here)))
        self.assertEqual(self.left(), [])

    def plain(self, done):
        """Without what has a name of its own in each try, or names one of the two stores."""
        import re
        return re.sub(r"\.[A-Za-z0-9]{6}:", ".XXXXXX:", done.own_errors).replace(str(self.store), str(self.who.store))


class Export(Case):
    def setUp(self):
        super().setUp()
        for run in (self.here, self.locald):
            self.assert_ok(run("image", "import", images.image("configured"), "test/out:1"))
        self.addCleanup(self.here, "image", "rm", "test/out:1")
        self.out = self.who.directory("out")
        self.addCleanup(shutil.rmtree, self.out)

    def test_an_archive_is_the_same_byte_by_byte(self):
        here = self.here("image", "export", "test/out:1", self.out / "here.tar")
        there = self.locald("image", "export", "test/out:1", self.out / "there.tar")
        self.assertEqual((there.code, there.out, there.errors), (here.code, here.out, here.errors))
        content = (self.out / "here.tar").read_bytes()
        self.assertEqual((self.out / "there.tar").read_bytes(), content)
        self.assertEqual((self.out / "there.tar").stat().st_mode, (self.out / "here.tar").stat().st_mode)
        self.assertEqual(self.locald("image", "export", "test/out:1", "-").out, content)
        self.assertEqual(sorted(os.listdir(self.out)), ["here.tar", "there.tar"])

    def test_a_directory_is_the_same_file_by_file(self):
        for run, name in ((self.here, "here"), (self.locald, "there")):
            self.assert_ok(run("image", "export", "test/out:1", f"{self.out}/{name}/"))
        found = [{str(path.relative_to(self.out / name)): path.is_file() and path.read_bytes()
                  for path in (self.out / name).rglob("*")} for name in ("here", "there")]
        self.assertEqual(found[0], found[1])
        self.assertEqual(len(found[0]), 7)

    def test_an_import_says_what_it_says_here(self):
        layout, _ = self.layout("said", random_layer("base", 9 * MIB))
        here, there = [run("image", "import", "--json", layout, "test/said:1") for run in (self.here, self.locald)]
        self.addCleanup(self.here, "image", "rm", "test/said:1")
        self.assertEqual((there.code, there.out, there.errors), (here.code, here.out, here.errors))


class Meanwhile(Case):
    def test_a_signal_does_not_wait_for_a_layer(self):
        layout, _ = self.layout("slow", random_layer("base", 24 * MIB))
        self.assert_ok(self.locald("image", "import", images.image(), "test/signal:1"))
        script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
        process = self.who.start("--quiet", "container", "run", "test/signal:1", "sh", "-c", script, env=self.env)
        number = len(self.proxy.sent)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.proxy.slow = {len(self.proxy.sent): 2 * MIB}
        sender = self.who.start("image", "import", layout, "test/slow:1", env=self.env)
        self.wait_for(lambda: len(self.proxy.sent) > number and self.proxy.sent[-1] > 4 * MIB, "bytes on their way")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.stdout.readline(), b"got it\n")
        self.assertLess(time.monotonic() - begin, 1)
        self.assertEqual(self.finish(process).code, 3)
        self.assertIsNone(sender.poll())
        self.proxy.slow = {}
        self.assert_ok(self.finish(sender, 60))


if __name__ == "__main__":
    unittest.main()
