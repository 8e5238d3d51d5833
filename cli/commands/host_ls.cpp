#include <string>

#include "backends/remote/holder.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class HostLs final : public CommandBody {
public:
    int run(const Globals&, std::vector<std::string>) override {
        Table table({"HOST", "PID", "COMMANDS"});
        for (const auto& holder : backends::list_holders()) {
            table.add({printable(holder.host), std::to_string(holder.pid), std::to_string(holder.clients)});
        }
        print(table.str());
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_ls() { return make_body<HostLs>(); }

}  // namespace locald::cli
