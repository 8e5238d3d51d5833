#include "core/posix/syscalls.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <array>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::posix {

namespace {

// A rename that races the walk gives EAGAIN each time; an attacker who renames in a loop must not hold us for ever.
constexpr int most_walks = 64;

}  // namespace

UniqueFd openat(const UniqueFd& dir, const std::string& path, int flags, mode_t mode) {
    for (;;) {
        UniqueFd fd(::openat(dir ? dir.get() : AT_FDCWD, path.c_str(), flags | O_CLOEXEC, mode));
        if (fd) return fd;
        if (errno != EINTR) throw_errno(errno, "open ", path);
    }
}

UniqueFd open(const std::string& path, int flags, mode_t mode) { return openat(UniqueFd(), path, flags, mode); }

UniqueFd open_if_exists(const std::string& path, int flags) {
    for (;;) {
        UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
        if (fd || errno == ENOENT || errno == ENOTDIR) return fd;
        if (errno != EINTR) throw_errno(errno, "open ", path);
    }
}

UniqueFd openat2(const UniqueFd& dir, const std::string& path, std::uint64_t flags, std::uint64_t resolve,
                 mode_t mode) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = resolve;
    how.mode = mode;
    for (int walk = 0;;) {
        UniqueFd fd(
            static_cast<int>(::syscall(SYS_openat2, dir ? dir.get() : AT_FDCWD, path.c_str(), &how, sizeof how)));
        if (fd || errno == EINTR) {
            if (fd) return fd;
            continue;
        }
        if (errno == EAGAIN && ++walk < most_walks) continue;
        throw_errno(errno, "openat2 ", path);
    }
}

UniqueFd open_in_root(const UniqueFd& root, const std::string& path, std::uint64_t flags, mode_t mode) {
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode);
}

UniqueFd pidfd_open(pid_t pid) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd) throw_errno(errno, "pidfd_open ", std::to_string(pid));
    return fd;
}

bool pidfd_send_signal(const UniqueFd& pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return true;
    if (errno == ESRCH) return false;
    throw_errno(errno, "send signal ", std::to_string(signal));
}

pid_t clone3(clone_args& args) {
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0) throw_errno(errno, "clone3");
    return static_cast<pid_t>(pid);
}

void cloexec_from(unsigned first) {
    constexpr unsigned close_range_cloexec = 1U << 2U;
    if (::syscall(SYS_close_range, first, ~0U, close_range_cloexec) != 0) throw_errno(errno, "close_range");
}

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "pipe2");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

SocketPair make_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) throw_errno(errno, "socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void send_fd(const UniqueFd& socket, std::string_view payload, const UniqueFd& fd) {
    iovec data{const_cast<char*>(payload.data()), payload.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    while (::sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) throw_errno(errno, "send a descriptor");
    }
}

UniqueFd receive_fd(const UniqueFd& socket) {
    std::array<char, 4096> text{};
    iovec data{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    while (::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC) < 0) {
        if (errno != EINTR) throw_errno(errno, "receive a descriptor");
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(int))) {
        throw Error(ErrorKind::unavailable, "receive a descriptor: the peer closed without sending one");
    }
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    return UniqueFd(number);
}

UniqueFd memfd_create(const char* name) {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) throw_errno(errno, "memfd_create ", name);
    return fd;
}

struct stat fstat(const UniqueFd& fd, std::string_view what) {
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) throw_errno(errno, "stat ", what);
    return st;
}

}  // namespace locald::posix
