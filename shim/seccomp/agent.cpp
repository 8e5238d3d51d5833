#include "shim/seccomp/agent.hpp"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/seccomp/config.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

bool notifies(const oci::Spec& spec) {
    if (!spec.linux_ || !spec.linux_->seccomp || replaces_seccomp(spec.annotations)) return false;
    const auto& rules = spec.linux_->seccomp->syscalls;
    return std::any_of(rules.begin(), rules.end(), [](const auto& rule) { return rule.action == "SCMP_ACT_NOTIFY"; });
}

/// The descriptor goes with the first packet only; the rest of a long text follows. Returns an errno.
int send_all(int socket, int fd, const std::string& text) noexcept {
    std::size_t sent = 0;
    while (sent < text.size()) {
        iovec part{const_cast<char*>(text.data()) + sent, text.size() - sent};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (sent == 0) {
            message.msg_control = control;
            message.msg_controllen = sizeof control;
            cmsghdr* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof fd);
            std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
        }
        const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        sent += static_cast<std::size_t>(n);
    }
    return 0;
}

constexpr int nothing_yet = -1;  // of `listener`: the filter is not loaded, of `result`: nothing was sent
constexpr int never = -2;        // the filter was refused: there is nothing to send

/// What passes between the thread that is filtered and the one that is not.
struct Handover {
    int agent;
    const std::string& message;
    std::atomic<int> listener{nothing_yet};
    std::atomic<int> result{nothing_yet};  ///< an errno, 0 when sent
};

/// The thread that is not filtered: a filter counts for the thread that loads it.
/// It touches `handover` no more once the result is there.
void* hand_over(void* argument) {
    auto& handover = *static_cast<Handover*>(argument);
    while (handover.listener.load() == nothing_yet) {
        const timespec pause{0, 20'000};
        ::nanosleep(&pause, nullptr);
    }
    const int listener = handover.listener.load();
    handover.result.store(listener < 0 ? 0 : send_all(handover.agent, listener, handover.message));
    return nullptr;
}

/// False where there is no room for a second thread (pids.max, RLIMIT_NPROC, RLIMIT_AS).
bool start_thread(Handover& handover) {
    pthread_t thread{};
    if (::pthread_create(&thread, nullptr, hand_over, &handover) != 0) return false;
    ::pthread_detach(thread);
    return true;
}

void wait_for_result(const Handover& handover) {
    while (handover.result.load() == nothing_yet) {
        // Without a system call: each may be one that the agent has to answer.
    }
}

}  // namespace

std::string seccomp_agent_path(const oci::Spec& spec) {
    if (spec.linux_ && spec.linux_->seccomp && !spec.linux_->seccomp->listener_path.empty()) {
        return spec.linux_->seccomp->listener_path;
    }
    const auto found = spec.annotations.find("run.oci.seccomp.receiver");
    return found == spec.annotations.end() ? std::string() : found->second;
}

UniqueFd connect_seccomp_agent(const oci::Spec& spec) {
    if (!notifies(spec)) return {};
    const std::string path = seccomp_agent_path(spec);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string what = "linux.seccomp.listenerPath: connect to " + path;
    if (!path.starts_with('/')) throw Error(ErrorKind::invalid, what + ": must be an absolute path");
    if (path.size() >= sizeof address.sun_path) {
        throw Error(ErrorKind::invalid,
                    what + ": a socket's path has at most " + std::to_string(sizeof address.sun_path - 1) + " bytes");
    }
    path.copy(address.sun_path, path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) throw_errno(errno, what);
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int err = errno;
        if (err == EINTR) continue;
        throw Error(kind_of_errno(err), what + ": " + errno_text(err), err)
            .with_remedy("start the seccomp agent first; it listens there on a unix stream socket");
    }
    return socket;
}

std::string seccomp_agent_message(const oci::Spec& spec, const oci::State& state) {
    std::string text = "{\"ociVersion\":" + json_quote(state.oci_version) +
                       ",\"fds\":[\"seccompFd\"],\"pid\":" + std::to_string(state.pid);
    if (spec.linux_ && spec.linux_->seccomp && !spec.linux_->seccomp->listener_metadata.empty()) {
        text += ",\"metadata\":" + json_quote(spec.linux_->seccomp->listener_metadata);
    }
    return text + ",\"state\":" + oci::to_hook_json(state) + "}";
}

void load_seccomp_for_agent(const SeccompFilter& filter, const UniqueFd& agent, const std::string& message) {
    if (!filter.notify) {
        static_cast<void>(load_seccomp(filter));
        return;
    }
    Handover handover{agent.get(), message};
    const bool helped = start_thread(handover);
    UniqueFd listener;
    try {
        listener = load_seccomp(filter);
    } catch (const Error&) {
        handover.listener.store(never);
        if (helped) wait_for_result(handover);
        throw;
    }
    handover.listener.store(listener.get());
    if (helped) {
        wait_for_result(handover);
    } else {
        handover.result.store(send_all(handover.agent, listener.get(), message));
    }
    const int err = handover.result.load();
    if (err != 0) throw_errno(err, "send the seccomp listener to linux.seccomp.listenerPath");
}

}  // namespace locald::shim
