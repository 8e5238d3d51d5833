#include "backends/ssh/known_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "backends/hosts/fingerprint.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

// Two keys and the fingerprint that `ssh-keygen -lf` prints of the first.
constexpr const char* one = "AAAAC3NzaC1lZDI1NTE5AAAAIP1jVnN6kXYvFv3HkTGLqkzjkX2cVUXb7V6tRr2Wq9xS";
constexpr const char* two = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

std::string decoded(std::string_view text) {
    static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    unsigned held = 0, bits = 0;
    for (const char c : text) {
        held = held << 6U | static_cast<unsigned>(digits.find(c));
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes.push_back(static_cast<char>((held >> bits) & 0xFFU));
    }
    return bytes;
}

HostKey key_of(const char* base64) {
    HostKey key;
    key.type = "ssh-ed25519";
    key.blob = decoded(base64);
    key.fingerprint = fingerprint_of(key.blob);
    return key;
}

class KnownHostsTest : public ::testing::Test {
protected:
    KnownHosts known(const std::string& text, const std::string& host = "web", unsigned port = 22) {
        const std::string path = dir.path() + "/known_hosts";
        std::ofstream(path) << text;
        return KnownHosts({path, dir.path() + "/none"}, host, port);
    }
    static std::string error_of(const KnownHosts& hosts, const HostKey& key) {
        try {
            hosts.check(key);
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::denied);
            return e.what();
        }
        return "no error";
    }
    ::locald::testing::TempDir dir;
};

}  // namespace

TEST_F(KnownHostsTest, AKnownKeyPasses) {
    const auto hosts = known(std::string("web ssh-ed25519 ") + one + "\n");
    EXPECT_EQ(error_of(hosts, key_of(one)), "no error");
    EXPECT_THAT(hosts.types(), ElementsAre("ssh-ed25519"));
}

TEST_F(KnownHostsTest, AnotherKeyIsNamedWithTheKnownOne) {
    const auto hosts = known(std::string("web ssh-ed25519 ") + one + "\n");
    EXPECT_THAT(error_of(hosts, key_of(two)),
                AllOf(HasSubstr(fingerprint_of_base64(one)), HasSubstr(fingerprint_of_base64(two)),
                      HasSubstr("ssh-keygen -R web")));
}

TEST_F(KnownHostsTest, AnUnknownHostIsNeverAccepted) {
    for (const auto* text : {"", "other ssh-ed25519 "}) {
        const auto hosts = known(text + std::string(*text != 0 ? one : "") + "\n");
        EXPECT_THAT(error_of(hosts, key_of(one)), HasSubstr("not known"));
        EXPECT_TRUE(hosts.types().empty());
    }
}

TEST_F(KnownHostsTest, APortIsPartOfTheName) {
    const std::string line = std::string("[web]:2222 ssh-ed25519 ") + one + "\n";
    EXPECT_EQ(error_of(known(line, "web", 2222), key_of(one)), "no error");
    EXPECT_THAT(error_of(known(line, "web", 2223), key_of(one)), HasSubstr("not known"));
}

TEST_F(KnownHostsTest, LinesBehindOneThatIsNotUnderstoodCount) {
    const auto hosts = known(std::string("damaged\n@cert-authority * ssh-ed25519 ") + two +
                             "\nx sk-of-the-future AAAA\nweb ssh-ed25519 " + one + "\n");
    EXPECT_EQ(error_of(hosts, key_of(one)), "no error");
    EXPECT_THAT(error_of(hosts, key_of(two)), HasSubstr("not the one that is known"));
}

TEST_F(KnownHostsTest, ARevokedKeyIsRefusedForEveryHost) {
    const auto hosts = known(std::string("web ssh-ed25519 ") + one + "\n@revoked * ssh-ed25519 " + one + "\n");
    EXPECT_THAT(error_of(hosts, key_of(one)), AllOf(HasSubstr("revoked"), HasSubstr(fingerprint_of_base64(one))));
}

TEST(Fingerprint, IsThatOfOpenSsh) {
    // printf '%s' hello | openssl dgst -sha256 -binary | base64, without its padding
    EXPECT_EQ(fingerprint_of("hello"), "SHA256:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ");
}
