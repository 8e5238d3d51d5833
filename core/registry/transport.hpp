#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/registry/client.hpp"
#include "core/registry/url.hpp"

namespace locald::registry {

/// A failure that the same request may survive when it is made again.
class Transient : public Error {
public:
    explicit Transient(Error error, std::optional<std::chrono::seconds> retry_after = std::nullopt)
        : Error(std::move(error)), retry_after_(retry_after) {}
    /// What the server asked for in Retry-After.
    std::optional<std::chrono::seconds> retry_after() const noexcept { return retry_after_; }

private:
    std::optional<std::chrono::seconds> retry_after_;
};

/// The peer speaks no TLS. A certificate that is not trusted is no NoTls but an Error(denied).
class NoTls : public Error {
public:
    using Error::Error;
};

struct Header {
    std::string name, value;
};

struct Request {
    std::string method = "GET";
    Url url;
    std::vector<Header> headers;
    std::string body;
};

/// Which addresses a connection may lead to.
enum class Reach {
    anywhere,     ///< the registry that the user named
    not_inwards,  ///< a place that a server named: no loopback, link-local or metadata address, whatever its name is
};

class Connection;
class ConnectionPool;
class Tls;

/// One answer; the body is read from the connection, which goes back to the pool once the body has ended.
class Response {
public:
    Response(Response&&) noexcept;
    Response& operator=(Response&&) noexcept;
    ~Response();

    int status() const noexcept { return status_; }
    /// The first header of that name, in any case; nothing when there is none.
    std::optional<std::string> header(std::string_view name) const;
    std::vector<std::string> all_headers(std::string_view name) const;
    /// Of the body; nothing when the server did not say.
    std::optional<std::uint64_t> length() const noexcept { return length_; }
    const Url& url() const noexcept { return url_; }

    /// Up to `into.size()` bytes; 0 at the end.
    /// @throws Transient when the body ends before its length, breaks or stalls; Error(cancelled)
    std::size_t read(std::span<std::byte> into, const CancelToken& cancel);
    /// The whole body. @throws Error(invalid) that names `what` when it is longer than `most` bytes
    std::string read_text(std::size_t most, std::string_view what, const CancelToken& cancel);
    /// Reads a short body away, so that its connection can be used again.
    void discard(const CancelToken& cancel);

private:
    friend class Transport;
    Response() = default;
    void body_ended();

    int status_ = 0;
    Url url_;
    std::vector<Header> headers_;
    std::optional<std::uint64_t> length_;
    std::uint64_t left_ = 0;  ///< of a body whose length is known
    bool chunked_ = false;
    bool ended_ = false;
    bool reusable_ = false;
    std::chrono::milliseconds idle_timeout_{0};
    std::unique_ptr<Connection> connection_;
    std::shared_ptr<ConnectionPool> pool_;
};

/// HTTP/1.1 over Poco: one request, one answer. It follows no redirect, knows no credentials and repeats nothing, but
/// for a request that a kept connection swallowed without a word. Thread-safe.
class Transport {
public:
    explicit Transport(const ClientOptions& options);
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    /// @throws NoTls, Transient, Error(unavailable, denied, cancelled)
    Response exchange(const Request& request, Reach reach, const CancelToken& cancel);

    /// True when `host` is loopback by name or by what it resolves to.
    bool leads_to_loopback(const std::string& host) const;

private:
    /// @throws Poco::Exception as well
    Response exchange_over(std::unique_ptr<Connection> connection, const Request& request, const CancelToken& cancel);

    ClientOptions options_;
    std::unique_ptr<Tls> tls_;
    std::shared_ptr<ConnectionPool> pool_;
};

}  // namespace locald::registry
