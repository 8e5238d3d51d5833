#include "backends/remote/holder.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class HostDisconnect final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const std::string host = operands.empty() ? globals.host : operands.front();
        const auto ended = backends::end_holders(host);
        for (const auto& holder : ended) print(holder.host + "\n");
        if (ended.empty() && !host.empty()) {
            throw Error(ErrorKind::not_found, "disconnect from " + host + ": no connection to it is kept")
                .with_remedy("`locald host ls` shows those that are");
        }
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_disconnect() { return make_body<HostDisconnect>(); }

}  // namespace locald::cli
