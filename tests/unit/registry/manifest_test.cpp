#include "core/registry/manifest.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.hpp"
#include "tests/unit/registry/real_registry.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using namespace testing;

class ManifestFrom : public ::testing::Test {
protected:
    void SetUp() override { write_file(scratch_ / "auth.json", "{}"); }
    ClientOptions options() const { return quiet_options(scratch_ / "auth.json"); }
    /// Resolves `tag` at a server that answers every manifest request so.
    Error error_for(const std::string& body, std::string_view type, const std::string& digest_header = {}) const {
        TestServer server([&](const Seen&, TestServer::Response& response) {
            if (!digest_header.empty()) response.set("Docker-Content-Digest", digest_header);
            TestServer::answer(response, 200, body, std::string(type));
        });
        return error_of([&] { Client(options()).resolve(reference_to(server, "latest"), amd64, CancelToken()); });
    }
    locald::testing::TempDir scratch_;
    TestImage image_;
};

TEST_F(ManifestFrom, AnIndexIsTheOneOfThePlatformAndAllTypesAreAccepted) {
    TestServer server([&](const Seen& seen, TestServer::Response& response) {
        if (!image_.serve(seen, response)) TestServer::answer(response, 404, "");
    });
    const auto resolved = Client(options()).resolve(reference_to(server, "index"), amd64, CancelToken());
    EXPECT_EQ(resolved.json, image_.manifest);
    EXPECT_EQ(resolved.index, sha256_of(image_.index));
    ASSERT_TRUE(resolved.descriptor.platform);
    EXPECT_EQ(*resolved.descriptor.platform, amd64);
    const auto seen = server.seen();
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0].target, "/v2/test/image/manifests/index");
    for (const std::string_view type : {oci::media_type::index, oci::media_type::docker_list, oci::media_type::manifest,
                                        oci::media_type::docker_manifest}) {
        EXPECT_NE(seen[1].header("accept").find(type), std::string::npos) << type;
    }
    EXPECT_TRUE(seen[0].header("user-agent").starts_with("locald/")) << seen[0].header("user-agent");
}

TEST_F(ManifestFrom, ADigestMustBeWhatTheDigestSays) {
    TestServer server([&](const Seen&, TestServer::Response& response) {
        TestServer::answer(response, 200, image_.manifest + " ", std::string(oci::media_type::manifest));
    });
    oci::Reference wanted = reference_to(server, "");
    wanted.digest = sha256_of(image_.manifest);
    const auto error = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
    EXPECT_NE(error.message().find(wanted.digest.str()), std::string::npos) << error.what();
}

TEST_F(ManifestFrom, AnIndexMustBeWhatTheIndexSays) {
    TestServer server([&](const Seen& seen, TestServer::Response& response) {
        if (seen.target.ends_with("/index")) {
            image_.serve(seen, response);
        } else {
            TestServer::answer(response, 200, TestImage("other").manifest, std::string(oci::media_type::manifest));
        }
    });
    const auto error =
        error_of([&] { Client(options()).resolve(reference_to(server, "index"), amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
}

TEST_F(ManifestFrom, AnIndexWithAnotherSizeIsRefused) {
    oci::Index index = oci::parse_index(image_.index);
    index.manifests[0].size += 1;
    const std::string text = oci::to_json(index);
    TestServer server([&](const Seen& seen, TestServer::Response& response) {
        if (seen.target.ends_with("/sized")) {
            TestServer::answer(response, 200, text, std::string(oci::media_type::index));
        } else {
            image_.serve(seen, response);
        }
    });
    const auto error =
        error_of([&] { Client(options()).resolve(reference_to(server, "sized"), amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.what();
}

TEST_F(ManifestFrom, ATagMustFitDockerContentDigestWhereItStands) {
    const auto wrong = error_for(image_.manifest, oci::media_type::manifest, sha256_of("other").str());
    EXPECT_EQ(wrong.kind(), ErrorKind::corrupt) << wrong.what();
    const auto right = error_for(image_.manifest, oci::media_type::manifest, sha256_of(image_.manifest).str());
    EXPECT_EQ(right.message(), "no error was thrown");
}

TEST_F(ManifestFrom, ADocumentThatIsBothIndexAndManifestIsRefused) {
    std::string both = image_.manifest;
    both.insert(both.rfind('}'), R"(,"manifests":[])");
    EXPECT_EQ(error_for(both, oci::media_type::manifest).kind(), ErrorKind::invalid);
    EXPECT_EQ(error_for(both, oci::media_type::index).kind(), ErrorKind::invalid);
    EXPECT_EQ(error_for(both, "application/json").kind(), ErrorKind::invalid);
}

TEST_F(ManifestFrom, AContentTypeThatContradictsTheDocumentIsRefused) {
    EXPECT_EQ(error_for(image_.manifest, oci::media_type::index).kind(), ErrorKind::invalid);
    EXPECT_EQ(error_for(image_.index, oci::media_type::manifest).kind(), ErrorKind::invalid);
    EXPECT_EQ(error_for(image_.manifest, "application/vnd.evil+json").kind(), ErrorKind::invalid);
    // parameters and general types say nothing
    EXPECT_EQ(error_for(image_.manifest, "application/vnd.oci.image.manifest.v1+json; charset=utf-8").message(),
              "no error was thrown");
    EXPECT_EQ(error_for(image_.manifest, "text/plain").message(), "no error was thrown");
}

TEST_F(ManifestFrom, DockerSchema1IsRefusedByName) {
    const auto error = error_for("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws");
    EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
    EXPECT_NE(error.message().find("schema 1"), std::string::npos) << error.what();
}

TEST_F(ManifestFrom, ABodyAboveTheLimitIsNotRead) {
    const std::string large = image_.manifest + std::string(5U << 20U, ' ');
    const auto error = error_for(large, oci::media_type::manifest);
    EXPECT_EQ(error.kind(), ErrorKind::invalid) << error.what();
    // also when its length is not said beforehand
    TestServer chunked([&](const Seen&, TestServer::Response& response) {
        response.setContentType(std::string(oci::media_type::manifest));
        response.setChunkedTransferEncoding(true);
        response.send() << large;
    });
    const auto unsaid =
        error_of([&] { Client(options()).resolve(reference_to(chunked, "latest"), amd64, CancelToken()); });
    EXPECT_EQ(unsaid.kind(), ErrorKind::invalid) << unsaid.what();
    EXPECT_NE(unsaid.message().find("larger than"), std::string::npos) << unsaid.what();
}

TEST_F(ManifestFrom, AChunkedAnswerIsRead) {
    TestServer server([&](const Seen&, TestServer::Response& response) {
        response.setContentType(std::string(oci::media_type::manifest));
        response.setChunkedTransferEncoding(true);
        response.send() << image_.manifest;
    });
    Client client(options());
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(client.resolve(reference_to(server, "latest"), amd64, CancelToken()).json, image_.manifest);
    }
}

TEST_F(ManifestFrom, ABusyServerIsAskedAgain) {
    std::atomic<int> asked{0};
    TestServer server([&](const Seen& seen, TestServer::Response& response) {
        const int nth = asked++;
        if (nth == 0) {
            response.set("Retry-After", "0");
            TestServer::answer(response, 429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]})");
        } else if (nth == 1) {
            TestServer::answer(response, 503, "");
        } else {
            image_.serve(seen, response);
        }
    });
    const auto resolved = Client(options()).resolve(reference_to(server, "plain"), amd64, CancelToken());
    EXPECT_EQ(resolved.json, image_.manifest);
    EXPECT_EQ(asked, 3);
}

TEST_F(ManifestFrom, AServerThatStaysBusyEndsTheCallWithItsWords) {
    std::atomic<int> asked{0};
    TestServer server([&](const Seen&, TestServer::Response& response) {
        ++asked;
        response.set("Retry-After", "0");
        TestServer::answer(response, 429, "{\"errors\":[{\"message\":\"slow\\u0007 down\"}]}");
    });
    ClientOptions few = options();
    few.most_retries = 2;
    const auto error = error_of([&] { Client(few).resolve(reference_to(server, "plain"), amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.message().find("429: slow  down"), std::string::npos) << error.what();
    EXPECT_EQ(asked, 3);
}

TEST_F(ManifestFrom, AServerThatAsksForTooMuchPatienceIsNotWaitedFor) {
    std::atomic<int> asked{0};
    TestServer server([&](const Seen&, TestServer::Response& response) {
        ++asked;
        response.set("Retry-After", "21600");
        TestServer::answer(response, 429, "");
    });
    const auto error =
        error_of([&] { Client(options()).resolve(reference_to(server, "plain"), amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.remedy().find("21600 s"), std::string::npos) << error.what();
    EXPECT_EQ(asked, 1);
}

TEST_F(ManifestFrom, NobodyListeningIsSaidAtOnce) {
    unsigned port = 0;
    {
        Poco::Net::ServerSocket probe(Poco::Net::SocketAddress("127.0.0.1", 0));
        port = probe.address().port();
    }
    oci::Reference wanted;
    wanted.registry = "127.0.0.1:" + std::to_string(port);
    wanted.repository = "a";
    wanted.tag = "b";
    const auto error = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    EXPECT_EQ(error.os_errno(), ECONNREFUSED) << error.what();
    EXPECT_NE(error.message().find(wanted.registry), std::string::npos) << error.what();
}

TEST_F(ManifestFrom, AnUnknownHostIsNamed) {
    oci::Reference wanted;
    wanted.registry = "registry.invalid";
    wanted.repository = "a";
    wanted.tag = "b";
    const auto error = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    EXPECT_NE(error.message().find("registry.invalid"), std::string::npos) << error.what();
    EXPECT_FALSE(error.remedy().empty());
}

TEST_F(ManifestFrom, ARepositoryThatWouldLeaveItsPathIsRefused) {
    TestServer server([&](const Seen&, TestServer::Response& response) { TestServer::answer(response, 200, "{}"); });
    for (const char* repository : {"a/../../b", "a?b", "a b", "a\r\nX: y", "", "a%2e"}) {
        oci::Reference wanted = reference_to(server, "latest");
        wanted.repository = repository;
        const auto error = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid) << repository;
    }
    EXPECT_TRUE(server.seen().empty());
}

}  // namespace
}  // namespace locald::registry
