#include "cli/output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/doctor_report.hpp"

namespace locald::cli {
namespace {

using ::testing::HasSubstr;
using Severity = runtime::Finding::Severity;

TEST(Table, LinesColumnsUp) {
    Table table({"NAME", "SIZE"});
    table.add({"größe", "1 B"});
    table.add({"x", "22 kB"});
    EXPECT_EQ(table.str(), "NAME   SIZE\ngröße  1 B\nx      22 kB\n");
}

TEST(Table, LetsNobodyPlayWithTheTerminal) {
    Table table({"NAME"});
    table.add({"a\033[2Jb\nc"});
    EXPECT_EQ(table.str(), "NAME\na [2Jb c\n");
    EXPECT_EQ(printable("a\xC2\x9B"
                        "31m ä\xC2"),
              "a 31m ä\xC2");
}

TEST(HumanSize, CountsInThousands) {
    EXPECT_EQ(human_size(0), "0 B");
    EXPECT_EQ(human_size(999), "999 B");
    EXPECT_EQ(human_size(1000), "1.0 kB");
    EXPECT_EQ(human_size(7'812'345), "7.8 MB");
    EXPECT_EQ(human_size(123'456'789), "123 MB");
    EXPECT_EQ(human_size(999'960'000), "1.0 GB");
}

TEST(HumanAge, SpeaksOfTheBiggestUnit) {
    constexpr std::int64_t now = 1'700'000'000;  // 2023-11-14T22:13:20Z
    EXPECT_EQ(human_age("2023-11-14T22:13:20Z", now), "just now");
    EXPECT_EQ(human_age("2023-11-14T22:11:20.5Z", now), "2 minutes ago");
    EXPECT_EQ(human_age("2023-11-13T22:13:20Z", now), "1 day ago");
    EXPECT_EQ(human_age("2023-10-31T22:13:20Z", now), "2 weeks ago");
    EXPECT_EQ(human_age("2020-01-01T00:00:00Z", now), "3 years ago");
    EXPECT_EQ(human_age("never", now), "never");
    EXPECT_EQ(human_age("", now), "");
}

TEST(ShortId, HasTwelveDigits) { EXPECT_EQ(short_id("sha256:0123456789abcdef"), "0123456789ab"); }

runtime::ProbeReport report(Severity severity) {
    runtime::ProbeReport report;
    report.backend = "linux";
    report.usable = severity != Severity::critical;
    report.findings = {{"kernel.version", Severity::ok, "Linux 6.1", ""},
                       {"userns.allowed", severity, "refused", "sudo sysctl x=1"}};
    return report;
}

TEST(Doctor, FailsOnlyForWhatIsCritical) {
    EXPECT_EQ(doctor_exit_code(report(Severity::warning)), 0);
    EXPECT_EQ(doctor_exit_code(report(Severity::critical)), 1);
    EXPECT_THAT(doctor_text(report(Severity::critical)), HasSubstr("sudo sysctl x=1"));
    EXPECT_THAT(doctor_text(report(Severity::critical)), HasSubstr("cannot run"));
}

TEST(Doctor, TellsProgramsTheSame) {
    const auto json = nlohmann::json::parse(doctor_json(report(Severity::critical)));
    EXPECT_EQ(json.at("mode"), "degraded");
    EXPECT_EQ(json.at("checks").size(), 2U);
    ASSERT_EQ(json.at("problems").size(), 1U);
    EXPECT_EQ(json.at("problems")[0].at("id"), "userns.allowed");
    EXPECT_EQ(json.at("problems")[0].at("severity"), "critical");
    EXPECT_EQ(json.at("fixes")[0].at("commands")[0], "sudo sysctl x=1");
    EXPECT_EQ(nlohmann::json::parse(doctor_json(report(Severity::ok))).at("problems").size(), 0U);
}

}  // namespace
}  // namespace locald::cli
