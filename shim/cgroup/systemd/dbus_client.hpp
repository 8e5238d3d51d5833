#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/posix/unique_fd.hpp"
#include "shim/cgroup/systemd/dbus_wire.hpp"

namespace locald::shim {

/// A connection to a D-Bus peer or message bus over a unix socket, authenticated as whoever we are (EXTERNAL).
class DbusClient {
public:
    using Clock = std::chrono::steady_clock;

    /// Empty when nobody listens there. @param bus  true for a message bus: it wants Hello before anything else
    static DbusClient connect(const std::string& socket_path, bool bus);
    explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
    bool is_bus() const noexcept { return bus_; }

    /// Sends a call without waiting. @returns its serial
    std::uint32_t send(DbusMessage call);
    /// Sends a call and waits for its answer.
    /// @throws Error whose message has the peer's error name and words (DbusError), Error(unavailable) at the deadline
    DbusMessage call(DbusMessage call, Clock::time_point deadline);
    /// The answer to a call of send().
    DbusMessage answer(std::uint32_t serial, Clock::time_point deadline);
    /// The first signal, already here or yet to come, that `wanted` accepts.
    DbusMessage wait_for_signal(const std::function<bool(const DbusMessage&)>& wanted, Clock::time_point deadline);

private:
    void authenticate(Clock::time_point deadline);
    DbusMessage next(Clock::time_point deadline);
    void fill(Clock::time_point deadline);
    void write(std::string_view bytes);

    posix::UniqueFd socket_;
    bool bus_ = false;
    std::uint32_t last_serial_ = 0;
    std::string buffer_;
    std::deque<DbusMessage> waiting_;  ///< read while another one was looked for
};

/// The error name in an Error that call() threw; empty for any other.
std::string dbus_error_name(const std::string& message);

}  // namespace locald::shim
