#include "core/registry/transport.hpp"

#include <Poco/Net/IPAddress.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "core/registry/address.hpp"
#include "core/registry/connection.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// Sends the same bytes to whoever connects, whatever he says, and closes.
class RawServer {
public:
    explicit RawServer(std::string bytes)
        : bytes_(std::move(bytes)), socket_(Poco::Net::SocketAddress("127.0.0.1", 0)) {
        thread_ = std::thread([this] { run(); });
    }
    ~RawServer() {
        stop_ = true;
        thread_.join();
    }
    Url url() const { return parse_url("http://127.0.0.1:" + std::to_string(socket_.address().port()) + "/", "test"); }

private:
    void run() {
        while (!stop_) {
            if (!socket_.poll(Poco::Timespan(20'000), Poco::Net::Socket::SELECT_READ)) continue;
            try {
                Poco::Net::StreamSocket peer = socket_.acceptConnection();
                char request[4096];
                peer.receiveBytes(request, sizeof request);
                peer.sendBytes(bytes_.data(), static_cast<int>(bytes_.size()));
                peer.shutdownSend();
                peer.setReceiveTimeout(Poco::Timespan(500'000));
                while (peer.receiveBytes(request, sizeof request) > 0) {
                }
            } catch (const Poco::Exception&) {
                continue;  // a client that left
            }
        }
    }

    std::string bytes_;
    Poco::Net::ServerSocket socket_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

ClientOptions short_options() {
    ClientOptions options;
    options.idle_timeout = 3s;
    return options;
}

/// Asks `server` once and reads at most 1000 bytes.
Error asked(const RawServer& server, std::string& text) {
    return error_of([&] {
        Transport transport(short_options());
        Request request;
        request.url = server.url();
        Response response = transport.exchange(request, Reach::anywhere, CancelToken());
        text = response.read_text(1000, "answer", CancelToken());
    });
}

TEST(Transport, EndsOnWhatIsNoHttp) {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    std::string many_headers = ok;
    for (int i = 0; i < 100'000; ++i) many_headers += "X-" + std::to_string(i) + ": y\r\n";
    const std::string answers[] = {
        "",
        "\n",
        "not http at all\r\n\r\n",
        "HTTP/1.1",
        "HTTP/1.1 200",
        "HTTP/1.1 abc OK\r\n\r\n",
        std::string(100'000, 'x'),
        many_headers,
        ok + "X: " + std::string(100'000, 'y') + "\r\n\r\n",
        ok + "Content-Length: -1\r\n\r\nabc",
        ok + "Content-Length: 99999999999999999999\r\n\r\nabc",
        ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        ok + "Content-Length: 4\r\n\r\nabc",
    };
    for (const std::string& answer : answers) {
        const RawServer server(answer);
        std::string text;
        const Error error = asked(server, text);
        EXPECT_EQ(error.kind(), ErrorKind::unavailable) << answer.substr(0, 60) << " → " << error.what() << text;
        EXPECT_NE(error.message(), "no error was thrown") << answer.substr(0, 60);
    }
}

TEST(Transport, ReadsABodyThatEndsWithItsConnection) {
    const RawServer server("HTTP/1.0 200 OK\r\n\r\nabc");
    std::string text;
    EXPECT_EQ(asked(server, text).message(), "no error was thrown");
    EXPECT_EQ(text, "abc");
}

TEST(Transport, ReplacesAKeptConnectionThatTheServerClosed) {
    const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    Transport transport(short_options());
    Request request;
    request.url = server.url();
    for (int i = 0; i < 3; ++i) {
        Response response = transport.exchange(request, Reach::anywhere, CancelToken());
        EXPECT_EQ(response.read_text(100, "answer", CancelToken()), "abc");
    }
}

TEST(Transport, BoundsABodyThatNeverEnds) {
    const RawServer server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(1U << 20U, 'x'));
    std::string text;
    EXPECT_EQ(asked(server, text).kind(), ErrorKind::invalid);
}

TEST(Transport, DoesNotReachInwardsForAnotherServer) {
    TestServer server([](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, "secret"); });
    Transport transport(short_options());
    for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1.2.3"}) {
        Request request;
        request.url = parse_url("http://" + host + ":" + std::to_string(server.port()) + "/", "test");
        // a connection that the user's own registry left behind opens no way in
        if (host == "127.0.0.1") transport.exchange(request, Reach::anywhere, CancelToken()).discard(CancelToken());
        const auto error = error_of([&] { transport.exchange(request, Reach::not_inwards, CancelToken()); });
        EXPECT_EQ(error.kind(), ErrorKind::denied) << host << ": " << error.what();
    }
    EXPECT_EQ(server.seen().size(), 1U);
}

TEST(Address, TellsInwardAddressesApart) {
    const Origin origin{"https", "name.example", 443};
    for (const char* inward : {"127.0.0.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "100.100.100.200",
                               "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254"}) {
        EXPECT_EQ(error_of([&] { check_not_inwards(origin, Poco::Net::IPAddress(inward)); }).kind(), ErrorKind::denied)
            << inward;
    }
    for (const char* outward : {"8.8.8.8", "10.0.0.1", "192.168.1.1", "2001:db8::1", "::ffff:8.8.8.8", "fd00::1"}) {
        EXPECT_NO_THROW(check_not_inwards(origin, Poco::Net::IPAddress(outward))) << outward;
    }
}

TEST(Sigpipe, IsKeptFromTheThreadAndLeavesNoTrace) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    for (const int how : {SIG_BLOCK, SIG_UNBLOCK}) {  // Poco blocks it in the main thread when it is loaded
        pthread_sigmask(how, &pipe, nullptr);
        {
            const SigpipeGuard outer;
            const SigpipeGuard guard;
            pthread_kill(pthread_self(), SIGPIPE);  // would end the test
        }
        sigset_t pending;
        sigset_t after;
        sigpending(&pending);
        pthread_sigmask(SIG_SETMASK, nullptr, &after);
        EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
        EXPECT_EQ(sigismember(&after, SIGPIPE), how == SIG_BLOCK ? 1 : 0);
    }
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

/// Sets an environment variable for one test.
class Variable {
public:
    Variable(std::string name, const std::string& value) : name_(std::move(name)) {
        ::setenv(name_.c_str(), value.c_str(), 1);
    }
    ~Variable() { ::unsetenv(name_.c_str()); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    std::string name_;
};

TEST(ThroughAProxy, PlainRequestsCarryTheWholeUrlAndTheProxysLogin) {
    TestServer proxy([](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, "through"); });
    const Variable variable("http_proxy", "http://user:pw@" + proxy.authority());
    Transport transport(short_options());
    Request request;
    request.url = parse_url("http://registry.invalid:5000/v2/x?y", "test");
    Response response = transport.exchange(request, Reach::anywhere, CancelToken());
    EXPECT_EQ(response.read_text(100, "answer", CancelToken()), "through");
    const auto seen = proxy.seen();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].target, "http://registry.invalid:5000/v2/x?y");
    EXPECT_EQ(seen[0].header("host"), "registry.invalid:5000");
    EXPECT_EQ(seen[0].header("proxy-authorization"), "Basic dXNlcjpwdw==");
}

TEST(ThroughAProxy, ARefusedTunnelIsTheProxysDoing) {
    const RawServer proxy("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    const Variable variable("https_proxy", proxy.url().str());
    Transport transport(short_options());
    Request request;
    request.url = parse_url("https://registry.invalid/v2/", "test");
    const auto error = error_of([&] { transport.exchange(request, Reach::anywhere, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::denied) << error.what();
    EXPECT_NE(error.message().find("proxy " + proxy.url().origin.host_and_port()), std::string::npos) << error.what();
    EXPECT_NE(error.remedy().find("https_proxy"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace locald::registry
