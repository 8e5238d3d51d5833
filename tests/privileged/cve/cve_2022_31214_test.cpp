// CVE-2022-31214 (firejail): a state that somebody else wrote names a process and namespaces of the attacker's choice.

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;

class Cve202231214 : public CveTest {
protected:
    std::string state_file() const { return dir_ / ("state/" + id_ + "/state.json"); }
    Json read_state() const { return Json::parse(text_of(state_file())); }
    void write_state(const Json& json) const { std::ofstream(state_file()) << json.dump(); }
    /// A process that has nothing to do with the container.
    struct Bystander {
        Bystander() : pid(::fork()) {
            if (pid != 0) return;
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;) ::pause();
        }
        ~Bystander() {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
        bool lives() const { return ::waitpid(pid, nullptr, WNOHANG) == 0; }
        pid_t pid;
    };
    void expect_untouched(const Bystander& bystander) {
        for (const auto& words : std::vector<std::vector<std::string>>{{"kill", id_, "KILL"},
                                                                       {"kill", "--all", id_, "KILL"},
                                                                       {"exec", id_, "true"},
                                                                       {"delete", id_},
                                                                       {"delete", "--force", id_}}) {
            call(words);
            EXPECT_TRUE(bystander.lives()) << words[0];
        }
    }
};

TEST_F(Cve202231214, AProcessThatIsNotTheContainersIsNeitherKilledNorJoined) {
    start(config(stay()));
    const Json before = read_state();
    // One that began in the container's own clock tick is the container to whoever has but a pid and a start time.
    ::usleep(50'000);
    const Bystander bystander;
    for (const pid_t pid : {bystander.pid, pid_t{1}}) {
        Json state = before;
        state["pid"] = pid;
        write_state(state);
        EXPECT_EQ(Json::parse(call({"state", id_}).out)["status"], "stopped") << pid;
        const auto joined = exec({}, {"sh", "-c", "echo joined"});
        EXPECT_EQ(joined.code, 255);
        EXPECT_EQ(joined.out, "");
        EXPECT_NE(call({"kill", id_, "KILL"}).code, 0);
        EXPECT_TRUE(bystander.lives());
    }
    write_state(before);
    EXPECT_EQ(exec({}, {"sh", "-c", "echo joined"}).out, "joined\n");
    Json state = before;
    state["pid"] = bystander.pid;
    write_state(state);
    expect_untouched(bystander);
    EXPECT_EQ(call({"state", id_}).code, 1) << "deleted, and its real process ended with its cgroup";
}

TEST_F(Cve202231214, AStateThatAnotherUserMadeIsRefused) {
    // All in it is right but its owner: the process that it names lives, with the start time that stands there.
    start(config(stay()));
    const pid_t container = container_pid();
    const std::string place = dir_ / ("state/" + id_);
    for (const bool owner : {true, false}) {
        ASSERT_EQ(::chown(place.c_str(), owner ? 54321 : 0, 0), 0);
        ASSERT_EQ(::chmod(place.c_str(), owner ? 0700 : 0777), 0);
        for (const auto& words : std::vector<std::vector<std::string>>{
                 {"state", id_}, {"kill", id_, "KILL"}, {"exec", id_, "true"}, {"delete", "--force", id_}}) {
            const auto result = call(words);
            EXPECT_NE(result.code, 0) << words[0];
            EXPECT_THAT(result.err, HasSubstr("its state directory is not ours alone")) << words[0];
        }
        EXPECT_EQ(::kill(container, 0), 0);
    }
    ASSERT_EQ(::chown(place.c_str(), 0, 0), 0);
    ASSERT_EQ(::chmod(place.c_str(), 0700), 0);
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
}

TEST_F(Cve202231214, AStateThatIsALinkIsRefused) {
    start(config(stay()));
    const std::string place = dir_ / ("state/" + id_);
    std::filesystem::rename(place, dir_ / "elsewhere");
    std::filesystem::create_directory_symlink(dir_ / "elsewhere", place);
    EXPECT_NE(call({"kill", id_, "KILL"}).code, 0);
    EXPECT_NE(exec({}, {"true"}).code, 0);
    std::filesystem::remove(place);
    std::filesystem::rename(dir_ / "elsewhere", place);
    std::filesystem::rename(place + "/state.json", dir_ / "state.json");
    std::filesystem::create_symlink(dir_ / "state.json", place + "/state.json");
    EXPECT_NE(call({"kill", id_, "KILL"}).code, 0);
    std::filesystem::remove(place + "/state.json");
    std::filesystem::rename(dir_ / "state.json", place + "/state.json");
    EXPECT_EQ(call({"kill", id_, "KILL"}).code, 0);
}

}  // namespace
}  // namespace locald::testing
