#include "cli/flags_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace locald::cli {
namespace {

using bundle::NetworkMode;
using ::testing::HasSubstr;

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The line of the Error that `call` throws; it must be of kind invalid.
template <class F>
std::string error_of(F&& call) {
    try {
        call();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

TEST(Size, HasDockersUnits) {
    struct Row {
        const char* text;
        std::uint64_t bytes;
    };
    for (const auto& [text, bytes] : {Row{"0", 0},
                                      {"1024", 1024},
                                      {"17b", 17},
                                      {"64k", 65536},
                                      {"64K", 65536},
                                      {"10kb", 10240},
                                      {"1.5m", 1572864},
                                      {"10MiB", 10485760},
                                      {"2g", 2147483648},
                                      {".5g", 536870912},
                                      {"1 m", 1048576},
                                      {"1t", 1099511627776}}) {
        EXPECT_EQ(parse_size("--size", text), bytes) << text;
    }
}

TEST(Size, IsRefusedWhenItIsNone) {
    for (const char* text : {"", "m", "-1", "1x", "1mm", "1ib", "1.2.3", "1e3", "0x10", "1  m", "nan", "inf", "1m ",
                             "9999999999g", "99999999999999999999"}) {
        EXPECT_THAT(error_of([&] { parse_size("--size", text); }), HasSubstr("--size")) << text;
    }
}

TEST(Memory, IsAtLeastSixMebibytes) {
    EXPECT_EQ(parse_memory("6m"), 6291456);
    EXPECT_THAT(error_of([] { parse_memory("6291455"); }), HasSubstr("least"));
    EXPECT_EQ(parse_memory("0"), std::nullopt);
}

TEST(Cpus, BecomeAQuotaOfAHundredMilliseconds) {
    EXPECT_EQ(parse_cpus("0.5"), 50'000);
    EXPECT_EQ(parse_cpus("2"), 200'000);
    EXPECT_EQ(parse_cpus("0.01"), 1'000);
    EXPECT_EQ(parse_cpus("1.234567"), 123'457);
    EXPECT_EQ(parse_cpus("0"), std::nullopt);
    for (const char* text : {"", "-1", "0.001", "two", "1e1", "0x1", "1,5", "99999999"}) {
        EXPECT_THAT(error_of([&] { parse_cpus(text); }), HasSubstr("--cpus")) << text;
    }
}

TEST(PidsLimit, HasMinusOneForNone) {
    EXPECT_EQ(parse_pids_limit("100"), 100);
    EXPECT_EQ(parse_pids_limit("-1"), -1);
    EXPECT_EQ(parse_pids_limit("0"), std::nullopt);
    for (const char* text : {"", "-2", "1.5", "many", "99999999999999999999"}) {
        EXPECT_THAT(error_of([&] { parse_pids_limit(text); }), HasSubstr("--pids-limit")) << text;
    }
}

TEST(Ulimit, HasSoftAndHard) {
    const auto both = parse_ulimit("nofile=1024:4096");
    EXPECT_EQ(both.type, "RLIMIT_NOFILE");
    EXPECT_EQ(both.soft, 1024U);
    EXPECT_EQ(both.hard, 4096U);
    const auto one = parse_ulimit("core=0");
    EXPECT_EQ(one.soft, 0U);
    EXPECT_EQ(one.hard, 0U);
    EXPECT_EQ(parse_ulimit("memlock=-1").hard, unlimited);
    EXPECT_EQ(parse_ulimit("stack=1:-1").hard, unlimited);
}

TEST(Ulimit, IsRefusedWhenItMakesNoSense) {
    for (const char* text : {"nofile", "nofile=", "nofile=a", "nofile=1:2:3", "NOFILE=1", "files=1", "=1", "nofile=-2",
                             "nofile=1:", "nofile=2:1", "nofile=-1:5"}) {
        EXPECT_THAT(error_of([&] { parse_ulimit(text); }), HasSubstr("--ulimit")) << text;
    }
}

TEST(StopSignal, IsANameOrNumberOfLinux) {
    for (const char* text : {"TERM", "SIGTERM", "sigquit", "15", "SIGRTMIN+3"})
        EXPECT_EQ(parse_stop_signal(text), text);
    for (const char* text : {"SIGNOTHING", "0", "65", "-1"}) {
        EXPECT_THAT(error_of([&] { parse_stop_signal(text); }), HasSubstr("--stop-signal")) << text;
    }
}

TEST(AddHost, TakesAddressesOfBothKinds) {
    using Pair = std::pair<std::string, std::string>;
    EXPECT_EQ(parse_add_host("db:10.0.0.7", NetworkMode::host), Pair("db", "10.0.0.7"));
    EXPECT_EQ(parse_add_host("db:::1", NetworkMode::host), Pair("db", "::1"));
    EXPECT_EQ(parse_add_host("db=fe80::1", NetworkMode::host), Pair("db", "fe80::1"));
    EXPECT_EQ(parse_add_host("db:[fe80::1]", NetworkMode::host), Pair("db", "fe80::1"));
    EXPECT_EQ(parse_add_host("host.docker.internal:host-gateway", NetworkMode::host),
              Pair("host.docker.internal", "127.0.0.1"));
}

TEST(AddHost, KeepsOtherThingsOutOfTheFile) {
    for (const char* text : {"db", "db:", ":1.2.3.4", "db:256.1.1.1", "db:1.2.3", "a b:1.2.3.4", "a\nb:1.2.3.4",
                             "db:1.2.3.4 other", "db:name", "db:::1\nx"}) {
        EXPECT_THAT(error_of([&] { parse_add_host(text, NetworkMode::host); }), HasSubstr("--add-host")) << text;
    }
    EXPECT_THAT(error_of([] { parse_add_host("h:host-gateway", NetworkMode::none); }), HasSubstr("network"));
}

TEST(Hostname, IsWhatTheKernelTakes) {
    EXPECT_EQ(parse_hostname("web-1.example"), "web-1.example");
    for (const std::string& text : {std::string(), std::string("-a"), std::string("a-"), std::string("a b"),
                                    std::string("a_b"), std::string(65, 'a')}) {
        EXPECT_THAT(error_of([&] { parse_hostname(text); }), HasSubstr("--hostname")) << text;
    }
}

TEST(Workdir, IsAbsolute) {
    EXPECT_EQ(parse_workdir("/src"), "/src");
    EXPECT_THAT(error_of([] { parse_workdir("src"); }), HasSubstr("absolute"));
}

TEST(Network, OffersHostAndNone) {
    EXPECT_EQ(parse_network("host"), NetworkMode::host);
    EXPECT_EQ(parse_network("none"), NetworkMode::none);
    EXPECT_THAT(error_of([] { parse_network("bridge"); }), HasSubstr("shares the host's network"));
}

TEST(Words, ThatHaveFewMeaningsNameThem) {
    EXPECT_EQ(parse_pull("always"), bundle::PullPolicy::always);
    EXPECT_EQ(parse_pull("never"), bundle::PullPolicy::never);
    EXPECT_THAT(error_of([] { parse_pull("newer"); }), HasSubstr("missing"));
    EXPECT_EQ(parse_userns("keep-id"), bundle::UserNamespaceMode::keep_id);
    EXPECT_THAT(error_of([] { parse_userns("host"); }), HasSubstr("keep-id"));
    EXPECT_TRUE(parse_security_opt("no-new-privileges"));
    EXPECT_TRUE(parse_security_opt("no-new-privileges:true"));
    EXPECT_FALSE(parse_security_opt("no-new-privileges=false"));
    EXPECT_THAT(error_of([] { parse_security_opt("seccomp=unconfined"); }), HasSubstr("no-new-privileges"));
}

}  // namespace
}  // namespace locald::cli
