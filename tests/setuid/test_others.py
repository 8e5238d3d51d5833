"""What a user can do to processes, sockets and states of others through states that he writes himself, and his own that he swaps
while they are in use. Every state is his to forge: only the kernel's word counts."""

import json
import os
import socket
import subprocess
from pathlib import Path

from tests.setuid.support import Done, SetuidCase, processes, user, wait_until, world


def start_time(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


class Forged(SetuidCase):
    """A state that names a process which is not the container's."""

    def forge(self, pid, started):
        name = self.new_id()
        self.assertEqual(self.who.shim("create", "--bundle", self.bundle("sleep", "100").dir, name).code, 0)
        self.assertEqual(self.who.shim("start", name).code, 0)
        path = self.who.state / name / "state.json"
        honest = path.read_text()
        record = json.loads(honest)
        record.update(pid=pid, startTime=started)
        path.write_text(json.dumps(record) + "\n")

        def restore():
            if path.exists():
                path.write_text(honest)
            self.who.shim("delete", "--force", name)
        self.addCleanup(restore)
        return name

    def victim(self, who):
        process = who.popen(["sleep", "100"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end, process)
        self.assertTrue(wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"))
        return process

    def kill(self, name, shim=None):
        for words in (("kill", name, "KILL"), ("kill", "--all", name, "KILL"), ("exec", name, "kill", "-9", "-1"), ("pause", name)):
            self.who.shim(*words, shim=shim)

    def test_a_number_that_was_given_to_another_process_gets_no_signal(self):
        mine = self.victim(self.who)
        self.kill(self.forge(mine.pid, start_time(mine.pid) - 1))
        self.assertIsNone(mine.poll())

    def test_it_would_get_one_if_its_start_were_not_compared(self):
        mine = self.victim(self.who)
        self.who.shim("kill", self.forge(mine.pid, start_time(mine.pid)), "KILL")
        self.assertEqual(mine.wait(10), -9, "his own process, truly named: the state itself is believed")
        mine = self.victim(self.who)
        self.who.shim("kill", self.forge(mine.pid, start_time(mine.pid) - 1), "KILL", shim=world().weak("number"))
        self.assertEqual(mine.wait(10), -9)

    def test_a_process_of_another_user_gets_no_signal_and_no_company(self):
        theirs = self.victim(user("other"))
        for pid in (theirs.pid, 1, os.getpid()):
            name = self.forge(pid, start_time(pid))
            self.kill(name)
            self.assertNotEqual(self.who.shim("exec", name, "true").code, 0)
        self.assertIsNone(theirs.poll())

    def test_cgroups_of_another_user_are_neither_frozen_nor_killed_nor_removed(self):
        other, mine = user("other"), self.who
        self.who = other
        _, first, theirs = self.start(self.bundle("sleep", "100"))
        self.who = mine
        places = json.loads((other.state / theirs / "state.json").read_text())["cgroups"]
        self.assertTrue(places)
        name = self.forge(1, 0)
        path = self.who.state / name / "state.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "pid": first, "startTime": start_time(first), "cgroups": places}) + "\n")
        for words in (("pause", name), ("kill", "--all", name, "KILL"), ("update", "--pids-limit", "1", name), ("exec", name, "true"),
                      ("delete", "--force", name)):
            self.who.shim(*words)
        self.assertIn(first, processes())
        self.assertEqual(json.loads(other.shim("state", theirs).text)["status"], "running")
        for place in places:
            self.assertTrue(Path(place).is_dir(), place)


class Swapped(SetuidCase):
    def test_his_directory_of_states_is_swapped_all_the_time(self):
        """For a link to what is another's; nothing may be made, changed or removed there."""
        victim = user("other").write("victim/state.json", "kept\n")
        victim.parent.chmod(0o777)
        name, bundle = self.new_id(), self.bundle("true")
        script = (f"cd {self.who.state}; while [ ! -e .stop ]; do for kept in {name} .{name}*; do [ -d $kept ] || continue; mv $kept .kept && "
                  f"ln -s {victim.parent} $kept; rm -f $kept; mv .kept $kept; done; done")
        self.assert_runs(bundle)
        swapper = self.who.popen(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(40):
                self.who.shim("bundle", "run", "--bundle", bundle.dir, "--id", name)
                self.who.shim("delete", "--force", name)
        finally:
            (self.who.state / ".stop").write_text("")
            swapper.wait(20)
            (self.who.state / ".stop").unlink()
        self.assertEqual((victim.read_text(), os.listdir(victim.parent)), ("kept\n", ["state.json"]))
        for path in list(self.who.state.iterdir()):
            self.who.run(["rm", "-rf", path])
        self.assert_runs(bundle)

    def test_his_place_cannot_be_swapped_by_him(self):
        self.assert_runs(self.bundle("true"))
        for words in (["mv", self.who.state, f"{self.who.state}x"], ["ln", "-s", "/etc", f"/run/locald/{user('other').uid}x"],
                      ["rmdir", self.who.state], ["mkdir", f"/run/locald/{self.who.uid + 1}"]):
            self.assertNotEqual(self.who.run(words).code, 0, words)


class Planted(SetuidCase):
    """/run/locald/<uid> as root may have left it wrong, in a mount namespace of the test's own."""

    def start_in(self, script, shim=None):
        bundle = self.bundle("true")
        uid = self.who.uid
        prepare = f"mkdir -p /run/locald; mount -t tmpfs -o mode=755 tmpfs /run/locald; cd /run/locald; {script}; cd /; exec \"$@\""
        argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", prepare, "sh", "setpriv", f"--reuid={uid}", f"--regid={self.who.gid}",
                "--clear-groups", "--", shim or world().shim, "bundle", "run", "--bundle", bundle.dir, "--id", self.new_id()]
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, cwd="/")
        return Done(argv, done.returncode, done.stdout, done.stderr)

    def test_a_place_that_is_wrong_is_refused(self):
        uid, other = self.who.uid, user("other").uid
        self.assertEqual(self.start_in("true").code, 0)
        for script, words in {
            f"mkdir -m 700 {uid}; chown {other} {uid}": "must be his alone",
            f"mkdir -m 755 {uid}; chown {uid} {uid}": "must be his alone",
            f"mkdir -m 1777 x; ln -s x {uid}": "directory of states",
            f"ln -s {self.who.home} {uid}": "directory of states",
            f"echo >{uid}": "directory of states",
            f"mkdir {uid}; mount -t tmpfs tmpfs {uid}": "directory of states",
            "chmod 777 .": "root's alone to write",
            f"chown {uid} .": "root's alone to write",
        }.items():
            with self.subTest(script):
                self.assert_refused(self.start_in(script), words)

    def test_a_place_of_anothers_would_be_used(self):
        script = f"mkdir -m 755 {self.who.uid}; chown {self.who.uid} {self.who.uid}"
        self.assertNotIn("must be his alone", self.start_in(script, world().weak("places")).errors)


class Consoles(SetuidCase):
    def test_a_terminal_goes_to_no_socket_of_another(self):
        """A socket that only its owner may connect to, and one below a directory that he may not enter."""
        other = user("other")
        closed = other.write("closed/x", "").parent
        os.chown(closed, other.uid, other.gid)
        for mode_of_place, mode_of_socket in ((0o755, 0o600), (0o700, 0o777)):
            path = closed / f"socket{mode_of_place:o}"
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                listener.settimeout(0.2)
                os.chown(path, other.uid, other.gid)
                path.chmod(mode_of_socket)
                closed.chmod(mode_of_place)
                bundle = self.bundle("sh")
                bundle.config["process"]["terminal"] = True
                bundle.write()
                for words in (("run", "--console-socket", path, "--bundle", bundle.dir, self.new_id()),
                              ("create", "--console-socket", path, "--bundle", bundle.dir, self.new_id())):
                    done = self.who.shim(*words)
                    self.assertNotEqual(done.code, 0)
                    self.assertIn("Permission denied", done.errors, done)
                with self.assertRaises(TimeoutError):
                    listener.accept()
                self.assertEqual(other.shim("--version").code, 0)
