#include "backends/hosts/ssh_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

using namespace locald;
using namespace locald::backends;
using ::testing::HasSubstr;

namespace {

std::string error_of(std::string_view text) {
    try {
        parse_ssh_address(text);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

}  // namespace

TEST(SshAddress, HasUserHostAndPort) {
    const auto all = parse_ssh_address("ssh://me@host.example:2222/");
    EXPECT_EQ(all.user, "me");
    EXPECT_EQ(all.host, "host.example");
    EXPECT_EQ(all.port, 2222U);
    EXPECT_EQ(all.str(), "me@host.example:2222");
    EXPECT_EQ(parse_ssh_address("ssh://host").port, 0U);
    EXPECT_EQ(parse_ssh_address("ssh://me@[::1]:22").host, "::1");
    EXPECT_EQ(parse_ssh_address("ssh://[fe80::1%eth0]").str(), "[fe80::1%eth0]");
}

TEST(SshAddress, SaysWhatIsWrong) {
    EXPECT_THAT(error_of("ssh://"), HasSubstr("no name"));
    EXPECT_THAT(error_of("ssh://@h"), HasSubstr("user is empty"));
    EXPECT_THAT(error_of("ssh://me:secret@h"), HasSubstr("password"));
    EXPECT_THAT(error_of("ssh://h:0"), HasSubstr("no port"));
    EXPECT_THAT(error_of("ssh://h:70000"), HasSubstr("no port"));
    EXPECT_THAT(error_of("ssh://-oProxyCommand=x"), HasSubstr("characters"));
    EXPECT_THAT(error_of("ssh://h/../x"), HasSubstr("characters"));
    EXPECT_THAT(error_of("ssh://a b"), HasSubstr("characters"));
    EXPECT_THAT(error_of("ssh://[::1"), HasSubstr("bracket"));
}

TEST(SshAddressText, CarriesAllOfIt) {
    SshAddress address;
    address.user = "me";
    address.host = "::1";
    address.port = 2222;
    address.identity = "/home/a b/100%/k&y=";
    address.known_hosts = "/k?h";
    address.host_key = "ssh-ed25519 SHA256:abc+/";
    const auto text = address.text();
    EXPECT_EQ(text.find(' '), std::string::npos);
    const auto back = parse_ssh_address(text);
    EXPECT_EQ(back.str(), "me@[::1]:2222");
    EXPECT_EQ(back.identity, address.identity);
    EXPECT_EQ(back.known_hosts, address.known_hosts);
    EXPECT_EQ(back.host_key, address.host_key);
    EXPECT_EQ(back.text(), text);
}

TEST(SshAddressText, AsksAnAgentOnlyWhenItSaysSo) {
    EXPECT_FALSE(parse_ssh_address("ssh://h").agent);
    EXPECT_FALSE(parse_ssh_address("ssh://h?agent=no").agent);
    EXPECT_EQ(parse_ssh_address("ssh://h?agent=no").text(), "ssh://h");
    EXPECT_TRUE(parse_ssh_address("ssh://h?agent=yes&identity=/k").agent);
    EXPECT_EQ(parse_ssh_address("ssh://h?agent=yes&identity=/k").text(), "ssh://h?identity=/k&agent=yes");
    for (const char* bad : {"ssh://h?agent", "ssh://h?agent=", "ssh://h?agent=1", "ssh://h?agent=%"}) {
        EXPECT_THAT(error_of(bad), HasSubstr("agent is neither yes nor no")) << bad;
    }
}

TEST(SshAddressText, IsTheUrlAloneWhereNothingElseIsSaid) {
    EXPECT_EQ(parse_ssh_address("me@h").text(), "ssh://me@h");
    EXPECT_EQ(parse_ssh_address("ssh://me@h:22/").text(), "ssh://me@h:22");
}

TEST(SshAddressText, NamesWhatItDoesNotKnow) {
    EXPECT_THAT(error_of("ssh://h?key=x"), HasSubstr("none of identity"));
    EXPECT_THAT(error_of("ssh://h?identity"), HasSubstr("identity has no value"));
    EXPECT_THAT(error_of("ssh://h?identity=%4"), HasSubstr("identity has no value"));
    EXPECT_THAT(error_of("ssh://h?identity=%zz"), HasSubstr("identity has no value"));
}
