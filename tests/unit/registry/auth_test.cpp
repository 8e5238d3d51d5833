#include "core/registry/auth.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "core/base/base64.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/registry/real_registry.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using namespace testing;

ErrorKind kind_of_realm(const std::string& realm, const Origin& registry) {
    return error_of([&] { check_realm(realm, registry); }).kind();
}

TEST(Realm, MustBeEncryptedUnlessTheRegistryIsNot) {
    const Origin secure{"https", "registry.example", 443};
    const Origin plain{"http", "127.0.0.1", 5000};
    EXPECT_EQ(check_realm("https://auth.docker.io/token", secure).str(), "https://auth.docker.io/token");
    EXPECT_EQ(check_realm("http://127.0.0.1:1/token", plain).str(), "http://127.0.0.1:1/token");
    EXPECT_EQ(kind_of_realm("http://registry.example/token", secure), ErrorKind::denied);
    for (const char* realm : {"", "/token", "registry.example/token", "https://registry.example@evil.example/token",
                              "https://user:pw@registry.example/", "file:///etc/passwd", "https://"}) {
        EXPECT_EQ(kind_of_realm(realm, secure), ErrorKind::denied) << realm;
        EXPECT_EQ(kind_of_realm(realm, plain), ErrorKind::denied) << realm;
    }
}

/// A registry that wants a token, and the token server.
class Login : public ::testing::Test {
protected:
    Login()
        : tokens_([this](const Seen& seen, TestServer::Response& response) { answer_token(seen, response); }),
          registry_([this](const Seen& seen, TestServer::Response& response) {
              if (seen.header("authorization") != "Bearer " + accepted_) {
                  response.set("WWW-Authenticate", challenge_);
                  return TestServer::answer(response, refusal_,
                                            R"({"errors":[{"message":"authentication required"}]})");
              }
              if (!image_.serve(seen, response)) TestServer::answer(response, 404, "");
          }) {
        challenge_ =
            R"(Bearer realm="http://)" + tokens_.authority() + R"(/token",service="the service",scope="x:y:z")";
        write_file(scratch_ / "auth.json", "{}");
    }
    void answer_token(const Seen&, TestServer::Response& response) {
        if (token_status_ != 200) return TestServer::answer(response, token_status_, R"({"details":"no such user"})");
        TestServer::answer(response, 200, token_answer_);
    }
    void log_in_with(const std::string& entry) {
        write_file(scratch_ / "auth.json", R"({"auths":{")" + registry_.authority() + "\":" + entry + "}}");
    }
    Error pull(Client& client) {
        return error_of([&] {
            const auto wanted = reference_to(registry_, "index");
            const auto resolved = client.resolve(wanted, amd64, CancelToken());
            Kept kept;
            client.fetch_blob(wanted, resolved.manifest.layers.at(0), kept, {}, CancelToken());
        });
    }
    Error pull() {
        Client client(quiet_options(scratch_ / "auth.json"));
        return pull(client);
    }

    locald::testing::TempDir scratch_;
    TestImage image_;
    std::string challenge_;
    std::string accepted_ = "t1";
    int refusal_ = 401;
    int token_status_ = 200;
    std::string token_answer_ = R"({"token":"t1","expires_in":300})";
    TestServer tokens_;
    TestServer registry_;
};

TEST_F(Login, FetchesOneAnonymousTokenForAllOfAnImage) {
    EXPECT_EQ(pull().message(), "no error was thrown");
    ASSERT_EQ(tokens_.seen().size(), 1U);
    const Seen asked = tokens_.seen()[0];
    EXPECT_EQ(asked.method, "GET");
    EXPECT_EQ(asked.target, "/token?service=the%20service&scope=repository%3Atest%2Fimage%3Apull");
    EXPECT_EQ(asked.header("authorization"), "");
    const auto seen = registry_.seen();
    ASSERT_EQ(seen.size(), 4U);  // refused, index, manifest, blob
    EXPECT_EQ(seen[0].header("authorization"), "");
}

TEST_F(Login, ShowsTheTokenServerThePassword) {
    log_in_with(R"({"auth":"dGVzdGVyOnNlY3JldA=="})");
    EXPECT_EQ(pull().message(), "no error was thrown");
    ASSERT_EQ(tokens_.seen().size(), 1U);
    EXPECT_EQ(tokens_.seen()[0].header("authorization"), "Basic dGVzdGVyOnNlY3JldA==");
    EXPECT_NE(tokens_.seen()[0].target.find("account=tester"), std::string::npos);
    for (const Seen& seen : registry_.seen()) EXPECT_FALSE(seen.header("authorization").starts_with("Basic"));
}

TEST_F(Login, TradesAnIdentityTokenByPost) {
    token_answer_ = R"({"access_token":"t1"})";
    log_in_with(R"({"identitytoken":"re fresh&x"})");
    EXPECT_EQ(pull().message(), "no error was thrown");
    ASSERT_EQ(tokens_.seen().size(), 1U);
    const Seen asked = tokens_.seen()[0];
    EXPECT_EQ(asked.method, "POST");
    EXPECT_EQ(asked.target, "/token");
    EXPECT_EQ(asked.body,
              "grant_type=refresh_token&refresh_token=re%20fresh%26x&client_id=locald&service=the%20service&"
              "scope=repository%3Atest%2Fimage%3Apull");
}

TEST_F(Login, FetchesANewTokenOnceWhenTheOldOneIsRefused) {
    Client client(quiet_options(scratch_ / "auth.json"));
    EXPECT_EQ(pull(client).message(), "no error was thrown");
    accepted_ = "t2";
    token_answer_ = R"({"token":"t2"})";
    EXPECT_EQ(pull(client).message(), "no error was thrown");
    EXPECT_EQ(tokens_.seen().size(), 2U);
}

TEST_F(Login, GivesUpWhenNoTokenHelps) {
    accepted_ = "never";
    const auto error = pull();
    EXPECT_EQ(error.kind(), ErrorKind::denied) << error.what();
    EXPECT_NE(error.message().find("authentication required"), std::string::npos) << error.what();
    EXPECT_NE(error.remedy().find("docker login " + registry_.authority()), std::string::npos) << error.what();
    EXPECT_NE(error.remedy().find(scratch_ / "auth.json"), std::string::npos) << error.what();
    EXPECT_LE(registry_.seen().size(), 3U);
}

TEST_F(Login, AsksForTheRegistrysScopeWhenItsOwnIsNotEnough) {
    accepted_ = "wide";
    challenge_ += R"(,error="insufficient_scope")";
    refusal_ = 403;
    token_answer_ = R"({"token":"narrow"})";
    EXPECT_EQ(pull().kind(), ErrorKind::denied);
    const auto seen = tokens_.seen();
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_NE(seen[0].target.find("scope=repository%3Atest"), std::string::npos);
    EXPECT_NE(seen[1].target.find("scope=x%3Ay%3Az"), std::string::npos);
}

TEST_F(Login, SaysThatTheTokenServerRefusedTheCredentials) {
    token_status_ = 401;
    log_in_with(R"({"auth":"dGVzdGVyOnNlY3JldA=="})");
    const auto error = pull();
    EXPECT_EQ(error.kind(), ErrorKind::denied);
    EXPECT_NE(error.message().find("no such user"), std::string::npos) << error.what();
    EXPECT_NE(error.message().find(scratch_ / "auth.json"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
}

TEST_F(Login, FollowsNoRedirectOfTheTokenServer) {
    token_status_ = 302;
    EXPECT_EQ(pull().kind(), ErrorKind::unavailable);
    EXPECT_EQ(tokens_.seen().size(), 1U);
}

TEST_F(Login, TakesNoTokenThatWouldForgeAHeader) {
    for (const char* answer :
         {"{\"token\":\"a\\r\\nEvil: 1\"}", R"({"token":""})", R"({"token":7})", "[]", "no json"}) {
        token_answer_ = answer;
        EXPECT_EQ(pull().kind(), ErrorKind::unavailable) << answer;
    }
    for (const Seen& seen : registry_.seen()) EXPECT_EQ(seen.header("evil"), "");
}

TEST_F(Login, ReadsNoEndlessToken) {
    token_answer_ = R"({"token":")" + std::string(100'000, 'x') + "\"}";
    EXPECT_EQ(pull().kind(), ErrorKind::invalid);
}

TEST_F(Login, RefusesARealmThatNamesAnotherHostBehindAUser) {
    challenge_ = R"(Bearer realm="http://127.0.0.1@)" + tokens_.authority() + R"(/token")";
    log_in_with(R"({"auth":"dGVzdGVyOnNlY3JldA=="})");
    EXPECT_EQ(pull().kind(), ErrorKind::denied);
    EXPECT_TRUE(tokens_.seen().empty());
}

TEST_F(Login, AsksWhomTheOptionsNameAndReadsNoFile) {
    log_in_with(R"({"username":"file","password":"file"})");
    ClientOptions options = quiet_options(scratch_ / "auth.json");
    options.credentials.places = "some other place";
    options.credentials.find = [](std::string_view, std::string_view) { return std::nullopt; };
    accepted_ = "none";
    Client anonymous(options);
    const Error error = pull(anonymous);
    EXPECT_NE(error.remedy().find("some other place"), std::string::npos) << error.what();
    for (const auto& seen : tokens_.seen()) EXPECT_EQ(seen.header("authorization"), "");

    options.credentials.find = [](std::string_view, std::string_view) { return Credentials{"ann", "word", {}, "it"}; };
    Client asked(options);
    pull(asked);
    EXPECT_EQ(tokens_.seen().back().header("authorization"), "Basic " + base64_encode("ann:word"));
}

TEST_F(Login, SendsNothingWhenItsCredentialHelperIsMissing) {
    write_file(scratch_ / "auth.json", R"({"credHelpers":{")" + registry_.authority() +
                                           R"(":"nosuch-helper"},"auths":{")" + registry_.authority() +
                                           R"(":{"auth":"dGVzdGVyOnNlY3JldA=="}}})");
    const auto error = pull();
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.message().find("docker-credential-nosuch-helper"), std::string::npos) << error.what();
    EXPECT_TRUE(tokens_.seen().empty());
    EXPECT_EQ(registry_.seen().size(), 1U);
}

TEST_F(Login, PrefersBearerToBasic) {
    challenge_ = R"(Basic realm="x", )" + challenge_;
    log_in_with(R"({"auth":"dGVzdGVyOnNlY3JldA=="})");
    EXPECT_EQ(pull().message(), "no error was thrown");
    for (const Seen& seen : registry_.seen()) EXPECT_FALSE(seen.header("authorization").starts_with("Basic"));
}

}  // namespace
}  // namespace locald::registry
