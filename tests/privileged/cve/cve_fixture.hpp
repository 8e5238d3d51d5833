#pragma once

// What the attacks of this folder have in common: a hostile root filesystem, a process beside the runtime, one inside.

#include <gmock/gmock.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/prctl.h>

#include <set>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace locald::testing {

/// A process that does `step` again and again until this object's end; the attacker in a race.
class Attacker {
public:
    explicit Attacker(const std::function<void()>& step) : pid_(::fork()) {
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) step();
    }
    ~Attacker() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Attacker(const Attacker&) = delete;
    Attacker& operator=(const Attacker&) = delete;

private:
    pid_t pid_;
};

/// Exchanges two names as fast as it can, as another container does that shares the volume.
inline std::function<void()> swap_of(const std::string& one, const std::string& other) {
    return [one, other] { ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE); };
}

class CveTest : public ShimTest {
protected:
    void SetUp() override { LOCALD_REQUIRE(::geteuid() == 0 && have_busybox(), "root and busybox"); }
    void TearDown() override {
        if (std::filesystem::exists(dir_ / ("state/" + id_))) call({"delete", "--force", id_});
        EXPECT_EQ(leftovers_soon(), "");
    }

    /// Starts the container detached and waits for its `up`. Its output is in container_out().
    void start(const Json& json) {
        write(json);
        Program run(command({"run", "--detach", "--bundle", dir_ / "bundle", id_}), dir_ / "container", uid_);
        ASSERT_EQ(run.wait(), 0) << run.err();
        ASSERT_TRUE(run.wait_for_output("up")) << run.err();
    }
    std::string container_out() const { return text_of(dir_ / "container.out"); }
    bool container_says(const std::string& text) const {
        for (int i = 0; i < 1000; ++i) {
            if (container_out().find(text) != std::string::npos) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    Result exec(const std::vector<std::string>& options, const std::vector<std::string>& words) const {
        std::vector<std::string> all{"exec"};
        all.insert(all.end(), options.begin(), options.end());
        all.push_back(id_);
        all.insert(all.end(), words.begin(), words.end());
        return call(all);
    }
    pid_t container_pid() const { return Json::parse(call({"state", id_}).out).at("pid").get<pid_t>(); }

    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }
    static void make_file(const std::string& path, const std::string& text = "", mode_t mode = 0644) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path) << text;
        ::chmod(path.c_str(), mode);
    }
    /// The host's directory that no attack may touch, with one file in it.
    std::string make_outside() const {
        make_file(dir_ / "outside/file", "the host's\n");
        return dir_ / "outside";
    }
    /// Everything below `directory`: names, types, sizes, owners, what links say. Equal before and after: untouched.
    static std::set<std::string> look_at(const std::string& directory) {
        std::set<std::string> seen;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
            struct stat st {};
            ::lstat(entry.path().c_str(), &st);
            seen.insert(entry.path().string() + " " + std::to_string(st.st_mode) + " " + std::to_string(st.st_rdev) +
                        " " + std::to_string(st.st_uid) + " " + std::to_string(S_ISREG(st.st_mode) ? st.st_size : 0));
        }
        return seen;
    }
    static void give_capabilities(Json& json, const std::vector<std::string>& names) {
        for (const char* set : {"bounding", "effective", "permitted"}) json["process"]["capabilities"][set] = names;
    }
    static void remove_mount(Json& json, const std::string& destination) {
        auto& mounts = json["mounts"];
        for (std::size_t i = mounts.size(); i-- > 0;) {
            if (mounts[i]["destination"] == destination) mounts.erase(i);
        }
    }
    static Json bind_of(const std::string& destination, const std::string& source) {
        return {{"destination", destination}, {"type", "bind"}, {"source", source}, {"options", {"rbind"}}};
    }
    /// Everything happens for `seconds`, and at least once.
    static void repeat_for(double seconds, const std::function<void()>& deed) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
        do deed();
        while (std::chrono::steady_clock::now() < end && !::testing::Test::HasFailure());
    }
};

}  // namespace locald::testing
