#pragma once

#include <libssh2.h>
#include <poll.h>

#include <chrono>
#include <string>
#include <string_view>

#include "backends/ssh/tcp.hpp"
#include "core/base/error.hpp"

namespace locald::backends {

/// One step after the other, without blocking for longer than there is time.
class Opening {
public:
    Opening(LIBSSH2_SESSION* session, int socket, const std::string& name, std::chrono::milliseconds most)
        : session_(session),
          socket_(socket),
          name_(name),
          begin_(std::chrono::steady_clock::now()),
          end_(begin_ + most) {}

    /// Repeats `call` until it says something else than "not yet".
    template <class Call>
    auto until_done(const char* stage, Call&& call) {
        for (;;) {
            const auto result = call();
            if (!is_again(result)) return result;
            wait(stage);
        }
    }

    /// The first words of any server, before which nothing is known of it.
    bool has_banner() const noexcept {
        const char* banner = libssh2_session_banner_get(session_);
        return banner != nullptr && std::string_view(banner).starts_with("SSH-");
    }
    /// Whether the server is gone, which libssh2 tells as the failure of what it was at.
    bool hung_up() const noexcept { return has_hung_up(socket_); }
    std::chrono::steady_clock::time_point end() const noexcept { return end_; }

    [[noreturn]] void fail(ErrorKind kind, const std::string& stage, const std::string& why) const {
        throw Error(kind, "connect to " + name_ + ": " + stage + ": " + why);
    }

    std::string last_words() const {
        char* words = nullptr;
        int size = 0;
        libssh2_session_last_error(session_, &words, &size, 0);
        return size > 0 ? std::string(words, static_cast<std::size_t>(size)) : std::string("no reason given");
    }

private:
    static bool is_again(int result) { return result == LIBSSH2_ERROR_EAGAIN; }
    bool is_again(const char* result) const {
        return result == nullptr && libssh2_session_last_errno(session_) == LIBSSH2_ERROR_EAGAIN;
    }

    void wait(const char* stage) const {
        // What only accepts connections is found out sooner than a slow server.
        const bool greeted = has_banner();
        const auto end = greeted ? end_ : begin_ + (end_ - begin_) / 2;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0 && !greeted) {
            throw Error(ErrorKind::unavailable,
                        "connect to " + name_ + ": greeting: something takes connections there and says nothing")
                .with_remedy("is it an SSH server that listens on that port, and has it room for one more?");
        }
        if (left.count() <= 0) fail(ErrorKind::unavailable, stage, "no answer in time");
        const int blocked = libssh2_session_block_directions(session_);
        pollfd entry{socket_, 0, 0};
        if ((blocked & LIBSSH2_SESSION_BLOCK_INBOUND) != 0) entry.events |= POLLIN;
        if ((blocked & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0) entry.events |= POLLOUT;
        ::poll(&entry, 1, static_cast<int>(left.count()));
    }

    LIBSSH2_SESSION* session_;
    int socket_;
    const std::string& name_;
    std::chrono::steady_clock::time_point begin_, end_;
};

}  // namespace locald::backends
