"""The options of `container run`: docker's meaning for each, for root and for an ordinary user alike."""

import os
import re
import socket

from tests.e2e import images
from tests.e2e.support import for_each, on_this_host_alone


@for_each("root", "user", "plain")
class Hello:
    def test_the_embedded_image_runs_without_a_network(self):
        done = self.assert_ok(self.who.container("locald/hello"))
        self.assertIn("made by locald", done.text)

    def test_the_command_ends_with_the_status_of_the_container(self):
        self.assertEqual(self.who.container(images.image(), "sh", "-c", "exit 42").code, 42)


@for_each("root", "user")
class Command:
    def test_a_command_replaces_cmd(self):
        self.assert_prints(self.who.container(images.image(), "echo", "hi", "there"), "hi there\n")

    def test_words_after_the_image_belong_to_the_command(self):
        self.assert_prints(self.who.container(images.image(), "echo", "--rm", "-it"), "--rm -it\n")

    def test_entrypoint_and_cmd_of_the_image_make_the_command(self):
        self.assert_prints(self.who.container(images.image("configured")), "entry cmd\n")

    def test_a_command_keeps_the_entrypoint_of_the_image(self):
        self.assert_prints(self.who.container(images.image("configured"), "word"), "entry word\n")

    def test_entrypoint_replaces_the_entrypoint_and_drops_cmd(self):
        done = self.who.container("--entrypoint", "/bin/pwd", images.image("configured"))
        self.assert_prints(done, "/srv/app\n")

    def test_an_image_without_a_command_says_so(self):
        layout, _ = images.write_layout(f"no-cmd-{self.kind}", [images.base_layer()], {"Cmd": None})
        self.assert_error(self.who.container(f"oci:{layout}"), 125, "command")


@for_each("root", "user")
class Environment:
    def shows(self, *words, **kwargs):
        done = self.assert_ok(self.who.container(*words, images.image(), "env", **kwargs))
        return dict(line.split("=", 1) for line in done.text.splitlines())

    def test_e_sets_a_variable(self):
        self.assertEqual(self.shows("-e", "A=1=2")["A"], "1=2")

    def test_e_with_a_name_takes_the_callers_value(self):
        self.assertEqual(self.shows("-e", "FROM_CALLER", env={"FROM_CALLER": "x y"})["FROM_CALLER"], "x y")

    def test_e_with_a_name_the_caller_has_not_sets_nothing(self):
        self.assertNotIn("NOT_THERE", self.shows("-e", "NOT_THERE"))

    def test_the_callers_environment_stays_outside(self):
        self.assertNotIn("SECRET", self.shows(env={"SECRET": "s"}))

    def test_env_file_is_read_line_by_line_and_e_wins(self):
        path = self.who.write("env", "# note\nA=file\nB=it's \"raw\"\n\nFROM_CALLER\n")
        seen = self.shows("--env-file", path, "-e", "A=flag", env={"FROM_CALLER": "c"})
        self.assertEqual((seen["A"], seen["B"], seen["FROM_CALLER"]), ("flag", "it's \"raw\"", "c"))

    def test_the_image_gives_variables_and_the_user_replaces_them(self):
        done = self.who.container("--entrypoint", "/bin/env", "-e", "COLOUR=red", images.image("configured"))
        self.assertIn("COLOUR=red\n", done.text)
        self.assertNotIn("blue", done.text)

    def test_path_home_and_hostname_are_always_there(self):
        seen = self.shows("--hostname", "box")
        self.assertEqual((seen["PATH"], seen["HOME"], seen["HOSTNAME"]), ("/usr/bin:/bin", "/root", "box"))

    def test_term_is_set_with_a_terminal_only(self):
        self.assertNotIn("TERM", self.shows())


@for_each("root", "user")
class Identity:
    def test_the_default_is_root_inside(self):
        self.assert_prints(self.who.container(images.image(), "id", "-u"), "0\n")

    def test_u_takes_names_and_numbers(self):
        for user, expected in (("app", "1000 1001"), ("app:staff", "1000 50"), ("1000", "1000 1001"), ("7:8", "7 8"),
                               ("0:staff", "0 50")):
            with self.subTest(user):
                done = self.who.container("-u", user, images.image(), "sh", "-c", "echo $(id -u) $(id -g)")
                self.assert_prints(done, expected + "\n")

    def test_supplementary_groups_come_from_the_image(self):
        done = self.assert_ok(self.who.container("-u", "app", images.image(), "id", "-G"))
        self.assertEqual(set(done.text.split()), {"1001", "50", "1002"})

    def test_an_unknown_user_is_named(self):
        self.assert_error(self.who.container("-u", "stranger", images.image(), "true"), 125, "stranger", "passwd")

    def test_the_user_of_the_image_is_used(self):
        done = self.who.container("--entrypoint", "/bin/id", images.image("configured"), "-un")
        self.assert_prints(done, "app\n")

    def test_hostname(self):
        self.assert_prints(self.who.container("--hostname", "some-box", images.image(), "hostname"), "some-box\n")
        done = self.assert_ok(self.who.container("--hostname", "some-box", images.image(), "cat", "/etc/hostname", "/etc/hosts"))
        self.assertTrue(done.text.startswith("some-box\n"), done)
        self.assertRegex(done.text, r"127\.0\.0\.1\s+localhost")

    def test_the_hosts_name_is_not_changed(self):
        before = os.uname().nodename
        self.assert_ok(self.who.container("--hostname", "some-box", images.image(), "true"))
        self.assertEqual(os.uname().nodename, before)

    def test_w_sets_and_makes_the_working_directory(self):
        self.assert_prints(self.who.container("-w", "/new/place", images.image(), "pwd"), "/new/place\n")

    def test_a_process_has_pid_one(self):
        self.assert_prints(self.who.container(images.image(), "sh", "-c", "echo $$"), "1\n")

    def test_init_is_pid_one_and_reaps(self):
        script = "(true & exec sleep 0.2) & wait; echo $$; sleep 0.3; ps -o stat,comm | grep -c '^Z' || true"
        done = self.assert_ok(self.who.container("--init", images.image(), "sh", "-c", script))
        pid, zombies = done.text.split()
        self.assertNotEqual(pid, "1")
        self.assertEqual(zombies, "0")

    def test_init_passes_the_status_on(self):
        self.assertEqual(self.who.container("--init", images.image(), "sh", "-c", "exit 9").code, 9)

    def test_name_is_the_id_and_frees_itself(self):
        for _ in range(2):
            self.assert_ok(self.who.container("--name", "my-name", images.image(), "true"))


@for_each("root", "user")
class Rights:
    def caps(self, *words):
        script = "grep CapEff /proc/self/status"
        return int(self.assert_ok(self.who.container(*words, images.image(), "sh", "-c", script)).text.split()[1], 16)

    def test_the_default_is_dockers_fourteen(self):
        self.assertEqual(self.caps(), 0x00000000A80425FB)

    def test_cap_drop_and_cap_add(self):
        self.assertEqual(self.caps("--cap-drop", "ALL"), 0)
        self.assertEqual(self.caps("--cap-drop", "all", "--cap-add", "CHOWN"), 1)
        self.assertEqual(self.caps("--cap-add", "CAP_SYS_ADMIN") & 1 << 21, 1 << 21)
        self.assertEqual(self.caps("--cap-drop", "NET_RAW") & 1 << 13, 0)

    def test_an_unknown_capability_is_named(self):
        self.assert_error(self.who.container("--cap-add", "CAP_NONSENSE", images.image(), "true"), 125, "CAP_NONSENSE")

    def test_another_user_has_no_effective_capabilities(self):
        self.assertEqual(self.caps("-u", "app"), 0)

    def test_a_seccomp_filter_is_there(self):
        done = self.assert_ok(self.who.container(images.image(), "grep", "Seccomp:", "/proc/self/status"))
        self.assertEqual(done.text.split(), ["Seccomp:", "2"])

    def test_kernel_files_are_masked_and_read_only(self):
        script = "cat /proc/kcore | wc -c; (echo 1 > /proc/sys/kernel/domainname) 2>/dev/null || echo refused"
        self.assert_prints(self.who.container(images.image(), "sh", "-c", script), "0\nrefused\n")

    def test_mounting_is_refused(self):
        done = self.who.container(images.image(), "mount", "-t", "tmpfs", "none", "/tmp")
        self.assertNotEqual(done.code, 0, done)

    def test_ulimit(self):
        done = self.who.container("--ulimit", "nofile=100:200", images.image(), "sh", "-c", "ulimit -Sn; ulimit -Hn")
        self.assert_prints(done, "100\n200\n")

    def test_ulimit_with_one_number_sets_both(self):
        done = self.who.container("--ulimit", "nofile=77", images.image(), "sh", "-c", "ulimit -Sn; ulimit -Hn")
        self.assert_prints(done, "77\n77\n")

    def test_no_descriptor_of_ours_is_inherited(self):
        done = self.assert_ok(self.who.container(images.image(), "ls", "/proc/self/fd"))
        self.assertEqual(done.text.split(), ["0", "1", "2", "3"])  # 3 is ls's own


@for_each("root", "user")
class Filesystem:
    def test_changes_stay_in_the_container(self):
        script = "echo x > /file; cat /file; rm /etc/motd"
        self.assert_prints(self.who.container(images.image(), "sh", "-c", script), "x\n")
        done = self.who.container(images.image(), "sh", "-c", "ls /file 2>/dev/null; cat /etc/motd")
        self.assert_prints(done, "busybox of the tests\n")

    def test_read_only_refuses_writes_and_leaves_tmpfs_alone(self):
        script = "touch /file 2>/dev/null || echo refused; touch /scratch/file && echo written"
        done = self.who.container("--read-only", "--tmpfs", "/scratch", images.image(), "sh", "-c", script)
        self.assert_prints(done, "refused\nwritten\n")

    def test_tmpfs_takes_options(self):
        script = "grep ' /scratch ' /proc/self/mounts; stat -c %a /scratch"
        done = self.assert_ok(
            self.who.container("--tmpfs", "/scratch:size=1m,mode=700,noexec", images.image(), "sh", "-c", script))
        self.assertRegex(done.text, r"tmpfs /scratch tmpfs .*noexec.*size=1024k")
        self.assertTrue(done.text.endswith("\n700\n"), done)

    def test_the_standard_devices_work(self):
        script = ("head -c 3 /dev/zero | od -An -tx1; echo gone > /dev/null; head -c 4 /dev/urandom | wc -c; "
                  "ls -l /dev/fd /dev/stdin /dev/shm -d | wc -l; touch /dev/shm/x && echo shm")
        self.assert_prints(self.who.container(images.image(), "sh", "-c", script), " 00 00 00\n4\n3\nshm\n")

    def test_proc_shows_the_containers_processes_only(self):
        done = self.assert_ok(self.who.container(images.image(), "sh", "-c", "ls -d /proc/[0-9]* | wc -l"))
        self.assertLess(int(done.text), 5)

    def test_shm_size(self):
        done = self.assert_ok(self.who.container("--shm-size", "2m", images.image(), "grep", "/dev/shm", "/proc/mounts"))
        self.assertIn("size=2048k", done.text)

    def test_rootfs_runs_a_plain_directory(self):
        self.assert_ok(self.who.locald("container", "run", "--rm", "--rootfs", self.own_root(), "cat", "/etc/motd"))

    def test_rootfs_is_used_in_place(self):
        root = self.own_root()
        self.assert_ok(self.who.container("--rootfs", root, "sh", "-c", "echo here > /written"))
        self.assertEqual((root / "written").read_text(), "here\n")

    def test_rootfs_that_is_not_there_is_named(self):
        self.assert_error(self.who.container("--rootfs", "/no/such/root", "true"), 125, "/no/such/root",
                          "No such file or directory")

    def own_root(self):
        root = self.who.home / "own-root"
        if not root.exists():
            self.assert_ok(self.who.run(["cp", "-r", images.rootfs(), root]))
        return root


@for_each("root", "user")
class Volumes:
    def test_v_shows_a_directory_and_takes_writes(self):
        shared = self.who.directory("shared")
        self.who.write("shared/in", "from outside\n")
        done = self.who.container("-v", f"{shared}:/data", images.image(), "sh", "-c", "cat /data/in; echo x > /data/out")
        self.assert_prints(done, "from outside\n")
        self.assertEqual((shared / "out").read_text(), "x\n")
        self.assertEqual((shared / "out").stat().st_uid, self.who.uid)

    def test_ro_refuses_writes(self):
        shared = self.who.directory("shared")
        done = self.who.container("-v", f"{shared}:/data:ro", images.image(), "sh", "-c", "touch /data/no 2>&1 || true")
        self.assertIn("Read-only file system", done.text)
        self.assertFalse((shared / "no").exists())

    def test_a_file_can_be_bound(self):
        path = self.who.write("some-file", "content\n")
        self.assert_prints(self.who.container("-v", f"{path}:/etc/motd:ro", images.image(), "cat", "/etc/motd"), "content\n")

    def test_a_relative_source_is_taken_from_here(self):
        self.who.write("here/file", "relative\n")
        done = self.who.container("-v", "./here:/data", images.image(), "cat", "/data/file", cwd=self.who.home)
        self.assert_prints(done, "relative\n")

    def test_mount_bind(self):
        shared = self.who.directory("shared")
        self.who.write("shared/file", "m\n")
        done = self.who.container("--mount", f"type=bind,source={shared},target=/data,readonly", images.image(), "sh", "-c",
                                  "cat /data/file; touch /data/no 2>/dev/null || echo refused")
        self.assert_prints(done, "m\nrefused\n")

    def test_mount_tmpfs(self):
        done = self.who.container("--mount", "type=tmpfs,target=/scratch,tmpfs-size=1m", images.image(), "sh", "-c",
                                  "touch /scratch/x; grep -c 'tmpfs /scratch' /proc/mounts")
        self.assert_prints(done, "1\n")

    def test_a_source_that_is_not_there_is_named(self):
        done = self.who.container("--mount", "type=bind,source=/no/such/thing,target=/data", images.image(), "true")
        self.assert_error(done, 125, "/no/such/thing", "No such file or directory")

    def test_a_destination_through_a_link_stays_inside(self):
        layout, _ = images.write_layout(f"escape-{self.kind}", [images.base_layer(), images.layer(
            images.entry("out", kind=b"2", linkname="/../../../../tmp"))])
        shared = self.who.directory("shared")
        self.who.write("shared/file", "inside\n")
        done = self.who.container("-v", f"{shared}:/out/deep", f"oci:{layout}", "cat", "/tmp/deep/file")
        self.assert_prints(done, "inside\n")
        self.assertFalse(os.path.exists("/tmp/deep"))

    def test_links_that_lead_nowhere_get_their_target_inside(self):
        """/etc/resolv.conf is such a link in every image made on a host with systemd-resolved."""
        layout, _ = images.write_layout(f"dangling-{self.kind}", [images.base_layer(), images.layer(
            images.entry("etc/resolv.conf", kind=b"2", linkname="../run/systemd/resolve/stub-resolv.conf"),
            images.entry("out", kind=b"2", linkname="/../../../../tmp/locald-e2e-nowhere/x"))])
        shared = self.who.directory("shared")
        self.who.write("shared/file", "inside\n")
        done = self.who.container("-v", f"{shared}:/out", f"oci:{layout}", "sh", "-c",
                                  "cat /out/file; test -s /etc/resolv.conf && readlink /etc/resolv.conf")
        self.assert_prints(done, "inside\n../run/systemd/resolve/stub-resolv.conf\n")
        self.assertFalse(os.path.exists("/tmp/locald-e2e-nowhere"))

    def test_no_pids_limit_needs_no_cgroup(self):
        self.assert_prints(self.who.container("--pids-limit", "-1", images.image(), "echo", "ok"), "ok\n")

    def test_keep_id_keeps_the_callers_own_id(self):
        if self.who.is_root:
            return
        shared = self.who.directory("shared")
        done = self.who.container("--userns", "keep-id", "-v", f"{shared}:/data", images.image(), "sh", "-c",
                                  "id -u; id -g; touch /data/kept; stat -c %u:%g /data/kept")
        self.assert_prints(done, f"{self.who.uid}\n{self.who.gid}\n{self.who.uid}:{self.who.gid}\n")
        status = (shared / "kept").stat()
        self.assertEqual((status.st_uid, status.st_gid), (self.who.uid, self.who.gid))


@for_each("root", "user")
class Network:
    def interfaces(self, *words):
        done = self.assert_ok(self.who.container(*words, images.image(), "cat", "/proc/net/dev"))
        return {line.split(":")[0].strip() for line in done.text.splitlines()[2:]}

    def test_the_network_is_the_hosts_by_default(self):
        here = set(os.listdir("/sys/class/net"))
        self.assertEqual(self.interfaces(), here)
        self.assertEqual(self.interfaces("--network", "host"), here)

    def test_none_has_a_loopback_that_is_up(self):
        self.assertEqual(self.interfaces("--network", "none"), {"lo"})
        done = self.who.container("--network", "none", images.image(), "sh", "-c", "cat /sys/class/net/lo/flags")
        self.assertEqual(int(done.text, 16) & 1, 1, done)

    def test_name_resolution_is_set_up(self):
        done = self.assert_ok(self.who.container(images.image(), "cat", "/etc/resolv.conf"))
        host = [line for line in open("/etc/resolv.conf", encoding="utf-8").read().splitlines() if line.startswith("nameserver")]
        self.assertEqual([line for line in done.text.splitlines() if line.startswith("nameserver")], host)

    def test_add_host(self):
        done = self.assert_ok(self.who.container("--add-host", "db:10.1.2.3", images.image(), "cat", "/etc/hosts"))
        self.assertTrue(re.search(r"10\.1\.2\.3\s+db", done.text), done)

    @on_this_host_alone("ports of this host lead there; tests/ssh/test_ports")
    def test_p_says_that_a_port_of_the_container_is_one_of_the_host(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            for more in ([], ["-d"]):
                done = self.who.container(*more, "-p", f"{port}:{port}", images.image(), "true")
                self.assert_error(done, 125, f"publish port {port}", "in use", r"pid \d+|user \d+", "another port")
        for words in (["-p", f"{port}:{port}"], ["-p", f"0.0.0.0:{port}:{port}"], ["--publish", f"{port}/tcp"]):
            done = self.assert_ok(self.who.container(*words, images.image(), "echo", "x"))
            self.assertEqual(done.text, "x\n")
        self.assert_error(self.who.container("-p", f"{port}:80", images.image(), "true"), 125, "host's network", "-p 80:80")
        self.assert_error(self.who.container("-p", f"127.0.0.1:{port}:{port}", images.image(), "true"), 125, "on 127.0.0.1", "itself")
        self.assert_error(self.who.container("-p", "53:53/udp", images.image(), "true"), 125, "TCP alone")

    def test_help_says_it(self):
        self.assertRegex(self.assert_ok(self.who.locald("container", "run", "--help")).text, "host's network")


@for_each("user")
class Choices:
    def test_pull_never_needs_a_present_image(self):
        done = self.who.container("--pull", "never", "127.0.0.1:1/none/such:1", "true")
        self.assert_error(done, 125, "127.0.0.1:1/none/such:1", "pull")

    def test_platform_picks_another_architecture_by_name(self):
        done = self.who.container("--platform", "linux/riscv64", images.image(), "true")
        self.assert_error(done, 125, "linux/riscv64")

    def test_backend_lima_says_what_it_needs(self):
        self.assert_error(self.who.container("--backend", "lima", images.image(), "true"), 125, "lima", "macOS")

    def test_backend_wsl_says_what_it_needs(self):
        self.assert_error(self.who.container("--backend", "wsl", images.image(), "true"), 125, "wsl", "Windows")

    def test_an_unknown_backend_is_named(self):
        self.assert_error(self.who.container("--backend", "nonsense", images.image(), "true"), 125, "nonsense")

    def test_host_over_ssh_is_its_own_error(self):
        self.assert_error(self.who.container("--host", "ssh://nobody@example.invalid", images.image(), "true"), 125, "ssh")

    def test_the_linux_backend_can_be_named(self):
        self.assert_ok(self.who.container("--backend", "linux", images.image(), "true"))

    def test_stop_signal_is_written_into_the_bundle(self):
        self.assert_error(self.who.container("--stop-signal", "SIGNONSENSE", images.image(), "true"), 125, "SIGNONSENSE")
        self.assert_ok(self.who.container("--stop-signal", "USR1", images.image(), "true"))

    def test_an_unknown_option_is_125_and_points_to_help(self):
        done = self.who.container("--no-such-option", images.image())
        self.assertEqual(done.code, 125, done)
        self.assertIn("--no-such-option", done.errors)
        self.assertIn("--help", done.errors)
