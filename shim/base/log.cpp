#include "shim/base/log.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/base/timestamp.hpp"

namespace locald::shim {

namespace {

enum class Sink { none, file, journald, syslog };

struct Log {
    Sink sink = Sink::none;
    posix::UniqueFd fd;
    std::string name;  ///< of the program, for journald and syslog
    bool json = false, debug = false;
    /// Warnings that wait for the end of the command. An engine that finds a failed command reads the file as the one
    /// object that says why, and takes two for none.
    std::string held;
    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log() {
        if (!held.empty()) static_cast<void>(::write(fd.get(), held.data(), held.size()) >= 0);
    }
};
Log& the_log() {
    static Log log;
    return log;
}

constexpr std::array level_names{"debug", "warning", "error"};
constexpr std::array priorities{7, 4, 3};  // syslog(3)

posix::UniqueFd connect_datagram(const char* path) {
    posix::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw_errno(errno, "--log: connect to ", path);
    }
    return fd;
}

std::string record(const Log& log, LogLevel level, const std::string& message) {
    const auto number = static_cast<std::size_t>(level);
    const std::string priority = std::to_string(priorities.at(number));
    switch (log.sink) {
        case Sink::journald: {
            std::string one_line = message;
            for (char& c : one_line) c = c == '\n' ? ' ' : c;
            return "PRIORITY=" + priority + "\nSYSLOG_IDENTIFIER=" + log.name + "\nMESSAGE=" + one_line + "\n";
        }
        case Sink::syslog:
            return "<" + std::to_string(8 * 3 + priorities.at(number)) + ">" + log.name + ": " + message;
        default:
            break;
    }
    const std::string text = json_quote(message);
    const std::string time = json_quote(timestamp_now());
    const std::string name = level_names.at(number);
    if (log.json) return "{\"level\":\"" + name + "\",\"msg\":" + text + ",\"time\":" + time + "}\n";
    return "time=" + time + " level=" + name + " msg=" + text + "\n";
}

}  // namespace

void open_log(const std::string& where, bool json, bool debug) {
    Log& log = the_log();
    log.json = json;
    log.debug = debug;
    const auto rest_after = [&](std::string_view prefix) { return where.substr(prefix.size()); };
    if (where.starts_with("journald:")) {
        log.fd = connect_datagram("/run/systemd/journal/socket");
        log.sink = Sink::journald;
        log.name = rest_after("journald:");
    } else if (where.starts_with("syslog:")) {
        log.fd = connect_datagram("/dev/log");
        log.sink = Sink::syslog;
        log.name = rest_after("syslog:");
    } else {
        const std::string path = where.starts_with("file:") ? rest_after("file:") : where;
        log.fd.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644));
        if (!log.fd) throw_errno(errno, "--log: open ", path);
        log.sink = Sink::file;
    }
}

void log(LogLevel level, const std::string& message) {
    Log& log = the_log();
    if (log.sink == Sink::none || (level == LogLevel::debug && !log.debug)) return;
    const std::string line = record(log, level, message);
    if (log.sink == Sink::file && log.json && !log.debug) {
        if (level == LogLevel::warning) {
            log.held += line;
            return;
        }
        log.held.clear();
    }
    static_cast<void>(::write(log.fd.get(), line.data(), line.size()) >= 0);
}

bool log_debug() noexcept { return the_log().debug; }

}  // namespace locald::shim
