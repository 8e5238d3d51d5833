// A help text and the parser behind it name the same options.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "shim/verbs/verbs.hpp"

namespace locald::shim {
namespace {

using Flags = std::set<std::string>;

const std::vector<const Verb*>& verbs() {
    static const std::vector<const Verb*> all{
        &bundle_verb,   &create_verb, &start_verb,      &run_verb,     &exec_verb,  &state_verb,  &list_verb,
        &kill_verb,     &delete_verb, &pause_verb,      &resume_verb,  &ps_verb,    &update_verb, &events_verb,
        &features_verb, &spec_verb,   &checkpoint_verb, &restore_verb, &policy_verb};
    return all;
}

struct Output {
    int code = 0;
    std::string out, err;
};

Output call(const std::vector<std::string>& words) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    Output output;
    output.code = run_command_line(words);
    output.out = ::testing::internal::GetCapturedStdout();
    output.err = ::testing::internal::GetCapturedStderr();
    return output;
}

/// The options that a help text describes: each has a line of its own, with its short form before it.
Flags listed(const std::string& help) {
    static const std::regex line("^ +(?:(-[a-z]), +)?(--[a-z][a-z0-9-]*)(?=[ =\\n]|$)");
    static const std::regex alone("^ +(-[a-z])(?=[ \\n]|$)");
    Flags flags;
    std::istringstream text(help);
    for (std::string row; std::getline(text, row);) {
        std::smatch match;
        if (std::regex_search(row, match, line)) {
            if (match[1].matched) flags.insert(match[1]);
            flags.insert(match[2]);
        } else if (std::regex_search(row, match, alone)) {
            flags.insert(match[1]);
        }
    }
    flags.erase("-h");
    flags.erase("--help");
    return flags;
}

/// Every option that any source file of the shim mentions.
Flags mentioned() {
    static const std::regex literal("\"(--?[a-z][a-z0-9-]*)\"");
    Flags flags;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(LOCALD_SOURCE_DIR "/shim")) {
        if (entry.path().extension() != ".cpp") continue;
        std::ifstream file(entry.path());
        std::stringstream all;
        all << file.rdbuf();
        const std::string text = all.str();
        for (std::sregex_iterator at(text.begin(), text.end(), literal), end; at != end; ++at) flags.insert((*at)[1]);
    }
    flags.erase("-h");
    flags.erase("--help");
    return flags;
}

/// Of those the ones that are no unknown options after `before`. The --help behind them keeps the verb from its deed.
Flags accepted(const std::vector<std::string>& before) {
    Flags flags;
    static const Flags all = mentioned();
    for (const auto& flag : all) {
        auto words = before;
        words.insert(words.end(), {flag + "=1", "--help"});
        if (call(words).err.find("unknown option " + flag) == std::string::npos) flags.insert(flag);
    }
    return flags;
}

TEST(Help, OfEachVerbListsWhatItsParserTakes) {
    EXPECT_GT(mentioned().size(), 40U);
    for (const Verb* verb : verbs()) {
        EXPECT_EQ(listed(verb->help), accepted({std::string(verb->name)})) << verb->name;
    }
}

TEST(Help, OfTheProgramListsWhatStandsBeforeTheVerb) { EXPECT_EQ(listed(call({"--help"}).out), accepted({})); }

TEST(Help, OfTheProgramListsEveryVerb) {
    const std::string general = call({"--help"}).out;
    for (const Verb* verb : verbs()) {
        EXPECT_THAT(general, ::testing::HasSubstr("\n  " + std::string(verb->name) + " ")) << verb->name;
        EXPECT_EQ(call({std::string(verb->name), "--help"}).out, verb->help);
    }
}

}  // namespace
}  // namespace locald::shim
