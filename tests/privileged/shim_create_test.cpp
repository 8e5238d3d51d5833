// create, start, run -d and delete, as engines drive them.

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;

class ShimCreate : public ShimTest {
protected:
    void SetUp() override { LOCALD_REQUIRE(::geteuid() == 0 && have_busybox(), "root and busybox"); }
    void TearDown() override {
        call({"delete", "--force", id_});
        EXPECT_EQ(leftovers_soon(), "");
    }

    Result create(const Json& json, const std::vector<std::string>& options = {}) {
        write(json);
        std::vector<std::string> words{"create", "--bundle", dir_ / "bundle"};
        words.insert(words.end(), options.begin(), options.end());
        words.push_back(id_);
        Program program(command(words), dir_ / "container");
        const int code = program.wait();
        return {code, program.out(), program.err()};
    }
    std::string container_output() const { return text_of("container.out"); }
    std::string text_of(const std::string& name) const {
        std::ifstream file(dir_ / name);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }
    std::string status() const {
        const Result result = call({"state", id_});
        return result.code == 0 ? Json::parse(result.out).at("status").get<std::string>() : result.err;
    }
    bool becomes(const std::string& wanted) const {
        for (int i = 0; i < 500; ++i) {
            if (status() == wanted) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    Json with_hook(Json json, const std::string& kind, const std::string& line) const {
        json["hooks"][kind].push_back({{"path", "/bin/sh"}, {"args", {"sh", "-c", line}}});
        return json;
    }
};

TEST_F(ShimCreate, RunsTheProgramOnlyAtStart) {
    ASSERT_EQ(create(config("echo ran; " + stay())).code, 0);
    EXPECT_EQ(status(), "created");
    EXPECT_EQ(container_output(), "");
    ASSERT_EQ(call({"start", id_}).code, 0);
    EXPECT_EQ(status(), "running");
    for (int i = 0; i < 500 && container_output().find("up") == std::string::npos; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_THAT(container_output(), HasSubstr("ran"));
    const Result again = call({"start", id_});
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.err, HasSubstr("cannot start an already running container"));
    const Result early = call({"delete", id_});
    EXPECT_EQ(early.code, 1);
    EXPECT_THAT(early.err, HasSubstr("that is not stopped: running"));
    EXPECT_EQ(call({"kill", id_, "KILL"}).code, 0);
    EXPECT_TRUE(becomes("stopped"));
    EXPECT_THAT(call({"start", id_}).err, HasSubstr("cannot start a container that has stopped"));
    EXPECT_EQ(call({"delete", id_}).code, 0);
    EXPECT_THAT(status(), HasSubstr("container does not exist"));
}

TEST_F(ShimCreate, IgnoresWhatIsWrittenIntoTheConfigurationLater) {
    ASSERT_EQ(create(config("echo first")).code, 0);
    write(config("echo second"));
    ASSERT_EQ(call({"start", id_}).code, 0);
    EXPECT_TRUE(becomes("stopped"));
    EXPECT_EQ(container_output(), "first\n");
}

TEST_F(ShimCreate, HoldsNothingOfTheRuntimesWhileItWaits) {
    ASSERT_EQ(create(config("true"), {"--pid-file", dir_ / "pid"}).code, 0);
    const std::string pid = text_of("pid");
    std::vector<std::string> open;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + pid + "/fd")) {
        if (std::stoi(entry.path().filename()) > 2) open.push_back(std::filesystem::read_symlink(entry.path()));
    }
    EXPECT_THAT(open, ::testing::ElementsAre(HasSubstr("socket:")));
    EXPECT_EQ(call({"delete", id_}).code, 0);  // created: killed without --force
}

TEST_F(ShimCreate, EndsByASignalWhileItWaits) {
    ASSERT_EQ(create(config("true")).code, 0);
    EXPECT_EQ(call({"kill", id_}).code, 0);
    EXPECT_TRUE(becomes("stopped"));
    EXPECT_EQ(call({"delete", id_}).code, 0);
}

TEST_F(ShimCreate, FindsThatTheProgramIsMissing) {
    Json json = config("");
    json["process"]["args"] = {"no-such-program"};
    const Result result = create(json);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("exec: \"no-such-program\": executable file not found in $PATH"));
    EXPECT_THAT(status(), HasSubstr("container does not exist"));
}

TEST_F(ShimCreate, IsAllowedWithoutAProcessAndStartIsNot) {
    Json json = config("");
    json.erase("process");
    ASSERT_EQ(create(json).code, 0);
    EXPECT_EQ(status(), "created");
    const Result start = call({"start", id_});
    EXPECT_EQ(start.code, 1);
    EXPECT_THAT(start.err, HasSubstr("process property must not be empty"));
    EXPECT_EQ(status(), "created");
}

TEST_F(ShimCreate, TellsStartWhyAProgramCannotBeExecuted) {
    std::filesystem::copy_file("/bin/busybox", rootfs("/bin/breaks"));
    Json json = config("");
    json["process"]["args"] = {"/bin/breaks"};
    ASSERT_EQ(create(json).code, 0);
    std::ofstream(rootfs("/bin/breaks"), std::ios::trunc) << "no program";
    const Result start = call({"start", id_});
    EXPECT_EQ(start.code, 1);
    EXPECT_THAT(start.err, HasSubstr("exec format error"));
    EXPECT_TRUE(becomes("stopped"));
}

TEST_F(ShimCreate, RunsEachHookAtItsVerb) {
    Json json = config("true");
    const std::string log = dir_ / "hooks";
    for (const char* kind : {"prestart", "createRuntime", "createContainer", "poststart", "poststop"}) {
        json = with_hook(json, kind, std::string("echo ") + kind + " >> " + log);
    }
    ASSERT_EQ(create(json).code, 0);
    EXPECT_EQ(text_of("hooks"), "prestart\ncreateRuntime\ncreateContainer\n");
    ASSERT_EQ(call({"start", id_}).code, 0);
    EXPECT_EQ(text_of("hooks"), "prestart\ncreateRuntime\ncreateContainer\npoststart\n");
    EXPECT_TRUE(becomes("stopped"));
    ASSERT_EQ(call({"delete", id_}).code, 0);
    EXPECT_THAT(text_of("hooks"), HasSubstr("poststart\npoststop\n"));
}

TEST_F(ShimCreate, IsStoppedByAStartHookThatFails) {
    ASSERT_EQ(create(with_hook(config(stay()), "startContainer", "exit 3")).code, 0);
    const Result start = call({"start", id_});
    EXPECT_EQ(start.code, 1);
    EXPECT_THAT(start.err, HasSubstr("startContainer hook #0"));
    EXPECT_TRUE(becomes("stopped"));
}

TEST_F(ShimCreate, IsStoppedByAPoststartHookThatFails) {
    ASSERT_EQ(create(with_hook(config(stay()), "poststart", "exit 3")).code, 0);
    const Result start = call({"start", id_});
    EXPECT_EQ(start.code, 1);
    EXPECT_THAT(start.err, HasSubstr("poststart hook #0"));
    EXPECT_TRUE(becomes("stopped"));
}

TEST_F(ShimCreate, RefusesATerminalWithoutASocket) {
    Json json = config("true");
    json["process"]["terminal"] = true;
    const Result result = create(json);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("without setting console socket"));
}

TEST_F(ShimCreate, SendsTheTerminalToTheConsoleSocket) {
    Json json = config("tty; echo $((6 * 7))");
    json["process"]["terminal"] = true;
    const std::string path = dir_ / "console";
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(create(json, {"--console-socket", path}).code, 0);
    const posix::UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    const posix::UniqueFd master = posix::receive_fd(connection);
    ::close(listener);
    ASSERT_EQ(call({"start", id_}).code, 0);
    std::string text;
    std::array<char, 256> buffer{};
    for (ssize_t n = 0; (n = ::read(master.get(), buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    EXPECT_THAT(text, HasSubstr("/dev/pts/0"));
    EXPECT_THAT(text, HasSubstr("42"));
}

TEST_F(ShimCreate, SurvivesItsMakerAndItsStarter) {
    write(config(stay()));
    Program run(command({"run", "--detach", "--bundle", dir_ / "bundle", "--pid-file", dir_ / "pid", id_}),
                dir_ / "container");
    ASSERT_EQ(run.wait(), 0);
    EXPECT_EQ(status(), "running");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(status(), "running");
    EXPECT_EQ(::kill(std::stoi(text_of("pid")), 0), 0);
}

TEST_F(ShimCreate, LeavesItsStateWithKeep) {
    write(config("exit 4"));
    Program run(command({"run", "--keep", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
    EXPECT_EQ(run.wait(), 4);
    EXPECT_EQ(status(), "stopped");
    EXPECT_EQ(call({"delete", id_}).code, 0);
}

TEST_F(ShimCreate, IsGoneWhenItsMakerIsKilledAtAnyMoment) {
    const Json json = config(stay());
    write(json);
    for (int microseconds = 0; microseconds < 6000; microseconds += 150) {
        Program maker(command({"create", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
        std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
        maker.signal(SIGKILL);
        maker.wait();
        const Result removed = call({"delete", "--force", id_});
        ASSERT_EQ(removed.code, 0) << microseconds << removed.err;
        ASSERT_EQ(leftovers_soon(), "") << microseconds;
    }
}

TEST_F(ShimCreate, TakesOneOfManyStartsAtOnce) {
    ASSERT_EQ(create(config(stay())).code, 0);
    std::vector<std::unique_ptr<Program>> starts;
    for (int i = 0; i < 8; ++i) {
        starts.push_back(std::make_unique<Program>(command({"start", id_}), dir_ / ("start" + std::to_string(i))));
    }
    int good = 0;
    for (const auto& start : starts) good += start->wait() == 0 ? 1 : 0;
    EXPECT_EQ(good, 1);
    EXPECT_EQ(status(), "running");
}

TEST_F(ShimCreate, WritesErrorsIntoTheLogToo) {
    const std::string log = dir_ / "log.json";
    const Result result = call({"--log", log, "--log-format", "json", "start", id_});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("container does not exist"));
    const Json record = Json::parse(text_of("log.json"));
    EXPECT_EQ(record.at("level"), "error");
    EXPECT_THAT(record.at("msg").get<std::string>(), HasSubstr("container does not exist"));
    EXPECT_TRUE(record.contains("time"));
}

}  // namespace
}  // namespace locald::testing
