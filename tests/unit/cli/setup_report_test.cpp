#include "cli/setup_report.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace locald::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using State = runtime::SetupStep::State;

TEST(SetupText, SaysHowToUndoWhatWasDoneAndNothingOfWhatIsGood) {
    EXPECT_EQ(setup_text({"a.b", State::done, "it is", "undo it"}), "done     a.b: it is\n         to undo: undo it\n");
    EXPECT_EQ(setup_text({"a.b", State::good, "it is", "undo it"}), "good     a.b: it is\n");
    EXPECT_THAT(setup_text({"a.b", State::missing, "it is", "type this"}), HasSubstr("\n         type this\n"));
}

TEST(SetupText, KeepsControlCharactersFromTheTerminal) {
    EXPECT_THAT(setup_text({"a", State::note, "x\x1b[2Jy", ""}), Not(HasSubstr("\x1b")));
}

TEST(SetupJson, HasEveryItemAndAVerdict) {
    const auto json = nlohmann::json::parse(setup_json(
        {{"a", State::good, "x", "undo"}, {"b", State::missing, "y", "type"}, {"c", State::note, "\xff", ""}}));
    EXPECT_FALSE(json.at("good").get<bool>());
    EXPECT_EQ(json.at("items").size(), 3U);
    EXPECT_EQ(json.at("items").at(1).at("type"), "type");
    EXPECT_EQ(json.at("items").at(0).at("undo"), "undo");
}

TEST(SetupExitCode, IsOneWhenSomethingIsMissing) {
    EXPECT_EQ(setup_exit_code({{"a", State::good, "", ""}, {"b", State::note, "", ""}}), 0);
    EXPECT_EQ(setup_exit_code({{"a", State::good, "", ""}, {"b", State::missing, "", ""}}), 1);
    EXPECT_EQ(setup_exit_code({{"a", State::good, "", ""}, {"b", State::wrong, "", ""}}), 1);
}

}  // namespace
}  // namespace locald::cli
