#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Hostname, IsTheStartOfTheIdUnlessOneIsGiven) {
    Build build;
    auto bundle = build.run();
    EXPECT_EQ(bundle.spec.hostname, "0123456789ab");
    EXPECT_EQ(bundle.files.at("hostname"), "0123456789ab\n");
    build.options.hostname = "web.example";
    bundle = build.run();
    EXPECT_EQ(bundle.spec.hostname, "web.example");
    EXPECT_THAT(bundle.files.at("hosts"), HasSubstr("127.0.0.1\tweb.example\n"));
}

TEST(Hostname, ComesFromAnyId) {
    Build build;
    build.options.id = "web_1.+x";
    EXPECT_EQ(build.run().spec.hostname, "web-1.-x");
    build.options.id = "a___________b";
    EXPECT_EQ(build.run().spec.hostname, "a");
    build.options.id.clear();
    EXPECT_EQ(build.run().spec.hostname, "locald");
}

TEST(Hostname, RefusesWhatWouldBeMoreThanAName) {
    for (const std::string& name :
         {std::string("a b"), std::string("a\n127.0.0.1 b"), std::string("-x"), std::string(65, 'a')}) {
        Build build;
        build.options.hostname = name;
        EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid) << name;
    }
}

TEST(Hosts, AreTheHostsOwnOnItsNetwork) {
    Build build;
    build.host.hosts = "127.0.0.1 localhost\n10.0.0.1 db";
    EXPECT_EQ(build.run().files.at("hosts"),
              "127.0.0.1 localhost\n10.0.0.1 db\n127.0.0.1\t0123456789ab\n"
              "127.0.0.1\thost.docker.internal host.containers.internal\n"
              "::1\thost.docker.internal host.containers.internal\n");
}

TEST(Hosts, NameOnlyTheContainerWithoutANetwork) {
    Build build;
    build.host.hosts = "10.0.0.1 db\n";
    build.options.network = NetworkMode::none;
    EXPECT_EQ(build.run().files.at("hosts"),
              "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t0123456789ab\n");
}

TEST(Hosts, BeginWithTheUsersLines) {
    Build build;
    build.options.add_hosts = {{"db", "10.0.0.2"}, {"six", "fe80::1"}, {"me", "host-gateway"}};
    EXPECT_THAT(build.run().files.at("hosts"), StartsWith("10.0.0.2\tdb\nfe80::1\tsix\n127.0.0.1\tme\n"));
}

TEST(Hosts, LetTheUserSayWhereTheHostIs) {
    Build build;
    build.options.add_hosts = {{"host.docker.internal", "10.0.0.9"}};
    EXPECT_THAT(build.run().files.at("hosts"), Not(HasSubstr("127.0.0.1\thost.docker.internal")));
}

TEST(Hosts, RefuseWhatIsNoNameOrAddress) {
    using Pair = std::pair<std::string, std::string>;
    for (const Pair& pair : {Pair{"db", "10.0.0"}, Pair{"db", "256.0.0.1"}, Pair{"db", "db2"}, Pair{"db", ""},
                             Pair{"d b", "10.0.0.1"}, Pair{"", "10.0.0.1"}, Pair{"db", "::1\n10.0.0.1 x"},
                             Pair{"db\n10.0.0.1 x", "::1"}, Pair{"db", "1.2.3.4.5"}}) {
        Build build;
        build.options.add_hosts = {pair};
        EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid) << pair.first << " " << pair.second;
    }
}

TEST(Hosts, HaveNoGatewayWithoutANetwork) {
    Build build;
    build.options.network = NetworkMode::none;
    build.options.add_hosts = {{"me", "host-gateway"}};
    EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("without a network"));
}

TEST(ResolvConf, IsTheHostsOrNobodys) {
    Build build;
    EXPECT_EQ(build.run().files.at("resolv.conf"), "nameserver 192.0.2.1\n");
    build.options.network = NetworkMode::none;
    EXPECT_THAT(build.run().files.at("resolv.conf"), Not(HasSubstr("nameserver")));
    build.options.network = NetworkMode::host;
    build.host.resolv_conf.clear();
    const auto bundle = build.run();
    EXPECT_FALSE(bundle.files.contains("resolv.conf"));
    EXPECT_EQ(find_mount(bundle.spec.mounts, "/etc/resolv.conf"), nullptr);
}

TEST(AccountFiles, StayTheImagesWhenTheUserHasHisEntries) {
    const auto bundle = Build().run();
    EXPECT_FALSE(bundle.files.contains("passwd"));
    EXPECT_FALSE(bundle.files.contains("group"));
}

TEST(AccountFiles, GetALineForAUserWithoutOne) {
    Build build;
    build.options.user = "77:88";
    build.accounts = {"root:x:0:0:root:/root:/bin/sh", "root:x:0:"};
    const auto bundle = build.run();
    EXPECT_EQ(bundle.files.at("passwd"), "root:x:0:0:root:/root:/bin/sh\n77:x:77:88:77:/:/bin/sh\n");
    EXPECT_EQ(bundle.files.at("group"), "root:x:0:\n88:x:88:\n");
    EXPECT_EQ(find_mount(bundle.spec.mounts, "/etc/passwd")->source, "passwd");
}

TEST(AccountFiles, AreMadeForAnImageWithoutAny) {
    Build build;
    build.accounts = {};
    EXPECT_EQ(build.run().files.at("passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    EXPECT_EQ(build.run().files.at("group"), "root:x:0:\n");
}

TEST(AccountFiles, KnowTheCallerUnderKeepId) {
    Build build;
    build.kept();
    EXPECT_THAT(build.run().files.at("passwd"), HasSubstr("\ndev:x:1000:1000:dev:/:/bin/sh\n"));
    build.accounts.passwd += "dev:x:5:5::/:/bin/sh\n";
    EXPECT_THAT(build.run().files.at("passwd"), HasSubstr("\n1000:x:1000:1000:1000:/:/bin/sh\n"));
    build.host.user_name = "d:x:0:0:::\nv";
    EXPECT_THAT(build.run().files.at("passwd"), HasSubstr("\n1000:x:1000:1000:1000:/:/bin/sh\n"));
}

}  // namespace
}  // namespace locald::bundle
