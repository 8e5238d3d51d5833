#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::posix::UniqueFd;
using locald::testing::ShimTest;

/// A seccomp agent: takes one connection and answers every call that comes over its listener.
class Agent {
public:
    /// @param error  the errno of every answer; 0: the kernel goes on with the call
    Agent(const std::string& path, int error) : error_(error) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(socket_.get(), 4), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~Agent() { finish(); }
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    void finish() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }

    nlohmann::json state() {
        finish();
        return nlohmann::json::parse(text_);
    }
    int answered() const { return answered_; }
    int descriptors() const { return descriptors_; }

private:
    bool readable(const UniqueFd& fd) const {
        while (!stop_) {
            pollfd wait{fd.get(), POLLIN, 0};
            if (::poll(&wait, 1, 20) > 0) return true;
        }
        return false;
    }

    void serve() {
        if (!readable(socket_)) return;
        const UniqueFd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        UniqueFd listener;
        // Until the end of the stream: exactly one state comes over one connection.
        for (;;) {
            std::array<char, 256> block{};  // small, so that the state takes several reads
            alignas(cmsghdr) std::array<char, 256> control{};
            iovec part{block.data(), block.size()};
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            if (!readable(peer)) return;
            const ssize_t n = ::recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC);
            if (n <= 0) break;
            text_.append(block.data(), static_cast<std::size_t>(n));
            for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
                listener.reset(fd);
                ++descriptors_;
            }
            // From here on calls may come that the sender needs an answer to before it closes its end.
            if (nlohmann::json::accept(text_)) break;
        }
        answer_all(listener);
    }

    void answer_all(const UniqueFd& listener) {
        while (readable(listener)) {
            seccomp_notif request{};
            if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
                if (errno == ENOENT || errno == EINTR) continue;
                return;
            }
            seccomp_notif_resp answer{};
            answer.id = request.id;
            answer.error = -error_;
            if (error_ == 0) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
            ++answered_;
            ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
        }
    }

    int error_;
    UniqueFd socket_;
    std::atomic<bool> stop_{false};
    std::atomic<int> answered_{0}, descriptors_{0};
    std::string text_;
    std::thread thread_;
};

class ShimSeccomp : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    std::string socket() const { return dir_ / "agent"; }

    static Json notifying(const std::string& line, const std::vector<std::string>& calls) {
        auto json = config(line);
        json["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"},
                                    {"syscalls", {{{"names", calls}, {"action", "SCMP_ACT_NOTIFY"}}}}};
        return json;
    }
};

std::string base64(const std::string& bytes) {
    static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        unsigned group = 0;
        for (std::size_t j = i; j < i + 3; ++j) {
            group = (group << 8U) | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0U);
        }
        for (unsigned k = 0; k < 4; ++k) {
            text += i + k > bytes.size() ? '=' : digits[(group >> (18 - 6 * k)) & 63U];
        }
    }
    return text;
}

TEST_F(ShimSeccomp, HandsTheListenerAndTheStateToTheAgent) {
    Agent agent(socket(), EXFULL);
    auto json = notifying("mkdir /made || exit 7", {"mkdir", "mkdirat"});
    json["linux"]["seccomp"]["listenerPath"] = socket();
    json["linux"]["seccomp"]["listenerMetadata"] = "opaque \"text\"";
    json["annotations"] = {{"key", std::string(5000, 'v')}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 7) << result.err;
    EXPECT_NE(result.err.find("Exchange full"), std::string::npos) << result.err;
    EXPECT_FALSE(std::filesystem::exists(rootfs("/made")));
    const auto state = agent.state();
    EXPECT_EQ(agent.descriptors(), 1);
    EXPECT_EQ(state.at("ociVersion"), "1.3.0");
    EXPECT_EQ(state.at("fds"), Json::array({"seccompFd"}));
    EXPECT_EQ(state.at("metadata"), "opaque \"text\"");
    EXPECT_EQ(state.at("state").at("id"), id_);
    EXPECT_EQ(state.at("state").at("bundle"), dir_ / "bundle");
    EXPECT_EQ(state.at("state").at("annotations").at("key").get<std::string>().size(), 5000U);
    EXPECT_GT(state.at("pid").get<int>(), 1) << "as the runtime sees it, and not 1 as in the container";
    EXPECT_EQ(state.at("pid"), state.at("state").at("pid"));
}

TEST_F(ShimSeccomp, LetsTheAgentAnswerTheCallsOfTheRuntimeItself) {
    // What hands the listener over must not itself wait for its answer.
    for (const bool no_new_privileges : {true, false}) {
        Agent agent(socket(), 0);
        auto json = notifying("echo ran", {"sendmsg", "execve", "futex", "close", "capset", "prctl", "mmap", "brk"});
        json["linux"]["seccomp"]["listenerPath"] = socket();
        json["process"]["noNewPrivileges"] = no_new_privileges;
        const auto result = run(json);
        EXPECT_EQ(result.out, "ran\n") << result.err;
        agent.finish();
        EXPECT_GT(agent.answered(), 0);
        ::unlink(socket().c_str());
    }
}

TEST_F(ShimSeccomp, FindsTheAgentByAnnotationToo) {
    Agent agent(socket(), EXFULL);
    auto json = notifying("mkdir /made || exit 7", {"mkdir", "mkdirat"});
    json["annotations"] = {{"run.oci.seccomp.receiver", socket()}};
    EXPECT_EQ(run(json).code, 7);
    EXPECT_FALSE(agent.state().contains("metadata"));
}

TEST_F(ShimSeccomp, RunsNothingWithoutTheAgentItNames) {
    auto json = notifying("echo ran", {"mkdir"});
    json["linux"]["seccomp"]["listenerPath"] = socket();
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("linux.seccomp.listenerPath: connect to " + socket() + ": No such file or directory"),
              std::string::npos)
        << result.err;
    json["linux"]["seccomp"]["listenerPath"] = "relative";
    EXPECT_NE(run(json).err.find("must be an absolute path"), std::string::npos);
}

TEST_F(ShimSeccomp, IgnoresTheListenerPathWhenNothingNotifies) {
    auto json = notifying("echo ran", {"mkdir"});
    json["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_ERRNO";
    json["linux"]["seccomp"]["listenerPath"] = socket();
    EXPECT_EQ(run(json).out, "ran\n");
}

TEST_F(ShimSeccomp, NeedsNothingOfTheFilterButExecve) {
    // A profile that allows no more than a program that exits at once: looking for it comes before the filter.
    auto json = config("");
    json["process"]["args"] = {"busybox", "true"};
    json["linux"]["seccomp"] = {
        {"defaultAction", "SCMP_ACT_KILL_PROCESS"},
        {"syscalls",
         {{{"names",
            {"execve", "exit",       "exit_group", "brk",       "arch_prctl", "set_tid_address", "set_robust_list",
             "rseq",   "prlimit64",  "mprotect",   "getrandom", "readlink",   "readlinkat",      "uname",
             "getuid", "geteuid",    "getgid",     "getegid",   "prctl",      "ioctl",           "mmap",
             "munmap", "newfstatat", "futex",      "setuid",    "setgid",     "access"}},
           {"action", "SCMP_ACT_ALLOW"}}}}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(ShimSeccomp, TakesEveryFlag) {
    auto json = config("grep Seccomp: /proc/self/status");
    json["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"},
                                {"flags",
                                 {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC",
                                  "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}}};
    EXPECT_EQ(run(json).out, "Seccomp:\t2\n");
}

TEST_F(ShimSeccomp, FailsForUnknownNamesOnlyWhenAsked) {
    auto json = notifying("echo ran", {"mkdir", "no_such_call"});
    json["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_ERRNO";
    EXPECT_EQ(run(json).out, "ran\n");
    json["annotations"] = {{"run.oci.seccomp_fail_unknown_syscall", "0"}};
    EXPECT_EQ(run(json).out, "ran\n");
    json["annotations"] = {{"run.oci.seccomp_fail_unknown_syscall", "1"}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("linux.seccomp.syscalls[0].names: unknown system call \"no_such_call\""),
              std::string::npos)
        << result.err;
}

TEST_F(ShimSeccomp, LoadsARawProgramInsteadOfTheProfile) {
    const std::vector<sock_filter> program{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_mkdir},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EXFULL},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    auto json = notifying("mkdir /made || exit 7", {"mkdir"});
    const std::string bytes(reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter));
    json["annotations"] = {{"run.oci.seccomp_bpf_data", base64(bytes)}};
    json["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_KILL"}};
    auto result = run(json);
    EXPECT_EQ(result.code, 7) << result.err;
    EXPECT_NE(result.err.find("Exchange full"), std::string::npos) << result.err;
    json["annotations"] = {{"run.oci.seccomp_bpf_data", "%%%"}};
    result = run(json);
    EXPECT_NE(result.err.find("annotations[\"run.oci.seccomp_bpf_data\"]: not base64"), std::string::npos)
        << result.err;
}

}  // namespace
