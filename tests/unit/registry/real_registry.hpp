#pragma once

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::registry::testing {

/// The path of a program among those that tools/fetch-peers unpacked (tools/check names their directory) or in the
/// usual places; empty when it is not there.
inline std::string find_program(const std::string& name) {
    if (const char* peers = std::getenv("LOCALD_TESTS_PEERS")) {
        const std::string path = std::string(peers) + "/" + name;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    for (const char* directory : {"/usr/local/bin/", "/usr/bin/", "/bin/"}) {
        if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
    }
    return {};
}

inline void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::string& path) {
    std::stringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
}

/// Runs a program found by find_program. @throws Error with what it said when it fails
inline std::string run(std::vector<std::string> argv, const std::string& home) {
    host::ChildOptions options;
    const std::string name = argv[0];
    argv[0] = find_program(name);
    options.argv = std::move(argv);
    options.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "TMPDIR=" + home};
    options.cwd = home;
    const auto said = host::run_and_capture(std::move(options), {}, std::chrono::seconds(60));
    if (!said.status.ok()) throw Error(ErrorKind::system, name + ": " + said.out + said.err);
    return said.out;
}

/// Debian's docker-registry on a loopback port, with a storage of its own.
class RealRegistry {
public:
    /// @param extra  lines of its config.yml: `auth:` …; `http_extra` are lines below `http:`
    explicit RealRegistry(const std::string& extra = {}, const std::string& http_extra = {}) {
        for (int attempt = 0; attempt < 5; ++attempt) {
            {
                Poco::Net::ServerSocket probe(Poco::Net::SocketAddress("127.0.0.1", 0));
                port_ = probe.address().port();
            }
            write_file(dir_ / "config.yml",
                       "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                       "storage: {filesystem: {rootdirectory: " +
                           (dir_ / "storage") + "}}\nhttp:\n  addr: 127.0.0.1:" + std::to_string(port_) + "\n" +
                           http_extra + extra);
            host::ChildOptions options;
            options.argv = {find_program("docker-registry"), "serve", dir_ / "config.yml"};
            options.env = {"PATH=/usr/bin:/bin", "OTEL_TRACES_EXPORTER=none", "HOME=" + dir_.path()};
            child_ = host::Child::start(options);
            if (answers()) return;
        }
        throw Error(ErrorKind::unavailable, "docker-registry does not start");
    }

    std::string authority() const { return "127.0.0.1:" + std::to_string(port_); }
    unsigned port() const { return port_; }
    const std::string& dir() const { return dir_.path(); }

    /// Pushes `oci:<dir>/image:<tag>` as test/image:<tag>.
    void push(const std::string& layout_home, const std::string& tag, const std::vector<std::string>& more = {}) {
        std::vector<std::string> argv{
            "skopeo", "copy", "--insecure-policy", "--all", "--preserve-digests", "--dest-tls-verify=false"};
        argv.insert(argv.end(), more.begin(), more.end());
        argv.push_back("oci:" + layout_home + "/image:" + tag);
        argv.push_back("docker://" + authority() + "/test/image:" + tag);
        run(std::move(argv), layout_home);
    }

private:
    bool answers() {
        for (int i = 0; i < 200; ++i) {
            if (child_.wait_for(std::chrono::milliseconds(50))) return false;  // the port was taken meanwhile
            try {
                Poco::Net::StreamSocket(Poco::Net::SocketAddress("127.0.0.1", static_cast<Poco::UInt16>(port_)));
                return true;
            } catch (const Poco::Exception&) {
                continue;
            }
        }
        return false;
    }

    locald::testing::TempDir dir_;
    unsigned port_ = 0;
    host::Child child_;
};

inline bool have_real_registry() {
    for (const char* name : {"docker-registry", "skopeo", "umoci", "busybox"}) {
        if (find_program(name).empty()) return false;
    }
    return true;
}

}  // namespace locald::registry::testing
