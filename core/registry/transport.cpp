#include "core/registry/transport.hpp"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>

#include <algorithm>
#include <limits>

#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/registry/address.hpp"
#include "core/registry/connection.hpp"
#include "core/registry/tls.hpp"

namespace locald::registry {
namespace {

/// The decoded length of the body, if the headers say it. @throws Error(unavailable) for a length that is none
std::optional<std::uint64_t> content_length(const std::vector<Header>& headers, const std::string& peer) {
    std::optional<std::uint64_t> length;
    for (const Header& header : headers) {
        if (to_lower(header.name) != "content-length") continue;
        const auto value = parse_u64(trim(header.value));
        if (!value || (length && *length != *value)) {
            throw Error(ErrorKind::unavailable, peer + ": Content-Length " + json_quote(header.value) + ": no length");
        }
        length = value;
    }
    return length;
}

void refuse_encoded(const Response& response) {
    const std::string encoding = to_lower(response.header("Content-Encoding").value_or("identity"));
    if (encoding == "identity" || encoding.empty()) return;
    throw Error(ErrorKind::unsupported, response.url().origin.str() + ": Content-Encoding " + json_quote(encoding) +
                                            ", though identity was asked for");
}

}  // namespace

Response::Response(Response&&) noexcept = default;
Response& Response::operator=(Response&&) noexcept = default;

Response::~Response() {
    if (!connection_) return;
    const SigpipeGuard guard;
    connection_.reset();
}

std::optional<std::string> Response::header(std::string_view name) const {
    const std::string wanted = to_lower(name);
    for (const Header& header : headers_) {
        if (to_lower(header.name) == wanted) return header.value;
    }
    return std::nullopt;
}

std::vector<std::string> Response::all_headers(std::string_view name) const {
    const std::string wanted = to_lower(name);
    std::vector<std::string> out;
    for (const Header& header : headers_) {
        if (to_lower(header.name) == wanted) out.push_back(header.value);
    }
    return out;
}

void Response::body_ended() {
    ended_ = true;
    if (!connection_) return;
    const SigpipeGuard guard;
    if (reusable_) pool_->give(std::move(connection_));
    connection_.reset();
}

std::size_t Response::read(std::span<std::byte> into, const CancelToken& cancel) {
    if (ended_ || into.empty()) return 0;
    const SigpipeGuard guard;
    try {
        std::size_t most = std::min<std::size_t>(into.size(), std::numeric_limits<int>::max());
        if (length_) most = static_cast<std::size_t>(std::min<std::uint64_t>(most, left_));
        connection_->wait_readable(idle_timeout_, cancel);
        const std::size_t got =
            chunked_ ? connection_->read_chunked(into.data(), most) : connection_->read_raw(into.data(), most);
        if (got == 0) {
            if (length_) {
                throw Transient(Error(ErrorKind::unavailable, url_.origin.str() + ": the answer ended " +
                                                                  std::to_string(left_) + " bytes early"));
            }
            body_ended();
            return 0;
        }
        if (length_) {
            left_ -= got;
            if (left_ == 0) body_ended();
        }
        return got;
    } catch (const Error&) {
        connection_.reset();
        ended_ = true;
        throw;
    } catch (const Poco::Exception&) {
        connection_.reset();
        ended_ = true;
        rethrow_as_error(url_.origin.host_and_port());
    }
}

void Response::discard(const CancelToken& cancel) {
    constexpr std::uint64_t worth_reading = 64U << 10U;
    if (!length_ || *length_ > worth_reading) return;
    try {
        read_text(worth_reading, "discarded answer", cancel);
    } catch (const Transient&) {
        // the connection is closed then, which is as good
    }
}

std::string Response::read_text(std::size_t most, std::string_view what, const CancelToken& cancel) {
    const auto too_long = [&] {
        return Error(ErrorKind::invalid, std::string(what) + ": larger than " + std::to_string(most) + " bytes");
    };
    if (length_ && *length_ > most) throw too_long();
    std::string out;
    std::vector<std::byte> block(64U << 10U);
    while (const std::size_t got = read(block, cancel)) {
        if (got > most - out.size()) throw too_long();
        out.append(reinterpret_cast<const char*>(block.data()), got);
    }
    return out;
}

Transport::Transport(const ClientOptions& options)
    : options_(options), tls_(std::make_unique<Tls>(options.ca_file)), pool_(std::make_shared<ConnectionPool>()) {}
Transport::~Transport() = default;

Response Transport::exchange(const Request& request, Reach reach, const CancelToken& cancel) {
    const SigpipeGuard guard;
    cancel.check();
    // a request that changes something must not be sent twice
    while (auto kept = request.method == "GET" ? pool_->take(request.url.origin, reach) : nullptr) {
        try {
            return exchange_over(std::move(kept), request, cancel);
        } catch (const Poco::Exception&) {
            continue;  // the server may have closed a kept connection just as we wrote to it
        }
    }
    auto fresh = connect_to(request.url.origin, *tls_, options_, reach, cancel);
    try {
        return exchange_over(std::move(fresh), request, cancel);
    } catch (const Poco::Exception&) {
        rethrow_as_error(request.url.origin.host_and_port());
    }
}

Response Transport::exchange_over(std::unique_ptr<Connection> connection, const Request& request,
                                  const CancelToken& cancel) {
    const Origin& origin = request.url.origin;
    const auto& proxy = connection->plain_proxy();
    Poco::Net::HTTPRequest out(request.method, proxy ? request.url.str() : request.url.target,
                               Poco::Net::HTTPMessage::HTTP_1_1);
    out.set("Host", origin.authority());
    out.set("User-Agent", "locald/" + std::string(version));
    out.set("Accept-Encoding", "identity");
    if (proxy && !proxy->authorization.empty()) out.set("Proxy-Authorization", proxy->authorization);
    for (const Header& header : request.headers) out.set(header.name, header.value);
    if (!request.body.empty()) out.setContentLength64(static_cast<Poco::Int64>(request.body.size()));

    Poco::Net::HTTPResponse in;
    Response response;
    std::ostream& body = connection->sendRequest(out);
    body << request.body << std::flush;
    connection->flushRequest();
    connection->wait_readable(options_.idle_timeout, cancel);
    connection->stream = &connection->receiveResponse(in);

    response.status_ = static_cast<int>(in.getStatus());
    response.url_ = request.url;
    for (const auto& [name, value] : in) response.headers_.push_back({name, value});
    response.idle_timeout_ = options_.idle_timeout;
    response.chunked_ = in.getChunkedTransferEncoding();
    const bool empty = request.method == "HEAD" || response.status_ == 204 || response.status_ == 304;
    if (empty) {
        response.length_ = 0;
    } else if (!response.chunked_) {
        response.length_ = content_length(response.headers_, origin.host_and_port());
    }
    response.left_ = response.length_.value_or(0);
    response.reusable_ = in.getKeepAlive() && (response.chunked_ || response.length_);
    response.connection_ = std::move(connection);
    response.pool_ = pool_;
    refuse_encoded(response);
    if (response.length_ == std::uint64_t{0}) response.body_ended();
    return response;
}

bool Transport::leads_to_loopback(const std::string& host) const {
    if (is_loopback_name(host)) return true;
    try {
        const auto addresses = resolve_host(host);
        return std::all_of(addresses.begin(), addresses.end(), is_loopback_address);
    } catch (const Error&) {
        return false;  // a host behind a proxy need not resolve here
    }
}

}  // namespace locald::registry
