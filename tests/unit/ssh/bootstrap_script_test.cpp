#include "backends/ssh/bootstrap_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/host/child_process.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

namespace fs = std::filesystem;

namespace {

constexpr const char* mark = "locald-0123456789abcdef";

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

/// A login shell and the tools that its sh finds.
struct Shell {
    std::string name;
    std::vector<std::string> words;
    bool busybox_tools = false;
};

void PrintTo(const Shell& shell, std::ostream* out) { *out << shell.name; }

class Scripts : public ::testing::TestWithParam<Shell> {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::access(GetParam().words[0].c_str(), X_OK) == 0, GetParam().words[0]);
        home = dir / "it is home";
        fs::create_directory(home);
        utsname here{};
        ::uname(&here);
        machine = here.machine;
        bin = "/usr/bin:/bin";
        if (!GetParam().busybox_tools) return;
        bin = dir / "bin";
        fs::create_directory(bin);
        for (const char* name : {"sh", "uname", "wc", "touch", "env", "cat", "head", "tail", "rm", "mkdir", "sha256sum",
                                 "chmod", "sync", "mv", "ls", "find", "grep"}) {
            fs::create_symlink("/bin/busybox", bin + "/" + name);
        }
    }

    /// A pair for this machine, of shell scripts, which is all that the commands can tell.
    GuestPair make_pair(const std::string& agent) {
        program = "#!/bin/sh\n" + agent + "\n";
        return parse_guest_pair(machine, "/nowhere",
                                sha256_of(program).hex() + " " + std::to_string(program.size()) + " locald\n" +
                                    sha256_of(shim).hex() + " " + std::to_string(shim.size()) + " locald-shim\n");
    }
    host::Captured run(const std::string& command, const std::string& input = {}) {
        auto argv = GetParam().words;
        argv.push_back("-c");
        argv.push_back(command);
        std::vector<std::string> env{"HOME=" + home, "PATH=" + bin, "STRAY=1", "LANG=C.UTF-8"};
        if (!data.empty()) env.push_back("XDG_DATA_HOME=" + data);
        return host::run_and_capture({.argv = argv, .env = env}, input);
    }
    /// The words of the only answer.
    static std::string answer(const host::Captured& done) {
        std::string found;
        for (const auto line : split(done.out, '\n')) {
            if (const auto words = parse_answer(line, mark)) {
                found += words->word;
                for (const auto& word : words->rest) found += " " + word;
                found += "\n";
            }
        }
        return found;
    }
    std::string upload(const GuestPair& pair, const std::string& bytes, const std::string& token = "a1") {
        last = run(upload_command(mark, pair, token), bytes);
        return answer(last);
    }
    std::string agents() const { return (data.empty() ? home + "/.local/share" : data) + "/locald/agents"; }
    std::vector<std::string> in_agents() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(agents())) names.push_back(entry.path().filename());
        return names;
    }

    locald::testing::TempDir dir;
    std::string home, bin, data, program, machine;
    const std::string shim = "#!/bin/sh\nexit 0\n";
    host::Captured last;
};

INSTANTIATE_TEST_SUITE_P(LoginShells, Scripts,
                         ::testing::Values(Shell{"dash", {"/usr/bin/dash"}}, Shell{"bash", {"/usr/bin/bash"}},
                                           Shell{"busybox", {"/bin/busybox", "sh"}, true},
                                           Shell{"fish", {"/usr/bin/fish"}}, Shell{"tcsh", {"/usr/bin/tcsh"}}),
                         [](const auto& shell) { return shell.param.name; });

TEST_P(Scripts, SayWhatMachineHasNoPair) {
    EXPECT_EQ(answer(run(start_command(mark, {make_pair("")}))), "missing Linux " + machine + " " + agents() + "\n");
    EXPECT_EQ(answer(run(start_command(mark, {}))), "missing Linux " + machine + " " + agents() + "\n");
}

TEST_P(Scripts, PutAPairThereAndStartIt) {
    const auto pair = make_pair(R"(printf '<%s>' "$@"; env | grep -v ^_=; cat)");
    EXPECT_EQ(upload(pair, program + shim), "placed\n") << last.err;
    EXPECT_THAT(in_agents(), ElementsAre(pair.id));
    EXPECT_EQ(read(agents() + "/" + pair.id + "/locald"), program);
    EXPECT_EQ(read(agents() + "/" + pair.id + "/locald-shim"), shim);

    auto other = pair;
    other.machine = "riscv64";
    other.id = std::string(64, '0');
    const auto done = run(start_command(mark, {other, pair}), "input");
    const std::string start = std::string("\n") + mark + " start\n";
    ASSERT_THAT(done.out, HasSubstr(start)) << done.err;
    const auto agent = done.out.substr(done.out.find(start) + start.size());
    EXPECT_THAT(agent, StartsWith("<agent><--stdio>"));
    EXPECT_THAT(agent, AllOf(HasSubstr("HOME=" + home + "\n"), HasSubstr("PATH=" + bin + "\n"), Not(HasSubstr("STRAY")),
                             Not(HasSubstr("TMPDIR")), ::testing::EndsWith("input")));
}

TEST_P(Scripts, HonourXdgDataHomeUnlessItIsRelative) {
    data = dir / "data of \"mine\" $HOME";
    const auto pair = make_pair("");
    EXPECT_EQ(upload(pair, program + shim), "placed\n") << last.err;
    EXPECT_TRUE(fs::exists(agents() + "/" + pair.id + "/locald"));
    data = "relative";
    EXPECT_THAT(answer(run(start_command(mark, {}))), HasSubstr(" " + home + "/.local/share/locald/agents\n"));
    data.clear();
}

TEST_P(Scripts, LeaveNothingOfAnUploadThatIsShort) {
    const auto pair = make_pair("");
    EXPECT_EQ(upload(pair, (program + shim).substr(1)), "failed length\n");
    EXPECT_THAT(in_agents(), IsEmpty());
    EXPECT_THAT(answer(run(start_command(mark, {pair}))), StartsWith("missing "));
}

TEST_P(Scripts, LeaveNothingOfAnUploadWithAnotherSum) {
    const auto pair = make_pair("exit 0 # right");
    std::string bytes = program + shim;
    bytes[bytes.find("right")] = 'w';
    EXPECT_EQ(upload(pair, bytes), "failed sum\n");
    EXPECT_THAT(in_agents(), IsEmpty());
}

TEST_P(Scripts, RefuseAProgramThatDoesNotRunThere) {
    const auto pair = make_pair("echo its own words >&2; exit 3");
    EXPECT_EQ(upload(pair, program + shim), "failed run\n");
    EXPECT_THAT(last.err, HasSubstr("its own words"));
    EXPECT_THAT(in_agents(), IsEmpty());
}

TEST_P(Scripts, TakeATruncatedProgramForMissingAndReplaceIt) {
    const auto pair = make_pair("echo started");
    EXPECT_EQ(upload(pair, program + shim), "placed\n");
    for (const char* name : {"/locald", "/locald-shim"}) {
        fs::resize_file(agents() + "/" + pair.id + name, 3);
        EXPECT_THAT(answer(run(start_command(mark, {pair}))), StartsWith("missing ")) << name;
        EXPECT_EQ(upload(pair, program + shim), "placed\n") << name;
        EXPECT_EQ(answer(run(start_command(mark, {pair}))), "start\n") << name;
    }
}

TEST_P(Scripts, KeepTheNewestTwoAndWhatRuns) {
    const auto running = make_pair("# 0");
    EXPECT_EQ(upload(running, program + shim), "placed\n") << last.err;
    // A program whose file lies there, as /proc/PID/exe has it; a script's would be its shell.
    const std::string copy = agents() + "/" + running.id + "/sleep";
    fs::copy_file("/bin/sleep", copy);
    auto sleeping = host::Child::start({.argv = {copy, "60"}});
    std::vector<std::string> ids;
    for (const char* agent : {"# 1", "# 2", "# 3"}) {
        const auto pair = make_pair(agent);
        ids.push_back(pair.id);
        EXPECT_EQ(upload(pair, program + shim), "placed\n") << last.err;
        // Whole seconds are all that some file systems and some ls tell apart.
        const auto then = fs::file_time_type::clock::now() - std::chrono::hours(5 - ids.size());
        fs::last_write_time(agents() + "/" + ids.back(), then);
        fs::last_write_time(agents() + "/" + running.id, then - std::chrono::hours(9));
    }
    EXPECT_THAT(in_agents(), ::testing::UnorderedElementsAre(running.id, ids[1], ids[2]));
    // The one that is started is the newest from then on.
    auto first = make_pair("# 2");
    EXPECT_EQ(answer(run(start_command(mark, {first}))), "start\n");
    sleeping.signal(9);
    sleeping.wait();
    const auto last_pair = make_pair("# 4");
    EXPECT_EQ(upload(last_pair, program + shim), "placed\n");
    EXPECT_THAT(in_agents(), ::testing::UnorderedElementsAre(ids[1], last_pair.id));
}

TEST(ScriptCommands, AreOneLineThatEveryShellReadsAlike) {
    const std::string sums = std::string(64, 'a') + " 1 locald\n" + std::string(64, 'b') + " 2 locald-shim\n";
    const auto pair = parse_guest_pair("x86_64", "/nowhere", sums);
    for (const auto& command : {start_command(mark, {pair}), upload_command(mark, pair, "a1")}) {
        EXPECT_THAT(command, StartsWith("sh -c '"));
        const auto script = command.substr(7, command.find("' locald") - 7);
        EXPECT_EQ(script.find_first_of("'\\!\n"), std::string::npos) << script;
        EXPECT_EQ(command.find_first_of("'\"\\!$;&|<>()`*?#~\n", 7 + script.size() + 1), std::string::npos) << command;
    }
    auto strange = pair;
    strange.machine = "x86_64; reboot";
    EXPECT_THROW(start_command(mark, {strange}), Error);
}

TEST(ScriptAnswers, AreTheLinesWithTheMark) {
    EXPECT_FALSE(parse_answer("Welcome!", mark));
    EXPECT_FALSE(parse_answer("", mark));
    EXPECT_FALSE(parse_answer(mark, mark));
    EXPECT_FALSE(parse_answer(std::string(mark) + " ", mark));
    EXPECT_FALSE(parse_answer(std::string(mark) + "0 start", mark));
    EXPECT_FALSE(parse_answer(std::string(" ") + mark + " start", mark));
    const auto answer = parse_answer(std::string(mark) + " missing Linux x86_64 /a b\r", mark);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->word, "missing");
    EXPECT_THAT(answer->rest, ElementsAre("Linux", "x86_64", "/a", "b"));
}

TEST(GuestPairs, RefuseDamagedSums) {
    const std::string sum(64, 'a');
    for (const std::string& sums : {std::string(), sum + " 1 locald\n", sum + " 0 locald\n" + sum + " 1 locald-shim\n",
                                    sum + " 1 locald-shim\n" + sum + " 1 locald\n",
                                    "A" + sum.substr(1) + " 1 locald\n" + sum + " 1 locald-shim\n",
                                    sum + "  1 locald\n" + sum + " 1 locald-shim\n"}) {
        try {
            parse_guest_pair("x86_64", "/there", sums);
            ADD_FAILURE() << sums;
        } catch (const Error& e) {
            EXPECT_THAT(e.what(), AllOf(HasSubstr("/there/sums"), HasSubstr("tools/cross-build"))) << sums;
        }
    }
}

TEST(GuestPairs, AreReadOnlyWhenTheyAreWhatTheSumsSay) {
    const locald::testing::TempDir dir;
    std::ofstream(dir / "locald") << "one";
    std::ofstream(dir / "locald-shim") << "two";
    const auto pair = parse_guest_pair(
        "x86_64", dir.path(), sha256_of("one").hex() + " 3 locald\n" + sha256_of("two").hex() + " 3 locald-shim\n");
    EXPECT_EQ(read_guest_pair(pair), "onetwo");
    std::ofstream(dir / "locald-shim") << "tWo";
    EXPECT_THROW(read_guest_pair(pair), Error);
}

}  // namespace
