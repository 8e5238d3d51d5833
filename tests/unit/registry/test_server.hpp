#pragma once

#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/StreamCopier.h>
#include <Poco/ThreadPool.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"
#include "core/registry/client.hpp"
#include "core/registry/url.hpp"

namespace locald::registry::testing {

/// One request that a server saw.
struct Seen {
    std::string method, target, body;
    std::map<std::string, std::string> headers;  ///< names in lower case

    std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
};

/// A plain http server on 127.0.0.1 with one handler for everything.
class TestServer {
public:
    using Request = Poco::Net::HTTPServerRequest;
    using Response = Poco::Net::HTTPServerResponse;
    using Handler = std::function<void(const Seen&, Response&)>;

    explicit TestServer(Handler handler)
        : handler_(std::move(handler)),
          threads_(2, 16),
          socket_(Poco::Net::SocketAddress("127.0.0.1", 0)),
          server_(new Factory(*this), threads_, socket_, params()) {
        server_.start();
    }
    ~TestServer() {
        // the accepting thread looks at the stop flag four times a second, or when somebody comes
        std::thread visitor([address = socket_.address()] {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            try {
                const Poco::Net::StreamSocket visit(address);
            } catch (const Poco::Exception&) {
                return;  // it had stopped already
            }
        });
        server_.stopAll(true);
        threads_.joinAll();
        visitor.join();
    }
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    unsigned port() const { return socket_.address().port(); }
    std::string authority() const { return "127.0.0.1:" + std::to_string(port()); }
    std::string url() const { return "http://" + authority(); }
    /// How many connections were made that carried a request of http.
    int connections() const {
        const std::lock_guard lock(mutex_);
        return static_cast<int>(peers_.size());
    }
    std::vector<Seen> seen() const {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    static void answer(Response& response, int status, const std::string& body,
                       const std::string& type = "application/json") {
        response.setStatus(static_cast<Response::HTTPStatus>(status));
        response.setContentType(type);
        response.setContentLength64(static_cast<Poco::Int64>(body.size()));
        response.send() << body;
    }
    static void redirect(Response& response, int status, const std::string& to) {
        response.set("Location", to);
        answer(response, status, "");
    }

private:
    static Poco::Net::HTTPServerParams* params() {
        auto* out = new Poco::Net::HTTPServerParams;  // the server's own
        // the client tries TLS first, whose bytes may look like the beginning of a request
        out->setTimeout(Poco::Timespan(200'000));
        return out;
    }

    class Run : public Poco::Net::HTTPRequestHandler {
    public:
        explicit Run(TestServer& server) : server_(server) {}
        void handleRequest(Request& request, Response& response) override {
            if (request.getMethod() != "GET" && request.getMethod() != "POST") return;  // a TLS hello in disguise
            Seen seen{request.getMethod(), request.getURI(), {}, {}};
            for (const auto& [name, value] : request) seen.headers[to_lower(name)] = value;
            Poco::StreamCopier::copyToString(request.stream(), seen.body);
            {
                const std::lock_guard lock(server_.mutex_);
                server_.seen_.push_back(seen);
                server_.peers_.insert(request.clientAddress().toString());
            }
            server_.handler_(seen, response);
        }

    private:
        TestServer& server_;
    };
    class Factory : public Poco::Net::HTTPRequestHandlerFactory {
    public:
        explicit Factory(TestServer& server) : server_(server) {}
        Poco::Net::HTTPRequestHandler* createRequestHandler(const Request&) override { return new Run(server_); }

    private:
        TestServer& server_;
    };

    Handler handler_;
    mutable std::mutex mutex_;
    std::vector<Seen> seen_;
    std::set<std::string> peers_;
    Poco::ThreadPool threads_;
    Poco::Net::ServerSocket socket_;
    Poco::Net::HTTPServer server_;
};

/// Keeps what it gets.
class Kept : public BlobSink {
public:
    void write(std::span<const std::byte> bytes) override {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    std::string text;
};

inline oci::Descriptor descriptor_of(const std::string& bytes, std::string_view type) {
    oci::Descriptor out;
    out.media_type = type;
    out.digest = sha256_of(bytes);
    out.size = bytes.size();
    return out;
}

/// A small image: one layer, its config, its manifest, and an index for linux/amd64 and linux/arm64.
struct TestImage {
    std::string layer, config, manifest, index;

    explicit TestImage(std::string layer_bytes = "not really a tar") : layer(std::move(layer_bytes)) {
        oci::ImageConfig image_config;
        image_config.os = "linux";
        image_config.architecture = "amd64";
        image_config.diff_ids = {sha256_of(layer)};
        config = oci::to_json(image_config);
        oci::Manifest document;
        document.media_type = oci::media_type::manifest;
        document.config = descriptor_of(config, oci::media_type::config);
        document.layers = {descriptor_of(layer, oci::media_type::layer)};
        manifest = oci::to_json(document);
        oci::Index list;
        list.media_type = oci::media_type::index;
        auto one = descriptor_of(manifest, oci::media_type::manifest);
        one.platform = oci::Platform{"linux", "amd64", ""};
        list.manifests.push_back(one);
        index = oci::to_json(list);
    }

    /// Answers a request for one of its parts; false when it is for something else.
    bool serve(const Seen& seen, TestServer::Response& response) const {
        const auto ends_with = [&](const std::string& tail) { return seen.target.ends_with(tail); };
        if (ends_with("/manifests/index")) {
            TestServer::answer(response, 200, index, std::string(oci::media_type::index));
        } else if (ends_with("/manifests/plain") || ends_with("/manifests/" + sha256_of(manifest).str())) {
            TestServer::answer(response, 200, manifest, std::string(oci::media_type::manifest));
        } else if (ends_with("/blobs/" + sha256_of(layer).str())) {
            TestServer::answer(response, 200, layer, "application/octet-stream");
        } else if (ends_with("/blobs/" + sha256_of(config).str())) {
            TestServer::answer(response, 200, config, "application/octet-stream");
        } else {
            return false;
        }
        return true;
    }
    oci::Descriptor layer_descriptor() const { return descriptor_of(layer, oci::media_type::layer); }
};

inline oci::Reference reference_to(const TestServer& server, const std::string& tag) {
    oci::Reference out;
    out.registry = server.authority();
    out.repository = "test/image";
    out.tag = tag;
    return out;
}

inline const oci::Platform amd64{"linux", "amd64", ""};

/// Runs `body` and gives the Error that it must throw.
template <class F>
Error error_of(F&& body) {
    try {
        body();
    } catch (const Error& e) {
        return e;
    }
    return Error(ErrorKind::system, "no error was thrown");
}

/// The options of most tests: no credentials of whoever runs them.
inline ClientOptions quiet_options(const std::string& auth_file) {
    ClientOptions options;
    options.auth_file = auth_file;
    options.idle_timeout = std::chrono::seconds(5);
    return options;
}

}  // namespace locald::registry::testing
