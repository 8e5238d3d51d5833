#include "core/registry/connection.hpp"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/SSLException.h>

#include <algorithm>
#include <ctime>

#include "core/registry/address.hpp"

namespace locald::registry {
namespace {

using namespace std::chrono_literals;

/// How long a cancelled call may go on waiting.
constexpr auto wait_step = 100ms;
/// Servers commonly drop idle connections after this or more.
constexpr auto longest_idle = 15s;
constexpr std::size_t most_idle = 8;  // per origin
/// A dead first address must not use up the user's patience when there is a second.
constexpr auto impatient_timeout = 5s;
/// A loopback server that speaks plain http may wait silently for the rest of what it takes for a request.
constexpr auto loopback_handshake_timeout = 3s;
/// Poco waits for its receive timeout so often before a handshake fails: in SSL_connect, in SSL_do_handshake, in poll.
constexpr int waits_in_handshake = 3;

Poco::Timespan timespan(std::chrono::milliseconds time) {
    return Poco::Timespan(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

Poco::Net::StreamSocket connect_tcp(const Origin& to, const ClientOptions& options, Reach reach,
                                    const CancelToken& cancel) {
    const auto addresses = resolve_host(to.host);
    for (std::size_t i = 0;; ++i) {
        const bool last = i + 1 == addresses.size();
        const Poco::Net::SocketAddress address(addresses[i], to.port);
        if (reach == Reach::not_inwards) check_not_inwards(to, addresses[i]);
        cancel.check();
        try {
            Poco::Net::StreamSocket socket;
            socket.connect(address,
                           timespan(last ? options.connect_timeout
                                         : std::min<std::chrono::seconds>(options.connect_timeout, impatient_timeout)));
            socket.setReceiveTimeout(timespan(options.idle_timeout));
            socket.setSendTimeout(timespan(options.idle_timeout));
            socket.setNoDelay(true);
            return socket;
        } catch (const Poco::TimeoutException&) {
            if (last) {
                throw Transient(Error(ErrorKind::unavailable, "connect to " + to.host_and_port() + ": no answer for " +
                                                                  std::to_string(options.connect_timeout.count()) +
                                                                  " s")
                                    .with_remedy("check the network, and whether a proxy is needed (https_proxy)"));
            }
        } catch (const Poco::Exception&) {
            if (last) rethrow_as_error(to.host_and_port());
        }
    }
}

/// Asks `proxy` for a tunnel to `to` (RFC 9110 §9.3.6).
Poco::Net::StreamSocket open_tunnel(const Poco::Net::StreamSocket& socket, const Origin& to, const Proxy& proxy) {
    Poco::Net::HTTPClientSession session(socket);
    Poco::Net::HTTPRequest request("CONNECT", to.host_and_port(), Poco::Net::HTTPMessage::HTTP_1_1);
    request.set("Host", to.host_and_port());
    if (!proxy.authorization.empty()) request.set("Proxy-Authorization", proxy.authorization);
    session.setKeepAlive(true);
    session.setProxyConfig({});
    session.sendRequest(request);
    Poco::Net::HTTPResponse response;
    session.receiveResponse(response);
    const int status = response.getStatus();
    if (status != 200) {
        Error error(status == 407 || status == 403 ? ErrorKind::denied : ErrorKind::unavailable,
                    "connect to " + to.host_and_port() + " through the proxy " + proxy.origin.host_and_port() +
                        ": it answered " + std::to_string(status));
        if (status == 407) error.with_remedy("put the proxy's user and password into https_proxy");
        throw error;
    }
    return session.detachSocket();
}

}  // namespace

SigpipeGuard::SigpipeGuard() {
    sigset_t pending;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pending_before_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
}

SigpipeGuard::~SigpipeGuard() {
    // also when it was blocked before (Poco blocks it in the main thread): it would wait for whoever unblocks it
    if (!pending_before_) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        const timespec now{};
        while (sigtimedwait(&pipe, nullptr, &now) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Connection::Connection(const Poco::Net::StreamSocket& connected, Origin origin, Reach reach,
                       std::optional<Proxy> plain_proxy)
    : Poco::Net::HTTPClientSession(connected),
      origin_(std::move(origin)),
      reach_(reach),
      plain_proxy_(std::move(plain_proxy)) {
    setKeepAlive(true);
    setProxyConfig({});  // not the process-wide one, which another user of Poco may have set
}

bool Connection::holds_bytes() {
    if (buffered() > 0) return true;
    if (stream != nullptr && stream->rdbuf()->in_avail() > 0) return true;
    return socket().available() > 0;  // of TLS: decrypted bytes, which poll does not see
}

void Connection::wait_readable(std::chrono::milliseconds timeout, const CancelToken& cancel) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        cancel.check();
        if (holds_bytes() || socket().poll(timespan(wait_step), Poco::Net::Socket::SELECT_READ)) return;
        if (std::chrono::steady_clock::now() >= until) {
            throw Transient(Error(ErrorKind::unavailable,
                                  origin_.str() + ": no byte for " +
                                      std::to_string(std::chrono::ceil<std::chrono::seconds>(timeout).count()) + " s")
                                .with_remedy("try again later, or check the network"));
        }
    }
}

std::size_t Connection::read_raw(std::byte* into, std::size_t size) {
    const int got = read(reinterpret_cast<char*>(into), static_cast<std::streamsize>(size));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::size_t Connection::read_chunked(std::byte* into, std::size_t size) {
    // peek fills the stream's buffer once; a plain read(n) would wait for all n bytes
    if (stream->peek() == std::istream::traits_type::eof()) {
        if (networkException() != nullptr) networkException()->rethrow();
        return 0;
    }
    const auto there = std::min<std::streamsize>(stream->rdbuf()->in_avail(), static_cast<std::streamsize>(size));
    stream->read(reinterpret_cast<char*>(into), there);
    return static_cast<std::size_t>(stream->gcount());
}

bool Connection::stale() {
    try {
        return buffered() > 0 || socket().poll(Poco::Timespan(0), Poco::Net::Socket::SELECT_READ);
    } catch (const Poco::Exception&) {
        return true;
    }
}

ConnectionPool::~ConnectionPool() {
    const SigpipeGuard guard;  // closing TLS writes a farewell
    idle_.clear();
}

std::unique_ptr<Connection> ConnectionPool::take(const Origin& origin, Reach reach) {
    const SigpipeGuard guard;
    const std::lock_guard lock(mutex_);
    auto& list = idle_[{origin, reach}];
    while (!list.empty()) {
        std::unique_ptr<Connection> connection = std::move(list.back());
        list.pop_back();
        const bool old = std::chrono::steady_clock::now() - connection->idle_since > longest_idle;
        if (!old && !connection->stale()) return connection;
    }
    return nullptr;
}

void ConnectionPool::give(std::unique_ptr<Connection> connection) {
    const SigpipeGuard guard;
    connection->stream = nullptr;
    connection->idle_since = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    auto& list = idle_[{connection->origin(), connection->reach()}];
    if (list.size() < most_idle) list.push_back(std::move(connection));
}

std::unique_ptr<Connection> connect_to(const Origin& origin, Tls& tls, const ClientOptions& options, Reach reach,
                                       const CancelToken& cancel) {
    const auto proxy = proxy_for(origin, ProxySettings::of_this_process());
    const std::string peer = origin.host_and_port();
    if (proxy && reach == Reach::not_inwards) check_not_inwards_name(origin);
    // the proxy is the user's own choice, so its address is not judged
    Poco::Net::StreamSocket socket =
        connect_tcp(proxy ? proxy->origin : origin, options, proxy ? Reach::anywhere : reach, cancel);
    try {
        if (!origin.secure()) return std::make_unique<Connection>(socket, origin, reach, proxy);
        if (proxy) socket = open_tunnel(socket, origin, *proxy);
        const std::chrono::milliseconds patience =
            is_loopback_name(origin.host)
                ? std::min<std::chrono::milliseconds>(options.connect_timeout, loopback_handshake_timeout)
                : options.connect_timeout;
        socket.setReceiveTimeout(timespan(patience / waits_in_handshake));
        socket = tls.start(socket, origin);
        socket.setReceiveTimeout(timespan(options.idle_timeout));
        return std::make_unique<Connection>(socket, origin, reach, std::nullopt);
    } catch (const Poco::Exception&) {
        rethrow_as_error(peer);
    }
}

void rethrow_as_error(const std::string& peer) {
    const auto transient = [&](const std::string& words) {
        return Transient(Error(ErrorKind::unavailable, peer + ": " + words));
    };
    try {
        throw;
    } catch (const Poco::Net::ConnectionRefusedException&) {
        throw Error(ErrorKind::unavailable, "connect to " + peer + ": " + errno_text(ECONNREFUSED), ECONNREFUSED)
            .with_remedy("check the registry's name and port, and whether it runs");
    } catch (const Poco::TimeoutException&) {
        throw transient("no answer in time");
    } catch (const Poco::Net::ConnectionResetException&) {
        throw transient(errno_text(ECONNRESET));
    } catch (const Poco::Net::ConnectionAbortedException&) {
        throw transient(errno_text(ECONNABORTED));
    } catch (const Poco::Net::NoMessageException&) {
        throw transient("the connection was closed before the answer");
    } catch (const Poco::Net::SSLConnectionUnexpectedlyClosedException&) {
        throw transient("the TLS connection was closed without a farewell");
    } catch (const Poco::Net::MessageException& e) {
        throw Error(ErrorKind::unavailable, peer + ": the answer is no HTTP: " + e.displayText());
    } catch (const Poco::Net::HTTPException& e) {
        throw Error(ErrorKind::unavailable, peer + ": the answer is no HTTP: " + e.displayText());
    } catch (const Poco::Net::NetException& e) {
        const int err = e.code();
        throw Error(ErrorKind::unavailable, "connect to " + peer + ": " + (err > 0 ? errno_text(err) : e.displayText()),
                    err > 0 ? err : 0)
            .with_remedy("check the network");
    } catch (const Poco::Exception& e) {
        throw transient(e.displayText());
    }
}

}  // namespace locald::registry
