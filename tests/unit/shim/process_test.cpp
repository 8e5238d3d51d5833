#include "shim/process/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string message(const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

/// The exit code of a child that does `body`; 200 when it throws.
int in_child(const std::function<int()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        try {
            ::_exit(body());
        } catch (const std::exception&) {
            ::_exit(200);
        }
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

oci::Spec with_sysctl(const std::string& key, const std::string& value, const char* ns = nullptr,
                      const char* path = "") {
    oci::Spec spec;
    spec.linux_.emplace();
    spec.linux_->sysctl[key] = value;
    if (ns != nullptr) spec.linux_->namespaces.push_back({ns, path});
    return spec;
}
std::string sysctl_error(const oci::Spec& spec) {
    return message([&] { check_sysctls(spec); });
}

TEST(Sysctls, OfANamespaceNeedOneOfTheContainersOwn) {
    EXPECT_EQ(sysctl_error(with_sysctl("kernel.msgmax", "1", "ipc")), "no error");
    EXPECT_EQ(sysctl_error(with_sysctl("fs.mqueue.msg_max", "1", "ipc")), "no error");
    EXPECT_EQ(sysctl_error(with_sysctl("net.ipv4.ip_forward", "1", "network")), "no error");
    EXPECT_EQ(sysctl_error(with_sysctl("kernel.domainname", "x", "uts")), "no error");
    EXPECT_EQ(sysctl_error(with_sysctl("user.max_user_namespaces", "1", "user")), "no error");
    EXPECT_THAT(sysctl_error(with_sysctl("kernel.msgmax", "1")),
                HasSubstr("sysctl \"kernel.msgmax\" is not allowed in the hosts ipc namespace"));
    EXPECT_THAT(sysctl_error(with_sysctl("net.core.somaxconn", "1", "ipc")),
                HasSubstr("not allowed in host network namespace"));
}

TEST(Sysctls, CountAJoinedNamespaceOnlyWhenItIsNotOurs) {
    EXPECT_THAT(sysctl_error(with_sysctl("net.ipv4.ip_forward", "1", "network", "/proc/self/ns/net")),
                HasSubstr("not allowed in host network namespace"));
}

TEST(Sysctls, OfTheWholeHostAreRefused) {
    EXPECT_THAT(sysctl_error(with_sysctl("kernel.core_pattern", "|/evil", "ipc")),
                HasSubstr("sysctl \"kernel.core_pattern\" is not in a separate kernel namespace"));
    EXPECT_THAT(sysctl_error(with_sysctl("kernel.hostname", "x", "uts")),
                HasSubstr("conflicts with the hostname field"));
    EXPECT_THAT(sysctl_error(with_sysctl("kernel.shm_rmid_forced+kernel.core_pattern", "1", "ipc")),
                HasSubstr("not in a separate kernel namespace"));
}

TEST(Sysctls, RefuseNamesAndValuesThatLeaveTheirPlace) {
    for (const char* key : {"net/../kernel/core_pattern", "net.//.kernel.core_pattern", "net./.kernel", "net//core/x",
                            "net/./core/somaxconn", ".net.core", "/net/core/somaxconn", "net."}) {
        EXPECT_THAT(sysctl_error(with_sysctl(key, "1", "network")), HasSubstr("not a valid name")) << key;
    }
    EXPECT_EQ(sysctl_error(with_sysctl("net/ipv4/conf/a..b/rp_filter", "1", "network")), "no error");
    EXPECT_THAT(sysctl_error(with_sysctl("net....kernel.core_pattern", "1", "network")), HasSubstr("not a valid name"));
    EXPECT_THAT(sysctl_error(with_sysctl("net.ipv4.ip_forward", "1\n2", "network")), HasSubstr("line end or a NUL"));
    EXPECT_THAT(sysctl_error(with_sysctl("", "1", "network")), HasSubstr("not a valid name"));
}

TEST(Sysctls, SwapDotsAndSlashesWhenTheFirstIsASlash) {
    EXPECT_EQ(sysctl_name("net/ipv4/conf/eno2.100.rp_filter"), "net.ipv4.conf.eno2/100/rp_filter");
    EXPECT_EQ(sysctl_name("net.ipv4.conf.eno2/100.rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
    EXPECT_EQ(sysctl_name("net"), "net");
}

TEST(Sysctls, AreWrittenThroughTheGivenProcfsOnly) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    const auto spec = with_sysctl("kernel.msgmax", "12345", "ipc");
    EXPECT_EQ(in_child([&] {
                  if (::unshare(CLONE_NEWIPC) != 0) return 1;
                  write_sysctls(*spec.linux_, posix::open("/proc", O_PATH | O_DIRECTORY));
                  return posix::read_file("/proc/sys/kernel/msgmax") == "12345\n" ? 0 : 2;
              }),
              0);
    const testing::TempDir fake;
    posix::make_directories(fake / "sys/kernel");
    std::ofstream(fake / "sys/kernel/msgmax") << "old";
    EXPECT_THAT(message([&] { write_sysctls(*spec.linux_, posix::open(fake.path(), O_PATH | O_DIRECTORY)); }),
                HasSubstr("not on a procfs"));
    EXPECT_EQ(posix::read_file(fake / "sys/kernel/msgmax"), "old");
}

TEST(Rlimits, RefuseUnknownNamesDuplicatesAndSoftAboveHard) {
    EXPECT_THAT(message([] { set_rlimits({{"RLIMIT_X", 1, 1}}); }), HasSubstr("wrong rlimit value: \"RLIMIT_X\""));
    EXPECT_THAT(message([] {
                    set_rlimits({{"RLIMIT_CORE", 0, 0}, {"RLIMIT_CORE", 0, 0}});
                }),
                HasSubstr("process.rlimits[1]: duplicate RLIMIT_CORE"));
    EXPECT_THAT(message([] { set_rlimits({{"RLIMIT_CORE", 2, 1}}); }), HasSubstr("soft 2 is above hard 1"));
}

TEST(Rlimits, AreSet) {
    EXPECT_EQ(in_child([] {
                  set_rlimits({{"RLIMIT_NOFILE", 100, 200}, {"RLIMIT_CORE", 0, 0}});
                  rlimit now{};
                  ::getrlimit(RLIMIT_NOFILE, &now);
                  return now.rlim_cur == 100 && now.rlim_max == 200 ? 0 : 1;
              }),
              0);
}

TEST(Rlimits, ThatCannotBeRaisedNameWhatIsPossible) {
    std::string text;
    const int code = in_child([] {
        set_rlimits({{"RLIMIT_NOFILE", 50, 50}});
        if (::geteuid() == 0 && ::setresuid(1234, 1234, 1234) != 0) return 1;
        const auto line = message([] { set_rlimits({{"RLIMIT_NOFILE", 60, 60}}); });
        return line.find("set RLIMIT_NOFILE to 60:60: Operation not permitted") != std::string::npos &&
                       line.find("the hard limit here is 50") != std::string::npos
                   ? 0
                   : 2;
    });
    EXPECT_EQ(code, 0);
}

TEST(Scheduler, RefusesWhatItsPolicyDoesNotTake) {
    oci::Scheduler config;
    EXPECT_THAT(message([&] { check_scheduler(config); }), HasSubstr("scheduler policy is required"));
    config.policy = "SCHED_BATCH";
    config.priority = 3;
    EXPECT_THAT(message([&] { check_scheduler(config); }),
                HasSubstr("scheduler.priority can only be specified for SchedFIFO or SchedRR policy"));
    config.priority.reset();
    config.deadline = 5;
    EXPECT_THAT(message([&] { check_scheduler(config); }),
                HasSubstr("scheduler runtime/deadline/period can only be specified for SchedDeadline policy"));
    config.deadline.reset();
    config.nice = 20;
    EXPECT_THAT(message([&] { check_scheduler(config); }), HasSubstr("nice"));
    config.nice.reset();
    config.flags = {"SCHED_FLAG_NO"};
    EXPECT_THAT(message([&] { check_scheduler(config); }), HasSubstr("invalid scheduler flag"));
}

TEST(Scheduler, IsSet) {
    EXPECT_EQ(in_child([] {
                  oci::Scheduler config;
                  config.policy = "SCHED_BATCH";
                  config.nice = 5;
                  set_scheduler(config);
                  return ::sched_getscheduler(0) == SCHED_BATCH && ::getpriority(PRIO_PROCESS, 0) == 5 ? 0 : 1;
              }),
              0);
}

TEST(IoPriority, IsCheckedAndSet) {
    EXPECT_EQ(in_child([] {
                  set_io_priority({"IOPRIO_CLASS_BE", 6});
                  return 0;
              }),
              0);
    EXPECT_THAT(message([] { set_io_priority({"IOPRIO_CLASS_X", 1}); }), HasSubstr("ioPriority.class"));
    EXPECT_THAT(message([] { set_io_priority({"IOPRIO_CLASS_BE", 8}); }), HasSubstr("expected 0..7, got 8"));
}

TEST(Personality, KnowsTwoDomainsAndNoFlags) {
    EXPECT_THAT(message([] { set_personality({"WINDOWS", {}}); }), HasSubstr("expected LINUX or LINUX32"));
    EXPECT_THAT(message([] { set_personality({"LINUX", {"X"}}); }), HasSubstr("unknown flag"));
}

TEST(MemoryPolicy, RefusesWhatItDoesNotKnow) {
    EXPECT_THAT(message([] {
                    set_memory_policy({"MPOL_X", "0", {}});
                }),
                HasSubstr("invalid memory policy mode \"MPOL_X\""));
    EXPECT_THAT(message([] {
                    set_memory_policy({"MPOL_BIND", "0-x", {}});
                }),
                HasSubstr("invalid memory policy nodes \"0-x\""));
    EXPECT_THAT(message([] {
                    set_memory_policy({"MPOL_BIND", "0", {"F"}});
                }),
                HasSubstr("invalid memory policy flag \"F\""));
}

TEST(IdList, TakesNumbersAndRangesBelowItsBound) {
    EXPECT_THAT(parse_id_list("0-2,5", 8), ElementsAre(0U, 1U, 2U, 5U));
    for (const char* bad : {"", "8", "3-2", "-1", "1-", "a", "1,,2", "0-99999999999999"}) {
        EXPECT_THAT(parse_id_list(bad, 8), IsEmpty()) << bad;
    }
}

TEST(IdList, NamesEachNumberOnce) { EXPECT_THAT(parse_id_list("0-1,1-2,0-2", 8), ElementsAre(0U, 1U, 2U)); }

TEST(User, IsSetWithGroupsAndUmask) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    EXPECT_EQ(in_child([] {
                  oci::User user;
                  user.uid = 1234;
                  user.gid = 2345;
                  user.additional_gids = {7, 8};
                  set_user(user);
                  gid_t groups[4] = {};
                  return ::getuid() == 1234 && ::getegid() == 2345 && ::getgroups(4, groups) == 2 && groups[1] == 8 &&
                                 ::umask(0) == 0022
                             ? 0
                             : 1;
              }),
              0);
}

TEST(User, LeavesGroupsOutWhereSetgroupsIsDenied) {
    const auto with_groups = [](std::vector<std::uint32_t> groups) {
        return in_child([&] {
            if (::geteuid() == 0 && (::setresgid(1234, 1234, 1234) != 0 || ::setresuid(1234, 1234, 1234) != 0))
                return 1;
            const uid_t uid = ::geteuid();
            const gid_t gid = ::getegid();
            ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the change of ids cleared it, and /proc/self went to root
            if (::unshare(CLONE_NEWUSER) != 0) return 77;
            posix::write_all(posix::open("/proc/self/setgroups", O_WRONLY), "deny", "setgroups");
            posix::write_all(posix::open("/proc/self/uid_map", O_WRONLY), "0 " + std::to_string(uid) + " 1", "uid_map");
            posix::write_all(posix::open("/proc/self/gid_map", O_WRONLY), "0 " + std::to_string(gid) + " 1", "gid_map");
            oci::User user;
            user.additional_gids = groups;
            const auto line = message([&] { set_user(user); });
            return line == "no error" ? 0 : 6;
        });
    };
    const int plain = with_groups({});
    LOCALD_REQUIRE(plain != 77, "unprivileged user namespaces");
    EXPECT_EQ(plain, 0);
    EXPECT_EQ(with_groups({0, 7}), 0);
}

TEST(OomScore, IsSetAndBounded) {
    EXPECT_EQ(in_child([] {
                  set_oom_score_adj(500);
                  return posix::read_file("/proc/self/oom_score_adj") == "500\n" ? 0 : 1;
              }),
              0);
    EXPECT_THAT(message([] { set_oom_score_adj(1001); }), HasSubstr("expected -1000..1000, got 1001"));
}

TEST(NoNewPrivileges, IsSet) {
    EXPECT_EQ(in_child([] {
                  set_no_new_privileges();
                  return posix::read_file("/proc/self/status").find("NoNewPrivs:\t1") != std::string::npos ? 0 : 1;
              }),
              0);
}

TEST(SessionKeyring, IsMadeOrPassedOver) {
    EXPECT_EQ(in_child([] {
                  new_session_keyring("_ses.test");
                  return 0;
              }),
              0);
}

class Execute : public ::testing::Test {
protected:
    std::string program(const std::string& name, const std::string& text, mode_t mode = 0755) {
        const std::string path = dir_ / name;
        std::ofstream(path) << text;
        ::chmod(path.c_str(), mode);
        return path;
    }
    /// Kind and line of the error; only for what cannot be executed.
    static std::pair<int, std::string> failure(const std::vector<std::string>& args,
                                               const std::vector<std::string>& env) {
        oci::Process process;
        process.args = args;
        process.env = env;
        try {
            execute(prepare_execution(process));
        } catch (const Error& e) {
            return {exit_code_of(e), e.what()};
        }
    }
    testing::TempDir dir_;
};

TEST_F(Execute, SearchesTheContainersPathAndSaysSoInTheKnownWords) {
    const auto [code, line] = failure({"nope"}, {"PATH=" + dir_.path()});
    EXPECT_EQ(code, 127);
    EXPECT_THAT(line, HasSubstr("exec: \"nope\": executable file not found in $PATH"));
    EXPECT_EQ(failure({"sh"}, {}).first, 127);
    EXPECT_EQ(failure({""}, {"PATH=/bin"}).first, 127);
}

TEST_F(Execute, SkipsWhatIsNoProgramInThePath) {
    posix::make_directories(dir_ / "a/tool");
    posix::make_directories(dir_ / "b");
    program("b/tool", "not executable", 0644);
    const std::string right = program("tool", "#!/bin/sh\n");
    const std::string path = "PATH=:.:relative:" + (dir_ / "a") + ":" + (dir_ / "b") + ":" + dir_.path();
    EXPECT_EQ(find_program("tool", {path}), right);
    EXPECT_EQ(find_program("tool", {"PATH=/nowhere", path}), right) << "the last PATH counts";
    EXPECT_EQ(find_program("./tool", {path}), "./tool");
}

TEST_F(Execute, IsRefusedBeforeTheStartWhereNobodyCouldExecuteIt) {
    const auto refused = [&](const std::string& name) {
        oci::Process process;
        process.args = {name};
        process.cwd = dir_.path();
        try {
            require_program(process);
        } catch (const Error& e) {
            return exit_code_of(e);
        }
        return 0;
    };
    EXPECT_EQ(refused("/no/such"), 127);
    EXPECT_EQ(refused("./missing"), 127);
    EXPECT_EQ(refused(dir_.path()), 126);
    EXPECT_EQ(refused(program("data", "x", 0644)), 126);
    program("script", "#!/bin/sh\n");
    EXPECT_EQ(refused("./script"), 0);
}

TEST_F(Execute, TellsMissingNotExecutableAndWrongFormatApart) {
    EXPECT_EQ(failure({"/no/such"}, {}).first, 127);
    EXPECT_THAT(failure({"/no/such"}, {}).second, HasSubstr("no such file or directory"));
    const auto denied = failure({program("data", "x", 0644)}, {});
    EXPECT_EQ(denied.first, 126);
    EXPECT_THAT(denied.second, HasSubstr("permission denied"));
    const auto format = failure({program("noshebang", "echo hi\n")}, {});
    EXPECT_EQ(format.first, 126);
    EXPECT_THAT(format.second, HasSubstr("another architecture, or a script without a #! line"));
    const auto directory = failure({dir_.path()}, {});
    EXPECT_EQ(directory.first, 126);
    EXPECT_THAT(directory.second, HasSubstr("it is a directory"));
}

TEST_F(Execute, NamesAMissingInterpreter) {
    const auto [code, line] = failure({program("script", "#! /no/interpreter -x\n")}, {});
    EXPECT_EQ(code, 127);
    EXPECT_THAT(line, HasSubstr("its interpreter \"/no/interpreter\" is missing: no such file or directory"));
}

TEST(Environment, FillsHomeInAndKeepsTheLastOfEqualNames) {
    oci::Process process;
    process.env = {"A=1", "HOME=/x", "A=2", "odd"};
    EXPECT_THAT(complete_environment(process), ElementsAre("HOME=/x", "A=2", "odd"));
    process.env = {"A=1"};
    process.user.uid = 0;
    EXPECT_THAT(complete_environment(process), ElementsAre("A=1", "HOME=/root"));
    process.user.uid = 4000000000U;
    EXPECT_THAT(complete_environment(process), ElementsAre("A=1", "HOME=/"));
}

TEST(Environment, ReadsHomesFromPasswdLines) {
    const char* passwd = "root:x:0:0:root:/root:/bin/sh\nbroken:x:7\nu:x:7:7::/home/u:/bin/sh\nempty:x:8:8:::\n";
    EXPECT_EQ(home_in_passwd(passwd, 7), "/home/u");
    EXPECT_EQ(home_in_passwd(passwd, 8), "/");
    EXPECT_EQ(home_in_passwd(passwd, 9), "/");
    EXPECT_EQ(home_in_passwd("", 0), "/");
}

}  // namespace
}  // namespace locald::shim
