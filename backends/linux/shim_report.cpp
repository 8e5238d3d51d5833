#include "backends/linux/shim_report.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <array>

namespace locald::backends {

namespace {

constexpr std::size_t longest_line = 1U << 20U;

Error error_from(const nlohmann::json& event) {
    const int exit_code = event.value("exit_code", 125);
    ErrorKind kind = error_kind_from(event.value("kind", "system"));
    if (exit_code == 126) kind = ErrorKind::not_executable;
    if (exit_code == 127) kind = ErrorKind::command_not_found;
    Error error(kind, event.value("message", "the runtime failed without a word"), event.value("errno", 0));
    if (const std::string remedy = event.value("remedy", ""); !remedy.empty()) error.with_remedy(remedy);
    return error;
}

}  // namespace

ShimEvent parse_shim_event(std::string_view line) {
    try {
        const auto json = nlohmann::json::parse(line);
        const std::string name = json.at("event").get<std::string>();
        ShimEvent event;
        if (name == "started") {
            event.kind = ShimEvent::Kind::started;
            event.pid = json.at("pid").get<int>();
        } else if (name == "exited") {
            event.kind = ShimEvent::Kind::exited;
            event.status = {json.at("code").get<int>(), json.at("signal").get<int>()};
            event.oom_killed = json.value("oom", false);
        } else if (name == "error") {
            event.kind = ShimEvent::Kind::failed;
            event.error = error_from(json);
        } else {
            event.text = json.value("message", std::string(line));
        }
        return event;
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::corrupt, "read the report of locald-shim: " + std::string(e.what()));
    }
}

std::optional<ShimEvent> ShimReport::next() {
    for (;;) {
        if (const auto end = pending_.find('\n'); end != std::string::npos) {
            const std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            return parse_shim_event(line);
        }
        if (!pipe_ || pending_.size() > longest_line) return std::nullopt;
        std::array<char, 4096> block{};
        const ssize_t n = ::read(pipe_.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "read the report of locald-shim");
        if (n == 0) return std::nullopt;
        pending_.append(block.data(), static_cast<std::size_t>(n));
    }
}

}  // namespace locald::backends
