#include "backends/protocol/values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace locald;
using namespace locald::protocol;
using ::testing::HasSubstr;

namespace {

bundle::RunOptions all_of_them() {
    bundle::RunOptions run;
    run.id = "web";
    run.command = {"sh", "-c", "echo \"ä\"\n"};
    run.entrypoint = "";
    run.env = {{"A", "1"}, {"B", "two words"}, {"A", "3"}};
    run.mounts = {{bundle::MountOption::Type::bind, "/src", "/dst", true, {"rprivate"}},
                  {bundle::MountOption::Type::tmpfs, "", "/tmp", false, {"size=64m"}}};
    run.workdir = "/w";
    run.user = "1:2";
    run.hostname = "h";
    run.stop_signal = "SIGINT";
    run.cap_add = {"NET_ADMIN"};
    run.cap_drop = {"ALL"};
    run.ulimits = {{"RLIMIT_NOFILE", 1024, ~std::uint64_t(0)}};
    run.add_hosts = {{"db", "10.0.0.1"}};
    run.memory_bytes = std::int64_t(1) << 40;
    run.cpu_quota_us = 50000;
    run.pids_limit = -1;
    run.shm_bytes = 1;
    run.network = bundle::NetworkMode::none;
    run.userns = bundle::UserNamespaceMode::keep_id;
    run.console_size = oci::ConsoleSize{24, 80};
    run.tty = run.read_only = run.init = run.no_new_privileges = true;
    return run;
}

std::string error_of(const Json& json) {
    try {
        read_options(json);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::corrupt);
        return e.what();
    }
    return "no error";
}

}  // namespace

TEST(Values, OptionsComeBackAsTheyWere) {
    for (const auto& run : {all_of_them(), bundle::RunOptions{}}) {
        const auto text = dump(write_options(run));
        const auto back = read_options(parse(text));
        EXPECT_EQ(dump(write_options(back)), text);
        EXPECT_EQ(back.entrypoint, run.entrypoint);
        EXPECT_EQ(back.env, run.env);
        EXPECT_EQ(back.memory_bytes, run.memory_bytes);
        EXPECT_EQ(back.mounts.size(), run.mounts.size());
        EXPECT_EQ(back.userns, run.userns);
        EXPECT_EQ(back.tty, run.tty);
    }
}

TEST(Values, WhatIsMissingUnknownOrOfAnotherTypeIsNamed) {
    auto json = write_options(all_of_them());
    auto missing = json;
    missing.erase("hostname");
    EXPECT_THAT(error_of(missing), HasSubstr("member hostname is missing"));
    auto more = json;
    more["privileged"] = true;
    EXPECT_THAT(error_of(more), HasSubstr("does not know"));
    auto other = json;
    other["env"] = 3;
    EXPECT_THAT(error_of(other), HasSubstr("member env has the wrong type"));
    auto large = json;
    large["consoleSize"]["height"] = std::uint64_t(1) << 32U;
    EXPECT_THAT(error_of(large), HasSubstr("member height: it is no number that fits"));
    auto negative = json;
    negative["shm"] = -1;
    EXPECT_THAT(error_of(negative), HasSubstr("member shm"));
    auto none = json;
    none["network"] = 2;
    EXPECT_THAT(error_of(none), HasSubstr("member network: it is none of its values"));
    EXPECT_THAT(error_of(Json::array()), HasSubstr("expected an object"));
}

TEST(Values, ASourceCrossesAsItWasWritten) {
    bundle::Source source;
    source.image = oci::parse_image_name("alpine:3.20");
    source.pull = bundle::PullPolicy::never;
    source.platform = oci::parse_platform("linux/arm64");
    const auto back = read_source(write_source(source));
    EXPECT_EQ(back.image->reference.str(), source.image->reference.str());
    EXPECT_EQ(back.pull, source.pull);
    EXPECT_EQ(back.platform->str(), "linux/arm64");
    bundle::Source rootfs;
    rootfs.rootfs = "/r";
    EXPECT_FALSE(read_source(write_source(rootfs)).image);
}

TEST(Values, CredentialsOfAnyBytesCrossAndNoErrorQuotesThem) {
    const Credentials credentials{"ann", std::string("a\0\xFF", 3), "token", "/config.json"};
    const auto text = dump(write_credentials(credentials));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("token\"")));
    const auto back = read_credentials(parse(text));
    EXPECT_EQ(back.username, credentials.username);
    EXPECT_EQ(back.password, credentials.password);
    EXPECT_EQ(back.identity_token, credentials.identity_token);
    EXPECT_EQ(back.source, credentials.source);
    auto bad = write_credentials(credentials);
    bad["password"] = "secret!";
    try {
        read_credentials(bad);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::corrupt);
        EXPECT_STREQ(e.what(), "member password is not base64");
    }
}

TEST(Values, AnErrorKeepsItsKindNumberAndRemedy) {
    Error error(ErrorKind::denied, "mount proc: Operation not permitted", 1);
    error.with_remedy("ask root");
    const auto back = read_error(parse(dump(write_error(error))));
    EXPECT_EQ(back.kind(), ErrorKind::denied);
    EXPECT_EQ(back.os_errno(), 1);
    EXPECT_STREQ(back.what(), error.what());
}

TEST(Values, ErrorsDriveNoTerminal) {
    const Error error(ErrorKind::system,
                      "a\x1b]0;title\x07 b\xC2\x9B"
                      "31m \xC3\xA4\n");
    EXPECT_EQ(read_error(write_error(error)).message(), "a?]0;title? b?31m \xC3\xA4?");
}

TEST(Values, NestingHasALimitAndBracketsInTextAreNone) {
    const auto nested = [](std::size_t levels) { return parse(std::string(levels, '[') + std::string(levels, ']')); };
    EXPECT_NO_THROW(nested(64));
    EXPECT_THROW(nested(65), Error);
    EXPECT_NO_THROW(parse("[\"" + std::string(100, '[') + "\\\"" + std::string(100, '{') + "\"]"));
    EXPECT_THROW(parse("[\"\\\\\"," + std::string(100, '[')), Error);
}

TEST(Values, WhatIsNoUtf8IsSaidAndNotChanged) {
    bundle::RunOptions run;
    run.command = {"\xFF"};
    try {
        dump(write_options(run));
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        EXPECT_THAT(e.remedy(), HasSubstr("UTF-8"));
    }
}
