#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.hpp"

namespace locald::testing {

/// The shim under test: $LOCALD_SHIM, else bin/locald-shim of the build tree the test program lies in.
inline std::string shim_path() {
    if (const char* given = std::getenv("LOCALD_SHIM")) return given;
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    return (self.parent_path().parent_path() / "bin/locald-shim").string();
}

inline bool have_busybox() { return ::access("/bin/busybox", X_OK) == 0; }

/// A program that runs beside the test, with its output in files.
class Program {
public:
    /// @param uid  run as this user and group; -1: as we are
    /// @param inherit  descriptors the program gets at the same number
    Program(const std::vector<std::string>& words, const std::string& output_prefix, uid_t uid = static_cast<uid_t>(-1),
            const std::vector<int>& inherit = {})
        : out_(output_prefix + ".out"), err_(output_prefix + ".err") {
        std::vector<char*> argv;
        for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        const int out = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        const int err = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        pid_ = ::fork();
        if (pid_ == 0) {
            const int null = ::open("/dev/null", O_RDONLY);
            ::dup2(null, 0);
            ::dup2(out, 1);
            ::dup2(err, 2);
            ::setpgid(0, 0);
            for (const int fd : inherit) ::fcntl(fd, F_SETFD, 0);
            if (uid != static_cast<uid_t>(-1) && (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0)) {
                ::_exit(124);
            }
            ::execv(argv[0], argv.data());
            ::_exit(123);
        }
        ::close(out);
        ::close(err);
    }
    ~Program() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            wait();
        }
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    pid_t pid() const noexcept { return pid_; }
    void signal(int number) const { ::kill(pid_, number); }
    /// The exit code, or 128 + signal, as a shell has it.
    int wait() {
        if (pid_ <= 0) return code_;
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    std::string out() const { return text_of(out_); }
    std::string err() const { return text_of(err_); }
    /// Waits until the output holds `text`; false after ten seconds.
    bool wait_for_output(const std::string& text) const {
        for (int i = 0; i < 1000; ++i) {
            if (out().find(text) != std::string::npos) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

private:
    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }

    std::string out_, err_;
    pid_t pid_ = -1;
    int code_ = -1;
};

struct Result {
    int code = -1;
    std::string out, err;
};

/// A bundle with a busybox root, a state root of its own, and the real shim.
class ShimTest : public ::testing::Test {
protected:
    using Json = nlohmann::json;

    ShimTest() {
        namespace fs = std::filesystem;
        fs::permissions(dir_.path(), fs::perms(0755));
        for (const char* name : {"bundle/rootfs/bin", "bundle/rootfs/etc", "bundle/rootfs/tmp", "bundle/rootfs/proc",
                                 "bundle/rootfs/dev", "bundle/rootfs/sys"}) {
            fs::create_directories(dir_ / name);
        }
        if (have_busybox()) fs::copy_file("/bin/busybox", dir_ / "bundle/rootfs/bin/busybox");
        for (const char* name : {"sh", "true", "cat", "ls", "id", "sleep", "grep", "mount", "touch", "stat", "readlink",
                                 "hostname", "kill", "tty", "pwd", "mkdir", "seq"}) {
            fs::create_symlink("busybox", dir_ / (std::string("bundle/rootfs/bin/") + name));
        }
        // A copy, so that a user who may not look into the build tree can run it.
        fs::copy_file(shim_path(), dir_ / "locald-shim");
        id_ = "shim-test-" + std::to_string(::getpid()) + "-" + std::to_string(++counter());
    }

    std::string rootfs(const std::string& name = "") const { return dir_ / ("bundle/rootfs" + name); }

    /// The usual configuration; `args` is a shell line.
    static Json config(const std::string& line) {
        return Json::parse(R"({"ociVersion":"1.3.0","process":{"terminal":false,"user":{"uid":0,"gid":0},
          "env":["PATH=/bin"],"cwd":"/","noNewPrivileges":true,
          "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"permitted":["CAP_KILL"]},
          "args":["/bin/sh","-c",)" +
                           Json(line).dump() + R"(]},
          "root":{"path":"rootfs"},"hostname":"box","mounts":[
          {"destination":"/proc","type":"proc","source":"proc"},
          {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=65536k"]},
          {"destination":"/dev/pts","type":"devpts","source":"devpts",
           "options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620"]},
          {"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]}],
          "linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},
          {"type":"cgroup"}],"maskedPaths":["/proc/kcore","/proc/keys","/proc/timer_list","/sys/firmware"],
          "readonlyPaths":["/proc/sys","/proc/irq"]}})");
    }

    void write(const std::string& text) const { std::ofstream(dir_ / "bundle/config.json") << text; }
    void write(const Json& json) const { write(json.dump()); }

    std::vector<std::string> command(const std::vector<std::string>& words) const {
        std::vector<std::string> all{dir_ / "locald-shim", "--root", dir_ / "state"};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    Result call(const std::vector<std::string>& words) const {
        Program program(command(words), dir_ / "call", uid_);
        const int code = program.wait();
        return {code, program.out(), program.err()};
    }
    std::vector<std::string> run_words() const { return {"bundle", "run", "--bundle", dir_ / "bundle", "--id", id_}; }
    Result run(const Json& json) {
        write(json);
        return call(run_words());
    }
    Result run_line(const std::string& line) { return run(config(line)); }

    /// What a container could have left: states, cgroups with its id, mounts, processes with our marker.
    std::string leftovers() const {
        std::string found;
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(dir_ / "state", ignored)) {
            if (entry.path().filename() != ".seccomp") found += "state " + entry.path().string() + "\n";
        }
        for (const std::string top : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"}) {
            for (const auto& entry : std::filesystem::directory_iterator(top, ignored)) {
                if (entry.path().filename() == id_) found += "cgroup " + entry.path().string() + "\n";
            }
        }
        std::ifstream mounts("/proc/self/mountinfo");
        for (std::string line; std::getline(mounts, line);) {
            if (line.find(dir_.path()) != std::string::npos) found += "mount " + line + "\n";
        }
        return found + processes();
    }
    /// The processes whose root lies in this test's root filesystem.
    std::string processes() const {
        std::string found;
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
            std::ifstream file(entry.path() / "cmdline");
            std::string line;
            std::getline(file, line);
            if (line.find("marker-" + id_) != std::string::npos) found += "process " + entry.path().string() + "\n";
        }
        return found;
    }
    /// leftovers() once the kernel has finished with processes that are being killed.
    std::string leftovers_soon() const {
        std::string found;
        for (int i = 0; i < 300; ++i) {
            found = leftovers();
            if (found.empty()) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return found;
    }
    /// A shell line that says `up` and stays, with this test's marker on its command line.
    std::string stay() const { return "echo up; : marker-" + id_ + "; while :; do sleep 0.05; done"; }

    TempDir dir_;
    std::string id_;
    uid_t uid_ = static_cast<uid_t>(-1);

private:
    static int& counter() {
        static int count = 0;
        return count;
    }
};

}  // namespace locald::testing
