#include <unistd.h>

#include <csignal>

#include "cli/commands/commands.hpp"
#include "cli/flags_time.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/host/signals.hpp"

namespace locald::cli {

namespace {

class ContainerLogs final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("-f,--follow", options_.follow, "Go on until the container ends");
        flags.flag("-t,--timestamps", options_.timestamps, "A time in front of every line");
        flags.text("-n,--tail", "LINES|all", tail_, "Only so many lines from the end");
        flags.text("--since", "TIME", since_, "Only what came after: 10m, 2024-03-01T12:00:00Z, or seconds since 1970");
        flags.text("--until", "TIME", until_, "Only what came before");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto now = now_nanoseconds();
        if (tail_ != "all") {
            options_.tail = parse_u64(tail_);
            if (!options_.tail) throw Error(ErrorKind::invalid, "--tail " + json_quote(tail_) + ": expected a number");
        }
        if (!since_.empty()) options_.since = parse_time_flag("--since", since_, now);
        if (!until_.empty()) options_.until = parse_time_flag("--until", until_, now);
        const auto runtime = runtime::make_runtime(globals.choice());
        try {
            runtime->logs(operands.front(), options_, STDOUT_FILENO, STDERR_FILENO, {});
        } catch (const Error& e) {
            // As for any program whose reader has enough.
            if (e.os_errno() == EPIPE) host::SignalQueue::die_by(SIGPIPE);
            throw;
        }
        return 0;
    }

private:
    runtime::LogOptions options_;
    std::string tail_ = "all", since_, until_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_logs() { return make_body<ContainerLogs>(); }

}  // namespace locald::cli
