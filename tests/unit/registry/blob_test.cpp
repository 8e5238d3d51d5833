#include "core/registry/blob.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/temp_dir.hpp"
#include "tests/unit/registry/real_registry.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// Opened by the test, waited for by a handler; bounded, so that a failing test ends.
class Gate {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, 20s, [&] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

std::string noise(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t state = 7;
    for (char& c : out) {
        state = state * 1664525U + 1013904223U;
        c = static_cast<char>(state >> 24U);
    }
    return out;
}

/// Says that `whole` bytes follow and ends the connection after `text`.
void break_off(TestServer::Response& response, const std::string& text, std::size_t whole) {
    response.setKeepAlive(false);
    response.setContentLength64(static_cast<Poco::Int64>(whole));
    response.send() << text << std::flush;
}

class BlobFrom : public ::testing::Test {
protected:
    void SetUp() override { write_file(scratch_ / "auth.json", "{}"); }
    ClientOptions options() const { return quiet_options(scratch_ / "auth.json"); }
    Error error_from(const TestServer& server, const oci::Descriptor& blob) {
        kept_.text.clear();
        return error_of(
            [&] { Client(options()).fetch_blob(reference_to(server, "x"), blob, kept_, {}, CancelToken()); });
    }
    locald::testing::TempDir scratch_;
    TestImage image_;
    Kept kept_;
};

TEST_F(BlobFrom, AServerThatLiesAboutTheBytesIsCorrupt) {
    std::string other = image_.layer;
    other[3] ^= 1;
    TestServer server([&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, other); });
    const auto error = error_from(server, image_.layer_descriptor());
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
    EXPECT_NE(error.message().find(image_.layer_descriptor().digest.str()), std::string::npos) << error.what();
}

TEST_F(BlobFrom, AnotherLengthIsRefusedBeforeAByteIsRead) {
    for (const std::string& body : {image_.layer + "x", image_.layer.substr(1)}) {
        TestServer server(
            [&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, body); });
        const auto error = error_from(server, image_.layer_descriptor());
        EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
        EXPECT_EQ(kept_.text, "");
    }
}

TEST_F(BlobFrom, ABodyWithoutALengthNeverGivesMoreThanTheBlob) {
    TestServer server([&](const Seen&, TestServer::Response& response) {
        response.setChunkedTransferEncoding(true);
        auto& out = response.send();
        for (int i = 0; i < 1000; ++i) out << image_.layer;
    });
    const auto error = error_from(server, image_.layer_descriptor());
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
    EXPECT_LE(kept_.text.size(), image_.layer.size());
}

TEST_F(BlobFrom, AConnectionThatBreaksIsTakenUpWhereItBroke) {
    const TestImage image(noise(3U << 20U));
    constexpr std::size_t first = 1'500'000;
    TestServer server([&](const Seen& seen, TestServer::Response& response) {
        const std::string range = seen.header("range");
        if (range.empty()) return break_off(response, image.layer.substr(0, first), image.layer.size());
        const std::size_t from = std::stoul(range.substr(range.find('=') + 1));
        const std::size_t size = image.layer.size();
        response.set("Content-Range",
                     "bytes " + std::to_string(from) + "-" + std::to_string(size - 1) + "/" + std::to_string(size));
        TestServer::answer(response, 206, image.layer.substr(from));
    });
    EXPECT_EQ(error_from(server, image.layer_descriptor()).message(), "no error was thrown");
    EXPECT_TRUE(kept_.text == image.layer);
    const auto seen = server.seen();
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[1].header("range"), "bytes=" + std::to_string(first) + "-");
}

TEST_F(BlobFrom, AServerWithoutRangesHasTheKnownBytesSkipped) {
    std::atomic<int> asked{0};
    TestServer server([&](const Seen&, TestServer::Response& response) {
        if (asked++ == 0) return break_off(response, image_.layer.substr(0, 5), image_.layer.size());
        TestServer::answer(response, 200, image_.layer);
    });
    EXPECT_EQ(error_from(server, image_.layer_descriptor()).message(), "no error was thrown");
    EXPECT_EQ(kept_.text, image_.layer);
}

TEST_F(BlobFrom, ARangeThatWasNotAskedForIsRefused) {
    for (const char* range : {"bytes 4-15/16", "bytes 6-15/16", "bytes 5-14/16", "bytes 5-15/17", "", "bytes */16"}) {
        std::atomic<int> asked{0};
        ASSERT_EQ(image_.layer.size(), 16U);
        TestServer server([&](const Seen&, TestServer::Response& response) {
            if (asked++ == 0) return break_off(response, image_.layer.substr(0, 5), image_.layer.size());
            response.set("Content-Range", range);
            TestServer::answer(response, 206, image_.layer.substr(5));
        });
        const auto error = error_from(server, image_.layer_descriptor());
        EXPECT_NE(error.message().find("Content-Range"), std::string::npos) << range << ": " << error.what();
    }
    TestServer unasked([&](const Seen&, TestServer::Response& response) {
        response.set("Content-Range", "bytes 0-15/16");
        TestServer::answer(response, 206, image_.layer);
    });
    EXPECT_EQ(error_from(unasked, image_.layer_descriptor()).kind(), ErrorKind::unavailable);
}

TEST_F(BlobFrom, AServerThatAlwaysBreaksOffEndsTheCall) {
    TestServer server([&](const Seen&, TestServer::Response& response) { break_off(response, "abc", 16); });
    ClientOptions few = options();
    few.most_retries = 1;
    const auto error = error_of([&] {
        Client(few).fetch_blob(reference_to(server, "x"), image_.layer_descriptor(), kept_, {}, CancelToken());
    });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    EXPECT_EQ(server.seen().size(), 2U);
}

TEST_F(BlobFrom, EndlessRedirectsEnd) {
    std::unique_ptr<TestServer> server;
    server = std::make_unique<TestServer>([&](const Seen& seen, TestServer::Response& response) {
        TestServer::redirect(response, 307, seen.target + "x");
    });
    const auto error = error_from(*server, image_.layer_descriptor());
    EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    EXPECT_NE(error.message().find("more than 5 redirects"), std::string::npos) << error.what();
    EXPECT_EQ(server->seen().size(), 6U);
}

TEST_F(BlobFrom, ARedirectToAnotherPortOrHostCarriesNoLogin) {
    TestServer other(
        [&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, image_.layer); });
    for (const std::string& to : {other.url(), "http://localhost:" + std::to_string(other.port())}) {
        for (const int status : {301, 302, 303, 307, 308}) {
            TestServer server([&](const Seen& seen, TestServer::Response& response) {
                if (seen.header("authorization").empty()) {
                    response.set("WWW-Authenticate", "Basic realm=\"x\"");
                    return TestServer::answer(response, 401, "");
                }
                TestServer::redirect(response, status, to + "/elsewhere?signature=1");
            });
            write_file(scratch_ / "auth.json",
                       R"({"auths":{")" + server.authority() + R"(":{"auth":"dGVzdGVyOnNlY3JldA=="}}})");
            EXPECT_EQ(error_from(server, image_.layer_descriptor()).message(), "no error was thrown");
            EXPECT_EQ(kept_.text, image_.layer);
            EXPECT_EQ(server.seen().back().header("authorization"), "Basic dGVzdGVyOnNlY3JldA==");
        }
    }
    ASSERT_EQ(other.seen().size(), 10U);
    for (const Seen& seen : other.seen()) {
        EXPECT_EQ(seen.target, "/elsewhere?signature=1");
        for (const auto& [name, value] : seen.headers) {
            EXPECT_NE(name, "authorization");
            EXPECT_EQ(value.find("dGVzdGVy"), std::string::npos) << name;
        }
    }
}

TEST_F(BlobFrom, ALoginOfTheRedirectsTargetIsNotAnswered) {
    TestServer other([&](const Seen&, TestServer::Response& response) {
        response.set("WWW-Authenticate", "Basic realm=\"x\"");
        TestServer::answer(response, 401, "");
    });
    TestServer server([&](const Seen&, TestServer::Response& response) {
        TestServer::redirect(response, 307, other.url() + "/blob");
    });
    write_file(scratch_ / "auth.json", R"({"auths":{")" + server.authority() + R"(":{"auth":"YTpi"},")" +
                                           other.authority() + R"(":{"auth":"YTpi"}}})");
    EXPECT_EQ(error_from(server, image_.layer_descriptor()).kind(), ErrorKind::denied);
    EXPECT_EQ(other.seen().size(), 1U);
}

TEST_F(BlobFrom, UrlsOfADescriptorAreNeverUsed) {
    TestServer elsewhere(
        [&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, image_.layer); });
    TestServer server([&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 404, ""); });
    oci::Descriptor foreign = image_.layer_descriptor();
    foreign.urls = {elsewhere.url() + "/layer"};
    EXPECT_EQ(error_from(server, foreign).kind(), ErrorKind::not_found);
    EXPECT_TRUE(elsewhere.seen().empty());
}

TEST_F(BlobFrom, AStalledServerEndsAfterTheIdleTimeout) {
    Gate gate;
    TestServer server([&](const Seen&, TestServer::Response& response) {
        response.setContentLength64(16);
        response.send() << "abc" << std::flush;
        gate.wait();
    });
    ClientOptions impatient = options();
    impatient.idle_timeout = 1s;
    impatient.most_retries = 0;
    const auto error = error_of([&] {
        Client(impatient).fetch_blob(reference_to(server, "x"), image_.layer_descriptor(), kept_, {}, CancelToken());
    });
    gate.open();
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.message().find("no byte for 1 s"), std::string::npos) << error.what();
    EXPECT_EQ(kept_.text, "abc");
}

TEST_F(BlobFrom, ASlowServerCanBeCancelled) {
    Gate gate;
    Gate begun;
    TestServer server([&](const Seen&, TestServer::Response& response) {
        response.setContentLength64(16);
        response.send() << "abc" << std::flush;
        begun.open();
        gate.wait();
    });
    ClientOptions patient = options();
    patient.idle_timeout = 60s;
    const CancelToken cancel;
    std::thread canceller([&] {
        begun.wait();
        cancel.cancel();
    });
    const auto from = std::chrono::steady_clock::now();
    const auto error = error_of(
        [&] { Client(patient).fetch_blob(reference_to(server, "x"), image_.layer_descriptor(), kept_, {}, cancel); });
    EXPECT_EQ(error.kind(), ErrorKind::cancelled) << error.what();
    EXPECT_LT(std::chrono::steady_clock::now() - from, 15s);
    canceller.join();
    gate.open();
}

TEST_F(BlobFrom, AConnectionIsKeptForTheNextBlob) {
    const TestImage image(noise(600'000));
    TestServer server([&](const Seen& seen, TestServer::Response& response) { image.serve(seen, response); });
    Client client(options());
    const auto wanted = reference_to(server, "x");
    for (int i = 0; i < 5; ++i) {
        Kept kept;
        client.fetch_blob(wanted, image.layer_descriptor(), kept, {}, CancelToken());
        EXPECT_TRUE(kept.text == image.layer);
    }
    EXPECT_EQ(server.connections(), 1);
}

TEST_F(BlobFrom, AnEmptyBlobIsABlob) {
    TestServer server([](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, ""); });
    EXPECT_EQ(error_from(server, descriptor_of("", oci::media_type::layer)).message(), "no error was thrown");
    const auto error = error_from(server, image_.layer_descriptor());
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
}

TEST_F(BlobFrom, ACompressedAnswerIsRefused) {
    TestServer server([&](const Seen&, TestServer::Response& response) {
        response.set("Content-Encoding", "gzip");
        TestServer::answer(response, 200, image_.layer);
    });
    EXPECT_EQ(error_from(server, image_.layer_descriptor()).kind(), ErrorKind::unsupported);
    EXPECT_EQ(server.seen().front().header("accept-encoding"), "identity");
}

}  // namespace
}  // namespace locald::registry
