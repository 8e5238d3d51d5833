#pragma once

#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/StreamSocket.h>

#include <chrono>
#include <csignal>
#include <istream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/progress.hpp"
#include "core/registry/client.hpp"
#include "core/registry/proxy.hpp"
#include "core/registry/tls.hpp"
#include "core/registry/transport.hpp"
#include "core/registry/url.hpp"

namespace locald::registry {

/// Keeps SIGPIPE from the calling thread while it lives: OpenSSL writes to sockets without MSG_NOSIGNAL.
class SigpipeGuard {
public:
    SigpipeGuard();
    ~SigpipeGuard();
    SigpipeGuard(const SigpipeGuard&) = delete;
    SigpipeGuard& operator=(const SigpipeGuard&) = delete;

private:
    sigset_t before_{};
    bool pending_before_ = false;
};

/// One connected HTTP session. It is made from a connected socket and given no host, so Poco never reconnects it on its
/// own, which would pass by our address and certificate checks.
class Connection : public Poco::Net::HTTPClientSession {
public:
    Connection(const Poco::Net::StreamSocket& connected, Origin origin, Reach reach, std::optional<Proxy> plain_proxy);

    const Origin& origin() const noexcept { return origin_; }
    /// By which rule its address was judged when it was made.
    Reach reach() const noexcept { return reach_; }
    /// The proxy that wants absolute request targets; none for direct and tunnelled connections.
    const std::optional<Proxy>& plain_proxy() const noexcept { return plain_proxy_; }

    /// Waits until bytes can be read, in short steps. @throws Transient past `timeout`, Error(cancelled)
    void wait_readable(std::chrono::milliseconds timeout, const CancelToken& cancel);
    /// Up to `size` bytes of a body that is not chunked, past Poco's 4 KiB stream buffers. 0 at the end.
    std::size_t read_raw(std::byte* into, std::size_t size);
    /// The same for a chunked body.
    std::size_t read_chunked(std::byte* into, std::size_t size);

    /// The body stream of the current answer.
    std::istream* stream = nullptr;
    std::chrono::steady_clock::time_point idle_since;

    /// True when the peer has closed it or has sent what nobody asked for.
    bool stale();

private:
    bool holds_bytes();

    Origin origin_;
    Reach reach_;
    std::optional<Proxy> plain_proxy_;
};

/// Idle connections by origin and by the rule their address was judged by.
class ConnectionPool {
public:
    ~ConnectionPool();
    /// A usable idle connection, or none.
    std::unique_ptr<Connection> take(const Origin& origin, Reach reach);
    void give(std::unique_ptr<Connection> connection);

private:
    std::mutex mutex_;
    std::map<std::pair<Origin, Reach>, std::vector<std::unique_ptr<Connection>>> idle_;
};

/// A new connection to `origin`, through a proxy where the environment names one, with TLS where the scheme says so.
/// Every address of the host is tried in turn.
/// @throws NoTls, Transient, Error(unavailable, denied, cancelled)
std::unique_ptr<Connection> connect_to(const Origin& origin, Tls& tls, const ClientOptions& options, Reach reach,
                                       const CancelToken& cancel);

/// Turns the Poco exception in flight into ours; `peer` is who was spoken to. Call it in a catch block only.
[[noreturn]] void rethrow_as_error(const std::string& peer);

}  // namespace locald::registry
