#include <chrono>
#include <optional>
#include <thread>

#include "cli/commands/commands.hpp"
#include "cli/each_operand.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/signal_name.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

// As long as milliseconds fit into 32 bits, which is what crosses to another host: 24 days.
constexpr std::uint64_t longest_seconds = 2'147'483;

std::chrono::milliseconds parse_grace(const std::string& text) {
    if (text == "-1") return std::chrono::seconds(longest_seconds);
    const auto seconds = parse_u64(text);
    if (!seconds || *seconds > longest_seconds) {
        throw Error(ErrorKind::invalid, "--time " + json_quote(text) + ": expected seconds, or -1 for no limit");
    }
    return std::chrono::seconds(*seconds);
}

bool is_over(runtime::ContainerInfo::Status status) {
    using Status = runtime::ContainerInfo::Status;
    return status == Status::exited || status == Status::lost;
}

bool has_ended(runtime::ContainerRuntime& runtime, const std::string& id) {
    try {
        return is_over(runtime.container(id).status);
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::not_found) throw;
        return true;  // --rm
    }
}

/// Another signal than its own, `grace`, then SIGKILL.
void stop_by(runtime::ContainerRuntime& runtime, const std::string& name, int signal, std::chrono::milliseconds grace) {
    constexpr std::chrono::milliseconds look_every(50);
    const auto info = runtime.container(name);
    if (!info.detached || is_over(info.status)) return runtime.stop(info.id, grace);
    try {
        runtime.kill(info.id, signal);
    } catch (const Error&) {
        if (!has_ended(runtime, info.id)) throw;
    }
    const auto end = std::chrono::steady_clock::now() + grace;
    while (!has_ended(runtime, info.id)) {
        if (std::chrono::steady_clock::now() >= end) return runtime.stop(info.id, std::chrono::milliseconds(0));
        std::this_thread::sleep_for(look_every);
    }
}

class ContainerStop final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("-t,--time,--timeout", "SECONDS", time_, "How long it may take before it is killed (default: 10)");
        flags.text("-s,--signal", "SIGNAL", signal_, "By name or number (default: its own stop signal, else TERM)");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto grace = parse_grace(time_);
        std::optional<int> signal;
        if (!signal_.empty()) signal = in_step("--signal", [&] { return parse_signal(signal_); });
        const auto runtime = runtime::make_runtime(globals.choice());
        return for_each_operand(operands, [&](const std::string& id) {
            if (signal) {
                stop_by(*runtime, id, *signal, grace);
            } else {
                runtime->stop(id, grace);
            }
            print(id + "\n");
        });
    }

private:
    std::string time_ = "10", signal_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_stop() { return make_body<ContainerStop>(); }

}  // namespace locald::cli
