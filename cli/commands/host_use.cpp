#include <cstdlib>

#include "backends/hosts/named_hosts.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class HostUse final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const std::string& name = operands.front();
        backends::change_named_hosts(backends::named_hosts_path(), [&](backends::NamedHosts& hosts) {
            if (name != backends::local_host) hosts.get(name);
            hosts.in_use = name == backends::local_host ? "" : name;
        });
        const char* variable = std::getenv("LOCALD_HOST");
        if (variable != nullptr && variable[0] != '\0' && !globals.quiet) {
            note("warning: LOCALD_HOST is set to " + printable(variable) + ", which comes first; `unset LOCALD_HOST`");
        }
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_use() { return make_body<HostUse>(); }

}  // namespace locald::cli
