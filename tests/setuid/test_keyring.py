"""The caller's keys (Kerberos tickets, say) hang on his session keyring, which a process inherits: no program of the configuration's
or the image's that runs inside may have it, whichever way it is started."""

import ctypes

from tests.setuid.support import SYS, SetuidCase, build_program

JOIN_SESSION_KEYRING, SESSION_KEYRING = 1, -3


def with_a_key():
    libc = ctypes.CDLL(None)
    libc.syscall(SYS["keyctl"], JOIN_SESSION_KEYRING, None)
    libc.syscall(SYS["add_key"], b"user", b"locald-secret", b"secret", 6, SESSION_KEYRING)


class Keyring(SetuidCase):
    FOUND, HIDDEN = "key: secret\n", "key: ENOKEY\n"

    def setUp(self):
        super().setUp()
        self.find = ["/bin/attempt", "key", "locald-secret"]
        program = build_program("attempt")
        self.assertEqual(self.who.run([program, *self.find[1:]], preexec_fn=with_a_key).text, self.FOUND, "the attack itself")

    def keyed(self, *args):
        return self.bundle(*args, programs=["attempt"])

    def test_the_first_program_has_not_the_callers_keys(self):
        bundle = self.keyed(*self.find)
        self.assertEqual(self.assert_runs(bundle, preexec_fn=with_a_key), self.HIDDEN)
        self.assertEqual(self.run_bundle(bundle, "--no-new-keyring", preexec_fn=with_a_key).text, self.FOUND)

    def test_a_program_that_is_added_has_not_the_callers_keys(self):
        for option, said in ((), self.HIDDEN), (("--no-new-keyring",), self.FOUND):
            with self.subTest(option=option):
                _, _, name = self.start(self.keyed("sleep", "100"), *option)
                done = self.who.shim("exec", name, *self.find, preexec_fn=with_a_key)
                self.assertEqual((done.code, done.text), (0, said), done)

    def test_hooks_inside_have_not_the_callers_keys(self):
        for kind, path in (("createContainer", build_program("attempt")), ("startContainer", "/bin/attempt")):
            with self.subTest(hook=kind):
                bundle = self.keyed("true")
                bundle.config["hooks"] = {kind: [{"path": str(path), "args": self.find}]}
                out = self.who.write(f"said-{kind}", "", 0o666)
                bundle.config["annotations"] = {"run.oci.hooks.stdout": str(out)}
                bundle.write()
                self.assert_runs(bundle, preexec_fn=with_a_key)
                self.assertEqual(out.read_text(), self.HIDDEN)
                out.write_text("")
                self.assertEqual(self.run_bundle(bundle, "--no-new-keyring", preexec_fn=with_a_key).code, 0)
                self.assertTrue(out.read_text().endswith(self.FOUND))
