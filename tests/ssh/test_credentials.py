"""A pull on another host with the credentials of this one: they are asked for when a registry wants them, and stay nowhere."""

import base64
import json
import os
import shutil
import subprocess
import threading
import unittest
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e import images
from tests.e2e.registry import Registry, login
from tests.e2e.support import IS_ROOT, SAFE_PATH, ContainerCase, actor, descendants
from tests.ssh.server import Server

WORD = "a-secret-word-of-this-host"
#: The forms that a secret has on its way.
SECRETS = [WORD.encode(), base64.b64encode(WORD.encode()), base64.b64encode(f"ann:{WORD}".encode())]

_registry = None


def registry():
    global _registry
    if _registry is None:
        _registry = Registry({"ann": WORD})
        _registry.push(images.image(), "private/busybox:1", "--dest-creds", f"ann:{WORD}")
    return _registry


def tearDownModule():
    if _registry:
        _registry.stop()


class Gate:
    """In front of a registry: keeps the first request that brings credentials waiting until it is opened."""

    def __init__(self, behind):
        self.reached, self.open = threading.Event(), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                headers = {name: self.headers[name] for name in ("Authorization", "Accept") if name in self.headers}
                if "Authorization" in headers:
                    gate.reached.set()
                    gate.open.wait(30)
                request = urllib.request.Request(f"http://{behind}{self.path}", headers=headers)
                try:
                    answer = urllib.request.urlopen(request, timeout=10)
                except urllib.error.HTTPError as error:
                    answer = error
                with answer:
                    body = answer.read()
                    self.send_response(answer.status)
                    for name in ("Content-Type", "Docker-Content-Digest", "WWW-Authenticate"):
                        if answer.headers[name]:
                            self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def holds_secret(path):
    try:
        content = Path(path).read_bytes()
    except OSError:  # gone, or a socket
        return False
    return any(secret in content for secret in SECRETS)


def processes_that_show_it():
    return [path for pid in filter(str.isdigit, os.listdir("/proc")) for path in (f"/proc/{pid}/cmdline", f"/proc/{pid}/environ")
            if holds_secret(path)]


def files_that_hold_it(*directories):
    """Directories that go away meanwhile are passed over."""
    def below(top):
        yield top
        for directory, _, names in os.walk(top):
            yield from (os.path.join(directory, name) for name in names)

    return [path for top in directories for path in map(str, below(top))
            if os.path.isfile(path) and not os.path.islink(path) and holds_secret(path)]


def files_in_tmp_of(who):
    def is_his(path):
        try:
            return os.lstat(path).st_uid == who.uid
        except FileNotFoundError:  # others come and go there
            return False
    return [path for path in (f"/tmp/{name}" for name in os.listdir("/tmp")) if is_his(path)]


@unittest.skipUnless(IS_ROOT, "needs root to run a server for another account")
class Case(ContainerCase):
    """Root types the commands, and an ordinary account is the other host."""

    kind = "root"

    def setUp(self):
        super().setUp()
        self.other = actor("user")
        self.server = Server(self.who.home / "sshd", "LogLevel DEBUG2")
        self.addCleanup(self.server.remove)
        self.there = self.other.directory("there", 0o700)
        self.addCleanup(shutil.rmtree, self.there, ignore_errors=True)
        self.other.lend_modules("there")
        self.server.admit(self.other.name, self.who.home, self.who.uid, self.who.gid,
                          {**self.other.session, "XDG_DATA_HOME": self.there})
        self.addCleanup(shutil.rmtree, self.who.home / ".ssh")
        self.env = {"LOCALD_HOST": self.server.url(self.other.name)}
        self.addCleanup(self.end)
        self.name = f"{registry().host}/private/busybox:1"

    def end(self):
        self.locald("host", "disconnect")
        shutil.rmtree(self.who.runtime / "locald/.hosts", ignore_errors=True)
        self.wait_for(lambda: not [line for line in descendants().values() if " agent --" in line], "end of the agents")

    def locald(self, *words, env=None, **kwargs):
        return self.who.locald(*words, env={**self.env, **(env or {})}, **kwargs)

    def logged_in(self, word=WORD, host=None):
        config = login(self.who, host or registry(), "ann", word)
        self.addCleanup(shutil.rmtree, config)
        return {"DOCKER_CONFIG": str(config)}

    def helper(self, body):
        """Of this host: a credential program, which writes down that it ran; and the environment that has it."""
        place = self.who.directory("helper")
        self.addCleanup(shutil.rmtree, place)
        program = place / "docker-credential-test"
        program.write_text(f"#!/bin/sh\ncat >> {place}/asked\n{body}\n")
        program.chmod(0o755)
        (place / "config.json").write_text(json.dumps({"credHelpers": {registry().host: "test"}}))
        return place / "asked", {"DOCKER_CONFIG": str(place), "PATH": f"{place}:{SAFE_PATH}"}


class Used(Case):
    def test_every_way_of_a_pull(self):
        login_here = self.logged_in()
        for words in (("image", "pull"), ("container", "run", "--rm", "--pull", "always"),
                      ("container", "run", "-d", "--rm", "--pull", "always")):
            command = [*words, self.name, *(["true"] if "run" in words else [])]
            self.assert_error(self.locald(*command), 125, "private/busybox", "docker login", "config.json.* on this host")
            self.assert_ok(self.locald(*command, env=login_here))
            self.wait_for(lambda: "busybox" not in self.locald("container", "ls").text, "end of the container")
        self.assertIn(self.name, self.locald("image", "ls").text)

    def test_a_helper_is_asked_when_something_is_pulled_and_then_once(self):
        asked, env = self.helper(f"""echo '{{"Username": "ann", "Secret": "{WORD}"}}'""")
        run = ["container", "run", "--rm", self.name, "true"]
        self.assert_ok(self.locald(*run, env=env))
        self.assertEqual(asked.read_text(), registry().host + "\n")
        self.assert_ok(self.locald(*run, env=env))
        self.assert_ok(self.locald("image", "ls", env=env))
        self.assertEqual(asked.read_text(), registry().host + "\n")

    def test_a_helper_that_fails_is_told_and_nothing_else_is_tried(self):
        _, env = self.helper("echo 'the vault is shut'; exit 3")
        self.assert_error(self.locald("image", "pull", self.name, env=env), 125, "docker-credential-test", "the vault is shut")

    def test_the_other_hosts_own_files_are_not_taken(self):
        token = base64.b64encode(f"ann:{WORD}".encode()).decode()
        own = self.other.write(".docker/config.json", json.dumps({"auths": {registry().host: {"auth": token}}}))
        self.addCleanup(shutil.rmtree, own.parent)
        self.assert_error(self.locald("image", "pull", self.name), 125, "docker login", "on this host")
        self.assert_error(self.locald("container", "run", "--rm", self.name, "true"), 125, "docker login")

    def test_the_next_pull_does_not_have_them(self):
        self.assert_ok(self.locald("image", "pull", self.name, env=self.logged_in()))
        self.assert_error(self.locald("image", "pull", self.name), 125, "docker login")

    def test_a_wrong_password_is_told_with_its_place_and_not_shown(self):
        done = self.locald("--debug", "image", "pull", self.name, env=self.logged_in("another-" + WORD))
        self.assertEqual(done.code, 125, done)
        self.assertRegex(done.errors, "does not accept the credentials from .*/config.json on this host")
        self.assertNotIn(WORD, done.errors + done.text)


class Nowhere(Case):
    def found(self):
        """Where it is of all that is the other host's: his files, what the server logs, and every process."""
        return files_that_hold_it(self.other.home, self.there, self.server.dir, "/run/locald", *files_in_tmp_of(self.other)) \
            + processes_that_show_it()

    def test_the_search_finds_what_is_there(self):
        planted = self.other.write("planted", f"word {WORD}\n")
        self.addCleanup(planted.unlink)
        script = ["python3", "-c", "input()"]
        with subprocess.Popen(script, stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"], "WORD": WORD}) as environ, \
                subprocess.Popen([*script, WORD], stdin=subprocess.PIPE) as cmdline:
            wanted = {str(planted), f"/proc/{environ.pid}/environ", f"/proc/{cmdline.pid}/cmdline"}
            self.wait_for(lambda: wanted <= set(self.found()), "what was planted")
            for process in (environ, cmdline):
                process.communicate(b"\n")

    def look_during(self, *words):
        gate = Gate(registry().host)
        self.addCleanup(gate.close)
        command = ["--debug", *words, f"{gate.host}/private/busybox:1", *(["true"] if "run" in words else [])]
        env = self.logged_in(host=gate)
        result = []
        puller = threading.Thread(target=lambda: result.append(self.locald(*command, env=env)))
        puller.start()
        try:
            self.assertTrue(gate.reached.wait(20), "nobody logged in")
            during = self.found()
        finally:
            gate.open.set()
            puller.join()
        self.assert_ok(result[0])
        self.assertEqual((during, self.found()), ([], []))
        self.wait_for(lambda: "busybox" not in self.locald("container", "ls").text, "end of the container")
        self.assertFalse(any(secret in result[0].out + result[0].err for secret in SECRETS))

    def test_nothing_holds_or_shows_them_during_a_pull_and_after(self):
        self.look_during("image", "pull")

    def test_nor_does_a_keeper(self):
        self.look_during("container", "run", "-d", "--rm")
