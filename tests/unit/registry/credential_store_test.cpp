#include "core/registry/credentials/credential_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/registry/real_registry.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using testing::error_of;
using testing::read_file;
using testing::write_file;

class Credential : public ::testing::Test {
protected:
    std::optional<Credentials> find(const std::string& registry, const std::string& repository = "team/app") const {
        return CredentialStore({{dir_ / "config.json"}, false, dir_.path()}).find(registry, repository);
    }
    void config(const std::string& text) const { write_file(dir_ / "config.json", text); }
    /// A credential helper that keeps its arguments and input in `asked`.
    void helper(const std::string& name, const std::string& script) const {
        const std::string path = dir_ / ("docker-credential-" + name);
        write_file(path, "#!/bin/sh\n{ echo \"$@\"; /bin/cat; } > '" + (dir_ / "asked") + "'\n" + script);
        ::chmod(path.c_str(), 0755);
    }
    locald::testing::TempDir dir_;
};

TEST_F(Credential, IsReadFromAuth) {
    config(R"({"auths":{"reg.example:5000":{"auth":"dGVzdGVyOnNlOmNyZXQ="}}})");
    const auto found = find("reg.example:5000");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->username, "tester");
    EXPECT_EQ(found->password, "se:cret");
    EXPECT_EQ(found->source, dir_ / "config.json");
    EXPECT_FALSE(find("reg.example"));
    EXPECT_FALSE(find("reg.example:5001"));
}

TEST_F(Credential, OfDockerHubStandsUnderItsOldUrl) {
    config(R"({"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"registry-1.docker.io.evil":{"auth":"Yzpk"}}})");
    const auto found = find("docker.io", "library/alpine");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->username, "a");
    config(R"({"auths":{"registry-1.docker.io":{"auth":"Yzpk"}}})");
    ASSERT_TRUE(find("docker.io"));
    EXPECT_EQ(find("docker.io")->username, "c");
    EXPECT_FALSE(find("index.docker.io.example"));
}

TEST_F(Credential, IsTakenFromTheLongestPathThatFits) {
    config(R"({"auths":{"reg":{"auth":"YTpi"},"reg/team":{"auth":"Yzpk"},"reg/team/app":{"auth":"ZTpm"},
               "https://other/v2/":{"auth":"Zzpo"}}})");
    EXPECT_EQ(find("reg", "team/app")->username, "e");
    EXPECT_EQ(find("reg", "team/app2")->username, "c");
    EXPECT_EQ(find("reg", "teams/app")->username, "a");
    EXPECT_EQ(find("other", "x")->username, "g");
}

TEST_F(Credential, MayBeAnIdentityToken) {
    config(R"({"auths":{"reg":{"auth":"PHRva2VuPjo=","identitytoken":"refresh"}}})");
    EXPECT_EQ(find("reg")->identity_token, "refresh");
    EXPECT_EQ(find("reg")->password, "");
}

TEST_F(Credential, IsAskedOfTheHelperOfItsHost) {
    config(R"({"credHelpers":{"reg":"one"},"auths":{"reg":{"auth":"YTpi"}}})");
    helper("one", R"(echo '{"ServerURL":"reg","Username":"me","Secret":"s3"}')");
    const auto found = find("reg");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->username, "me");
    EXPECT_EQ(found->password, "s3");
    EXPECT_EQ(found->source, "docker-credential-one");
    EXPECT_EQ(read_file(dir_ / "asked"), "get\nreg\n");
}

TEST_F(Credential, OfDockerHubIsAskedForByItsOldUrl) {
    config(R"({"credsStore":"one"})");
    helper("one", R"(echo '{"Username":"<token>","Secret":"refresh"}')");
    EXPECT_EQ(find("docker.io")->identity_token, "refresh");
    EXPECT_EQ(read_file(dir_ / "asked"), "get\nhttps://index.docker.io/v1/\n");
}

TEST_F(Credential, HelperThatKnowsNothingMeansAnonymous) {
    config(R"({"credHelpers":{"reg":"one"},"auths":{"reg":{"auth":"YTpi"}}})");
    helper("one", "echo 'credentials not found in native keychain'; exit 1");
    EXPECT_FALSE(find("reg"));
}

TEST_F(Credential, HelperThatIsMissingIsAnErrorAndNothingElseIsTried) {
    for (const char* text : {R"({"credHelpers":{"reg":"gone"},"auths":{"reg":{"auth":"YTpi"}}})",
                             R"({"credsStore":"gone","auths":{"reg":{"auth":"YTpi"}}})"}) {
        config(text);
        const auto error = error_of([&] { find("reg"); });
        EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
        EXPECT_NE(error.message().find("docker-credential-gone"), std::string::npos) << error.what();
        EXPECT_NE(error.message().find("config.json"), std::string::npos) << error.what();
    }
}

TEST_F(Credential, HelperThatFailsIsAnErrorThatShowsNoSecret) {
    config(R"({"credsStore":"one"})");
    helper("one", "echo 'keyring is locked'; exit 3");
    const auto failed = error_of([&] { find("reg"); });
    EXPECT_NE(failed.message().find("keyring is locked"), std::string::npos) << failed.what();
    helper("one", R"(echo '{"Secret":"s3cr3t"')");
    const auto malformed = error_of([&] { find("reg"); });
    EXPECT_EQ(malformed.kind(), ErrorKind::unavailable) << malformed.what();
    EXPECT_EQ(std::string(malformed.what()).find("s3cr3t"), std::string::npos) << malformed.what();
}

TEST_F(Credential, HelperNameIsNoPath) {
    config(R"({"credsStore":"../evil"})");
    EXPECT_EQ(error_of([&] { find("reg"); }).kind(), ErrorKind::invalid);
}

TEST_F(Credential, HelperIsNotTakenFromARelativeEntryOfPath) {
    config(R"({"credsStore":"one"})");
    helper("one", R"(echo '{"Username":"a","Secret":"b"}')");
    const CredentialStore store({{dir_ / "config.json"}, false, "." + std::string(":relative")});
    EXPECT_EQ(error_of([&] { store.find("reg", "x"); }).kind(), ErrorKind::unavailable);
}

TEST_F(Credential, FileThatIsMalformedIsNamed) {
    for (const char* text :
         {"{", "[]", R"({"auths":{"reg":{"auth":"%%%"}}})", R"({"auths":{"reg":{"auth":"YWI="}}})"}) {
        config(text);
        const auto error = error_of([&] { find("reg"); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid) << text;
        EXPECT_NE(error.message().find(dir_ / "config.json"), std::string::npos) << error.what();
    }
    for (const char* text : {"", "{}", R"({"auths":null})", R"({"auths":{"reg":{}}})", R"({"auths":{"reg":7}})"}) {
        config(text);
        EXPECT_FALSE(find("reg")) << text;
    }
}

TEST_F(Credential, FilesAreReadInOrder) {
    write_file(dir_ / "first", R"({"auths":{"a":{"auth":"YTpi"}}})");
    write_file(dir_ / "second", R"({"auths":{"a":{"auth":"Yzpk"},"b":{"auth":"Yzpk"}}})");
    const CredentialStore store({{dir_ / "nosuch", dir_ / "first", dir_ / "second"}, false, ""});
    EXPECT_EQ(store.find("a", "x")->username, "a");
    EXPECT_EQ(store.find("b", "x")->username, "c");
    const CredentialStore named({{dir_ / "nosuch"}, true, ""});
    EXPECT_EQ(error_of([&] { named.find("a", "x"); }).kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace locald::registry
