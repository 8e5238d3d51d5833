#include "backends/ssh/ssh_forwards.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>
#include <utility>

#include "backends/ssh/connect.hpp"
#include "core/base/log.hpp"
#include "core/host/handle.hpp"
#include "core/host/pipe.hpp"
#include "core/host/tcp_listener.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using bundle::PortOption;

constexpr auto connect_most = 20s;
// A container that answers and ends: how long its last words may stand still on the way.
constexpr auto silence_most = 3s;
// Picked for one family, a port may be taken in the other.
constexpr int picks_most = 16;
// What the other side's own names for it are, of both families; sshd tries all of them.
constexpr const char* target = "localhost";

struct Listener {
    Listener(int handle, std::uint16_t port) : socket(handle), to(port) { host::set_non_blocking(handle); }
    host::Handle socket;
    std::uint16_t to;
};

/// Adds the listeners of one port. @return the port that it has
std::uint16_t listen(const PortOption& port, std::vector<Listener>& listeners) {
    if (!port.address.empty()) {
        listeners.emplace_back(host::listen_tcp(port.address, port.host_port), port.container_port);
        return host::port_of(listeners.back().socket.get());
    }
    // `localhost` is either, by program and by chance.
    for (int pick = 0;; ++pick) {
        Listener four(host::listen_tcp("127.0.0.1", port.host_port), port.container_port);
        const auto number = host::port_of(four.socket.get());
        try {
            listeners.emplace_back(host::listen_tcp("::1", number), port.container_port);
        } catch (const Error& e) {
            if (e.os_errno() == EADDRINUSE && port.host_port == 0 && pick < picks_most) continue;
            // A host without IPv6 has no other.
            if (e.os_errno() != EADDRNOTAVAIL && e.os_errno() != EAFNOSUPPORT) throw;
        }
        listeners.push_back(std::move(four));
        return number;
    }
}

class SshForwards final : public PortForwards {
public:
    SshForwards(const std::string& address, const std::vector<PortOption>& ports)
        : route_(find_route(parse_ssh_address(address))), ports_(ports) {
        for (auto& port : ports_) {
            in_step("publish port " + std::to_string(port.container_port),
                    [&] { port.host_port = listen(port, listeners_); });
        }
        session_ = open_session(route_, connect_most);
        for (const auto& port : ports_) check(port);
        const auto ends = host::make_pipe();
        wake_read_ = ends[0];
        wake_write_ = ends[1];
        thread_ = std::thread([this] { serve(); });
    }

    ~SshForwards() override {
        ::close(wake_write_);
        thread_.join();
        ::close(wake_read_);
        listeners_.clear();
        if (session_) session_->finish_forwards(silence_most);
    }
    SshForwards(const SshForwards&) = delete;
    SshForwards& operator=(const SshForwards&) = delete;

    const std::vector<PortOption>& ports() const noexcept override { return ports_; }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    /// One connection before the container is there: whether the server forwards at all is not told otherwise.
    void check(const PortOption& port) {
        const auto number = std::to_string(port.container_port);
        try {
            session_->connect(target, port.container_port, connect_most);
        } catch (Error& e) {
            if (e.kind() != ErrorKind::denied) throw;
            // Nobody listens there yet, which is as it should be; all but that is the server's own refusal.
            if (e.message().find("connect failed") != std::string::npos) return;
            e.add_context("publish port " + number + ": forward to " + route_.name);
            throw e.with_remedy("the server there has AllowTcpForwarding no, or PermitOpen without " +
                                std::string(target) + ":" + number +
                                ": let its sshd_config say `AllowTcpForwarding local`, or leave out -p");
        }
        warnings_.push_back("something listens on port " + number + " of " + route_.name +
                            " already; the container shares that host's network, so -p leads there");
    }

    void serve() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        std::vector<pollfd> entries{{wake_read_, POLLIN, 0}};
        for (const auto& listener : listeners_) entries.push_back({listener.socket.get(), POLLIN, 0});
        for (;;) {
            if (::poll(entries.data(), entries.size(), -1) < 0) continue;
            if (entries[0].revents != 0) return;
            for (std::size_t i = 0; i < listeners_.size(); ++i) {
                if (entries[i + 1].revents != 0) accept(listeners_[i]);
            }
        }
    }

    void accept(const Listener& listener) {
        const int socket = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (socket < 0) {
            // Out of descriptors, it would be ready again at once.
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) std::this_thread::sleep_for(50ms);
            return;
        }
        if (session_->lost()) reconnect();
        session_->forward(socket, target, listener.to);
    }

    /// The container goes on without it, and so may its ports.
    void reconnect() {
        try {
            session_ = open_session(route_, connect_most);
        } catch (const Error& e) {
            log(LogLevel::warning, e.what());
        }
    }

    SshRoute route_;
    std::vector<PortOption> ports_;
    std::vector<std::string> warnings_;
    std::vector<Listener> listeners_;
    std::shared_ptr<SshSession> session_;
    int wake_read_ = -1, wake_write_ = -1;
    std::thread thread_;
};

}  // namespace

std::shared_ptr<PortForwards> open_ssh_forwards(const std::string& address, const std::vector<PortOption>& ports) {
    return std::make_shared<SshForwards>(address, ports);
}

}  // namespace locald::backends
