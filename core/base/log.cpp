#include "core/base/log.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

namespace locald {

namespace {

struct State {
    std::mutex mutex;
    LogSink sink;
    std::atomic<LogLevel> level{LogLevel::warning};
};

State& state() {
    static State instance;
    return instance;
}

std::string_view name_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warning:
            return "warning";
        case LogLevel::error:
            break;
    }
    return "error";
}

}  // namespace

void set_log_sink(LogSink sink) {
    const std::lock_guard lock(state().mutex);
    state().sink = std::move(sink);
}

void set_log_level(LogLevel level) noexcept { state().level = level; }

void log(LogLevel level, std::string_view line) {
    State& s = state();
    if (level < s.level.load()) return;
    const std::lock_guard lock(s.mutex);
    if (s.sink) {
        s.sink(level, line);
        return;
    }
    std::string text = "locald: ";
    text.append(name_of(level)).append(": ").append(line).append("\n");
    // One write a line, so that lines of two processes do not mix; a closed stderr is nobody's error.
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

}  // namespace locald
