#include "cli/flags_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "cli/command_line.hpp"
#include "core/base/error.hpp"

namespace locald::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

RunRequest last;

Caller test_caller() {
    Caller caller;
    caller.cwd = "/work";
    caller.environment = [](const std::string& name) -> std::optional<std::string> {
        if (name == "TOKEN") return "secret";
        return std::nullopt;
    };
    caller.read_file = [](const std::string& path) -> std::string {
        if (path == "app.env") return "A=file\nB=file\n";
        throw Error(ErrorKind::not_found, "read " + path);
    };
    return caller;
}

class Run final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags_.add_to(flags); }
    int run(const Globals&, std::vector<std::string> operands) override {
        last = flags_.request(operands, test_caller());
        return 0;
    }

private:
    RunFlags flags_;
};

constexpr std::array commands{Command{"run", "", "", 1, 1000, true, "", "", make_body<Run>}};

/// The request that `run args…` makes.
RunRequest request(std::vector<std::string> args) {
    args.insert(args.begin(), "run");
    auto line = parse_command_line(commands, args);
    line.body->run(line.globals, line.operands);
    return last;
}

std::string error_of(const std::vector<std::string>& args) {
    try {
        request(args);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

TEST(RunFlags, NeedNothingButAnImage) {
    const auto run = request({"alpine"});
    EXPECT_EQ(run.source.image.value().reference.str(), "docker.io/library/alpine:latest");
    EXPECT_EQ(run.source.pull, bundle::PullPolicy::missing);
    EXPECT_THAT(run.options.command, IsEmpty());
    EXPECT_EQ(run.options.entrypoint, std::nullopt);
    EXPECT_EQ(run.options.memory_bytes, std::nullopt);
    EXPECT_EQ(run.options.shm_bytes, 64U << 20U);
    EXPECT_EQ(run.options.network, bundle::NetworkMode::host);
    EXPECT_FALSE(run.interactive || run.options.tty);
}

TEST(RunFlags, ReachTheWorkload) {
    const auto run = request({"-it",
                              "--rm",
                              "--name",
                              "web",
                              "-e",
                              "A=1",
                              "-v",
                              "./src:/src:ro",
                              "--tmpfs",
                              "/run",
                              "-w",
                              "/src",
                              "-u",
                              "app:app",
                              "--entrypoint",
                              "",
                              "-h",
                              "box",
                              "--read-only",
                              "-m",
                              "512m",
                              "--cpus",
                              "0.5",
                              "--pids-limit",
                              "-1",
                              "--network=none",
                              "--pull",
                              "never",
                              "--platform",
                              "linux/arm64",
                              "--cap-add",
                              "net_admin",
                              "--cap-drop=ALL",
                              "--ulimit",
                              "nofile=5",
                              "--init",
                              "--stop-signal",
                              "QUIT",
                              "--userns",
                              "keep-id",
                              "--shm-size",
                              "1m",
                              "--add-host",
                              "db:10.1.1.1",
                              "--security-opt",
                              "no-new-privileges",
                              "alpine:3",
                              "sh",
                              "-c",
                              "echo $A",
                              "--",
                              "-it"});
    const auto& options = run.options;
    EXPECT_TRUE(run.interactive && options.tty && options.read_only && options.init && options.no_new_privileges);
    EXPECT_EQ(options.id, "web");
    EXPECT_THAT(options.command, ElementsAre("sh", "-c", "echo $A", "--", "-it"));
    EXPECT_EQ(options.entrypoint, "");
    EXPECT_THAT(options.env, ElementsAre(Pair("A", "1")));
    ASSERT_EQ(options.mounts.size(), 2U);
    EXPECT_EQ(options.mounts[0].source, "/work/src");
    EXPECT_THAT(run.volume_sources, ElementsAre("/work/src"));
    EXPECT_EQ(options.workdir, "/src");
    EXPECT_EQ(options.user, "app:app");
    EXPECT_EQ(options.hostname, "box");
    EXPECT_EQ(options.memory_bytes, 512 << 20);
    EXPECT_EQ(options.cpu_quota_us, 50'000);
    EXPECT_EQ(options.pids_limit, -1);
    EXPECT_EQ(options.network, bundle::NetworkMode::none);
    EXPECT_EQ(run.source.pull, bundle::PullPolicy::never);
    EXPECT_EQ(run.source.platform.value().str(), "linux/arm64");
    EXPECT_THAT(options.cap_add, ElementsAre("net_admin"));
    EXPECT_THAT(options.cap_drop, ElementsAre("ALL"));
    ASSERT_EQ(options.ulimits.size(), 1U);
    EXPECT_EQ(options.stop_signal, "QUIT");
    EXPECT_EQ(options.userns, bundle::UserNamespaceMode::keep_id);
    EXPECT_EQ(options.shm_bytes, 1U << 20U);
    EXPECT_THAT(options.add_hosts, ElementsAre(Pair("db", "10.1.1.1")));
}

TEST(RunFlags, PutTheCommandLineAfterTheFiles) {
    const auto run = request({"-e", "A=flag", "-e", "TOKEN", "-e", "UNSET", "--env-file", "app.env", "alpine"});
    EXPECT_THAT(run.options.env,
                ElementsAre(Pair("A", "file"), Pair("B", "file"), Pair("A", "flag"), Pair("TOKEN", "secret")));
}

TEST(RunFlags, TakeADirectoryForAnImage) {
    const auto run = request({"--rootfs", "./root", "/bin/sh", "-c", "id"});
    EXPECT_FALSE(run.source.image.has_value());
    EXPECT_EQ(run.source.rootfs, "/work/root");
    EXPECT_THAT(run.options.command, ElementsAre("/bin/sh", "-c", "id"));
    EXPECT_EQ(request({"--rootfs", "-t", "/root", "sh"}).source.rootfs, "/root");
}

TEST(RunFlags, SayWhetherItRunsInTheBackground) {
    EXPECT_FALSE(request({"alpine"}).detach);
    const auto run = request({"-di", "--rm", "alpine"});
    EXPECT_TRUE(run.detach && run.interactive && run.remove);
}

TEST(RunFlags, RefuseWhatThereIsNot) {
    EXPECT_THAT(error_of({"-P", "alpine"}), HasSubstr("name each port by -p"));
    EXPECT_THAT(error_of({"-p", "80:80", "--network", "none", "alpine"}), HasSubstr("exclude each other"));
    EXPECT_THAT(error_of({"--restart", "always", "alpine"}), HasSubstr("service manager"));
    EXPECT_THAT(error_of({"--privileged", "alpine"}), HasSubstr("--cap-add"));
    EXPECT_THAT(error_of({"-l", "a=b", "alpine"}), HasSubstr("--label is not available"));
    for (const char* name : {"--log-driver", "--log-opt", "--sysctl", "--cgroup-parent", "--uidmap", "--gidmap"}) {
        EXPECT_THAT(error_of({std::string(name) + "=x", "alpine"}),
                    HasSubstr(std::string(name) + " is not available; "));
    }
}

TEST(RunFlags, NameTheFlagThatIsWrong) {
    EXPECT_THAT(error_of({"--name", "a/b", "alpine"}), HasSubstr("--name"));
    EXPECT_THAT(error_of({"--env-file", "none.env", "alpine"}), HasSubstr("none.env"));
    EXPECT_THAT(error_of({"-v", "/a:/x", "--tmpfs", "/x", "alpine"}), HasSubstr("/x"));
    EXPECT_THAT(error_of({""}), HasSubstr("empty"));
    EXPECT_THAT(error_of({"UPPER case"}), HasSubstr("UPPER case"));
}

}  // namespace
}  // namespace locald::cli
