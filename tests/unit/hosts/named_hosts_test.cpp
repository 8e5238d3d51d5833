#include "backends/hosts/named_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "backends/hosts/path_map.hpp"
#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

constexpr const char* key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

std::string error_of(std::string_view text) {
    try {
        parse_named_hosts(text, "/x/hosts.json");
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::corrupt);
        return e.what();
    }
    return "no error";
}

std::string address_error(const NamedHosts& hosts, std::string_view name) {
    try {
        hosts.address_of(name);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

NamedHost host_at(const std::string& url) {
    NamedHost host;
    host.url = url;
    return host;
}

}  // namespace

TEST(NamedHosts, ComeBackAsTheyWereWritten) {
    NamedHosts hosts;
    auto& box = hosts.hosts["box"] = host_at("ssh://me@box:2222");
    box.identity = "/k";
    box.host_key = std::string("ssh-ed25519 ") + key;
    box.shared = {parse_shared_tree("/home/me=/mnt/me:ro")};
    hosts.hosts["b2"] = host_at("ssh://b2");
    hosts.hosts["b2"].known_hosts = "/known";
    hosts.hosts["b2"].agent = true;
    hosts.in_use = "b2";
    const auto back = parse_named_hosts(write_named_hosts(hosts), "f");
    EXPECT_EQ(write_named_hosts(back), write_named_hosts(hosts));
    EXPECT_EQ(back.in_use, "b2");
    ASSERT_EQ(back.shared_with("box").size(), 1U);
    EXPECT_EQ(to_string(back.shared_with("box")[0]), "/home/me=/mnt/me:ro");
    EXPECT_TRUE(back.shared_with("b2").empty() && back.shared_with("ssh://me@box:2222").empty());
    EXPECT_EQ(back.address_of("box"),
              std::string("ssh://me@box:2222?identity=/k&host-key=ssh-ed25519%20") + "SHA256:" + std::string(43, 'A'));
    EXPECT_EQ(back.address_of("b2"), "ssh://b2?known-hosts=/known&agent=yes");
    EXPECT_EQ(back.name_of(back.address_of("b2")), "b2");
}

TEST(NamedHosts, TakeAWordForANameAndAllElseForAnAddress) {
    NamedHosts hosts;
    hosts.hosts["box"] = host_at("ssh://me@h");
    EXPECT_EQ(hosts.address_of("box"), "ssh://me@h");
    EXPECT_EQ(hosts.address_of("me@other"), "ssh://me@other");
    EXPECT_EQ(hosts.address_of("ssh://box"), "ssh://box");
    EXPECT_EQ(hosts.address_of("local"), "");
    EXPECT_EQ(hosts.address_of(""), "");
    EXPECT_THAT(address_error(hosts, "bix"),
                AllOf(HasSubstr("\"bix\""), HasSubstr("known are box"), HasSubstr("ssh://")));
    EXPECT_THAT(address_error({}, "bix"), HasSubstr("no host has a name"));
}

TEST(NamedHosts, SayWhatIsWrongAndWhere) {
    EXPECT_THAT(error_of("{\n  \"version\": 1,\n  oops"),
                AllOf(HasSubstr("/x/hosts.json"), HasSubstr("line 3"), HasSubstr("mend")));
    EXPECT_THAT(error_of("1e400"), AllOf(HasSubstr("/x/hosts.json: the whole: number overflow"), HasSubstr("mend")));
    EXPECT_THAT(error_of("[]"), HasSubstr("expected an object"));
    EXPECT_THAT(error_of("{}"), HasSubstr("version: it is missing"));
    EXPECT_THAT(error_of(R"({"version":2})"), HasSubstr("version: expected 1, not 2"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{"url":7}}})"), HasSubstr("hosts.a.url: expected a text"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{}}})"), AllOf(HasSubstr("hosts.a"), HasSubstr("no name")));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{"url":"ssh://h","new":1}}})"),
                HasSubstr("hosts.a.new: this version"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{"url":"ssh://h","hostKey":"x"}}})"), HasSubstr("SHA256"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{"url":"ssh://h","sshAgent":"yes"}}})"),
                HasSubstr("hosts.a.sshAgent: expected true or false, not string"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"a":{"url":"ssh://h","shared":["/a=/b","x"]}}})"),
                AllOf(HasSubstr("hosts.a.shared[1]"), HasSubstr("there is no =")));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{"local":{"url":"ssh://h"}}})"),
                HasSubstr("hosts.local: a host cannot"));
    EXPECT_THAT(error_of(R"({"version":1,"hosts":{},"use":"a"})"), HasSubstr("use: there is no host"));
}

TEST(HostKey, IsAFingerprintOrALineOfAKeyFile) {
    EXPECT_EQ(parse_host_key(key), key);
    EXPECT_EQ(parse_host_key(std::string(" ssh-rsa  ") + key + "\n"), std::string("ssh-rsa ") + key);
    // ssh-keygen -l says the same of it.
    EXPECT_EQ(parse_host_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@h"),
              "ssh-ed25519 SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk");
    for (const auto* bad : {"", "SHA256:short", "MD5:00", "ssh-ed25519", "ssh-ed25519 x",
                            "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?"}) {
        EXPECT_THROW(parse_host_key(bad), Error) << bad;
    }
}

TEST(NamedHostsFile, IsPrivateAndReplacedAsAWhole) {
    const locald::testing::TempDir dir;
    const std::string path = dir.path() + "/new/hosts.json";
    change_named_hosts(path, [](NamedHosts& hosts) { hosts.hosts["a"] = host_at("ssh://h"); });
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    ASSERT_EQ(::stat((dir.path() + "/new").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700U);
    EXPECT_EQ(read_named_hosts(path).get("a").url, "ssh://h");
    const auto before = content(path);
    EXPECT_THROW(change_named_hosts(path, [](NamedHosts& hosts) { hosts.get("b"); }), Error);
    EXPECT_EQ(content(path), before);
}

TEST(NamedHostsFile, LosesNothingOfWhatItCannotRead) {
    const locald::testing::TempDir dir;
    const std::string path = dir.path() + "/hosts.json";
    std::ofstream(path) << "{ \"version\": 1, \"hosts\": {";
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
    EXPECT_THROW(change_named_hosts(path, [](NamedHosts& hosts) { hosts.hosts.clear(); }), Error);
    EXPECT_EQ(content(path), "{ \"version\": 1, \"hosts\": {");
    // Nor of a link to where it is kept.
    const std::string link = dir.path() + "/link.json";
    std::ofstream(path) << R"({"version":1,"hosts":{}})";
    ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
    change_named_hosts(link, [](NamedHosts& hosts) { hosts.hosts["a"] = host_at("ssh://h"); });
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_EQ(read_named_hosts(path).hosts.size(), 1U);
}

TEST(NamedHostsFile, IsNotBelievedWhenOthersMayWriteIt) {
    const locald::testing::TempDir dir;
    const std::string path = dir.path() + "/hosts.json";
    std::ofstream(path) << R"({"version":1,"hosts":{}})";
    ASSERT_EQ(::chmod(path.c_str(), 0622), 0);
    EXPECT_THROW(read_named_hosts(path), Error);
    ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
    EXPECT_NO_THROW(read_named_hosts(path));
    EXPECT_TRUE(read_named_hosts(dir.path() + "/none.json").hosts.empty());
}

TEST(NamedHostsFile, TakesManyChangesAtOnce) {
    const locald::testing::TempDir dir;
    const std::string path = dir.path() + "/hosts.json";
    constexpr int writers = 4, each = 10;
    std::vector<std::thread> threads;
    threads.reserve(writers);
    for (int writer = 0; writer < writers; ++writer) {
        threads.emplace_back([&, writer] {
            for (int i = 0; i < each; ++i) {
                change_named_hosts(path, [&](NamedHosts& hosts) {
                    hosts.hosts["h" + std::to_string(writer) + "-" + std::to_string(i)] = host_at("ssh://h");
                });
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(read_named_hosts(path).hosts.size(), static_cast<std::size_t>(writers * each));
}
