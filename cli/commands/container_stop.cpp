#include "cli/commands/commands.hpp"
#include "cli/each_operand.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
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

class ContainerStop final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("-t,--time,--timeout", "SECONDS", time_, "How long it may take before it is killed (default: 10)");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto grace = parse_grace(time_);
        const auto runtime = runtime::make_runtime(globals.choice());
        return for_each_operand(operands, [&](const std::string& id) {
            runtime->stop(id, grace);
            print(id + "\n");
        });
    }

private:
    std::string time_ = "10";
};

}  // namespace

std::unique_ptr<CommandBody> make_container_stop() { return make_body<ContainerStop>(); }

}  // namespace locald::cli
