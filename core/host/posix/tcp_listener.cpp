#include "core/host/tcp_listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

constexpr std::uint16_t first_free_port = 1024;

/// `fields` of a line of /proc/net/tcp (proc(5)) that listens on `port`.
struct Listening {
    std::string user, inode;
};

Listening find_listening(const std::string& table, std::uint16_t port) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
        words >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
        const auto colon = local.rfind(':');
        if (state != "0A" || colon == std::string::npos) continue;
        if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port) return {user, inode};
    }
    return {};
}

/// The process that has this socket open; only those of one's own can be seen, unless one is root.
std::string find_owner(const std::string& inode) {
    namespace fs = std::filesystem;
    const std::string wanted = "socket:[" + inode + "]";
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc", error)) {
        const std::string pid = process.path().filename().string();
        if (!parse_u64(pid)) continue;
        std::error_code unseen;
        for (fs::directory_iterator fd(process.path() / "fd", unseen), end; fd != end; fd.increment(unseen)) {
            if (unseen || fs::read_symlink(fd->path(), unseen).string() != wanted) continue;
            std::ifstream comm(process.path() / "comm");
            std::string name;
            std::getline(comm, name);
            return std::string("pid ").append(pid).append(" (").append(name).append(")");
        }
    }
    return {};
}

[[noreturn]] void fail(int err, const std::string& step, std::uint16_t port) {
    std::string text = step + ": " + errno_text(err);
    const auto holder = err == EADDRINUSE ? holder_of_port(port) : std::string();
    if (!holder.empty()) text += ", " + holder + " has it";
    Error error(err == EADDRINUSE ? ErrorKind::exists : kind_of_errno(err), text, err);
    if (err == EADDRINUSE) error.with_remedy("take another port, or 0 for any that is free");
    if (err == EACCES && port < first_free_port) {
        error.with_remedy("ordinary users have the ports from 1024 on (sysctl net.ipv4.ip_unprivileged_port_start)");
    }
    throw error;
}

struct FreeAddresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

}  // namespace

std::string holder_of_port(std::uint16_t port) {
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        const auto found = find_listening(table, port);
        if (found.inode.empty()) continue;
        const auto owner = find_owner(found.inode);
        return owner.empty() ? "a process of user " + found.user : owner;
    }
    return {};
}

int listen_tcp(const std::string& address, std::uint16_t port) {
    const bool is_six = address.find(':') != std::string::npos;
    const std::string step = "listen on port " + std::to_string(port) + " of " + address;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
        throw Error(ErrorKind::invalid, step + ": " + ::gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
    Handle listener(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener) fail(errno, step, port);
    const int on = 1;
    // Connections of an earlier run that are just ending do not stand in the way; somebody who listens does.
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_six) ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(listener.get(), found->ai_addr, found->ai_addrlen) != 0) fail(errno, step, port);
    if (::listen(listener.get(), SOMAXCONN) != 0) fail(errno, step, port);
    return listener.release();
}

std::uint16_t port_of(int listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw_errno(errno, "ask for the port of a socket");
    }
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace locald::host
