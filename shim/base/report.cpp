#include "shim/base/report.hpp"

#include <unistd.h>

#include "core/base/text.hpp"
#include "shim/base/log.hpp"

namespace locald::shim {

namespace {

void put(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;  // nobody reads: the supervision loop sees that by itself
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

}  // namespace

void Reporter::write(const std::string& line) const { put(fd_ >= 0 ? fd_ : STDERR_FILENO, line + "\n"); }

void Reporter::started(pid_t pid) const {
    if (fd_ >= 0) write("{\"event\":\"started\",\"pid\":" + std::to_string(pid) + "}");
}

void Reporter::exited(int code, int signal, bool oom) const {
    if (fd_ < 0) return;
    write("{\"event\":\"exited\",\"code\":" + std::to_string(code) + ",\"signal\":" + std::to_string(signal) +
          ",\"oom\":" + (oom ? "true" : "false") + "}");
}

void Reporter::error(const Error& error, int exit_code) const {
    log(LogLevel::error, error.what());
    if (fd_ < 0) return write(std::string("locald-shim: ") + error.what());
    write("{\"event\":\"error\",\"kind\":" + json_quote(to_string(error.kind())) +
          ",\"errno\":" + std::to_string(error.os_errno()) + ",\"message\":" + json_quote(error.message()) +
          ",\"remedy\":" + json_quote(error.remedy()) + ",\"exit_code\":" + std::to_string(exit_code) + "}");
}

void Reporter::warning(const std::string& text) const {
    log(LogLevel::warning, text);
    if (fd_ < 0) return write("locald-shim: warning: " + text);
    write("{\"event\":\"warning\",\"message\":" + json_quote(text) + "}");
}

}  // namespace locald::shim
