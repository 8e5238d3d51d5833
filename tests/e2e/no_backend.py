"""A build without a backend, as on a platform that has none: every call says what is missing and the way out."""

import json
import unittest

from tests.e2e.support import ContainerCase


class NoBackend(ContainerCase):
    kind = "user"

    def assert_refused(self, *words):
        self.assert_error(self.who.locald(*words), 125, "container execution needs Linux", "LOCALD_BACKEND_LINUX")

    def test_container_run(self):
        self.assert_refused("container", "run", "--rm", "locald/hello")

    def test_image_verbs(self):
        self.assert_refused("image", "ls")
        self.assert_refused("image", "pull", "busybox")

    def test_bundle_prepare(self):
        self.assert_refused("bundle", "prepare", "busybox", self.who.home / "bundle")
        self.assertFalse((self.who.home / "bundle").exists())

    def test_lima_and_wsl_have_errors_of_their_own(self):
        self.assert_error(self.who.container("--backend", "lima", "busybox"), 125, "lima", "macOS")
        self.assert_error(self.who.container("--backend", "wsl", "busybox"), 125, "wsl", "Windows")

    def test_version_works_without_one(self):
        self.assert_ok(self.who.locald("version"))

    def test_doctor_says_that_nothing_can_run(self):
        done = self.who.locald("doctor", "--json")
        self.assertIn("container execution needs Linux", json.dumps(json.loads(done.text)) + done.errors, done)
        self.assertNotEqual(done.code, 0)


if __name__ == "__main__":
    unittest.main()
