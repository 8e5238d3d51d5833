#include "backends/linux/shim_policy.hpp"

#include <nlohmann/json.hpp>
#include <pwd.h>
#include <unistd.h>

#include "backends/linux/shim_program.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/directories.hpp"
#include "core/posix/idmap.hpp"

namespace locald::backends {

namespace {

using runtime::Finding;
using Severity = Finding::Severity;

nlohmann::json ask(const std::string& shim) {
    host::ChildOptions options;
    options.argv = {shim, "policy"};
    const auto answer = host::run_and_capture(options);
    if (!answer.status.ok()) {
        std::string words(trim(answer.err));
        const std::string name = "locald-shim: ";
        if (words.starts_with(name)) words.erase(0, name.size());
        throw Error(ErrorKind::invalid, words);
    }
    auto json = nlohmann::json::parse(answer.out, nullptr, false);
    if (!json.is_object()) throw Error(ErrorKind::system, shim + " policy: the answer is no JSON object");
    return json;
}

std::string size_text(std::uint64_t bytes) {
    for (const auto& [shift, letter] : {std::pair(30U, "G"), std::pair(20U, "M"), std::pair(10U, "K")}) {
        if (bytes % (std::uint64_t{1} << shift) == 0) return std::to_string(bytes >> shift) + letter;
    }
    return std::to_string(bytes);
}

/// The refusal's own words say the rest; this is what to type.
std::string remedy_for(const std::string& shim, const std::string& refusal) {
    if (refusal.find("lets only members of the group") == std::string::npos) {
        return "root puts that right; `locald-shim policy` reads the file as a start does";
    }
    std::string name;
    try {
        name = ask(shim).value("group", "");
    } catch (const Error&) {
        return {};  // a file that root alone may read
    }
    const passwd* own = ::getpwuid(::geteuid());
    return name.empty() || own == nullptr ? std::string()
                                          : "sudo usermod -aG " + name + " " + own->pw_name + "   # then log in again";
}

}  // namespace

std::string shim_policy_in_words(const std::string& shim) {
    const auto json = ask(shim);
    const std::string group = json.value("group", "");
    std::string text = group.empty() ? "whoever may execute the shim" : "only members of the group " + group;
    if (json.value("groupHasNoName", false)) text += ", a number that no line of /etc/group has,";
    text += " may start containers; of one user together: " + std::to_string(json.value("containers", 0ULL)) +
            " containers, " + std::to_string(json.value("pids", 0ULL)) + " processes, ";
    text += json.contains("memory") ? size_text(json.at("memory").get<std::uint64_t>()) + " of memory"
                                    : std::string("memory without a limit");
    if (json.contains("ids")) {
        std::string ids;
        for (const auto& range : json.at("ids")) ids += (ids.empty() ? "" : ", ") + range.get<std::string>();
        text += "; his ranges of ids must be within " + ids;
    }
    return text + (json.value("exists", false) ? std::string(" (by ") + shim_policy_file + ")"
                                               : std::string(" (the defaults: there is no ") + shim_policy_file + ")");
}

SharedLimits shim_policy_limits(const std::string& shim) {
    const auto json = ask(shim);
    SharedLimits limits;
    limits.pids = json.at("pids").get<std::uint64_t>();
    if (json.contains("memory")) limits.memory_bytes = json.at("memory").get<std::uint64_t>();
    return limits;
}

std::vector<Finding> policy_findings(const ShimChoice& choice) {
    if (choice.rights != ShimRights::setuid) return {};
    try {
        static_cast<void>(Shim(choice.program, host::runtime_directory()).make_user_namespace(false));
    } catch (const Error& e) {
        const std::string remedy = e.remedy().empty() ? remedy_for(choice.plain, e.message()) : e.remedy();
        return {{"shim.policy", Severity::critical, "the shim refuses this user: " + e.message(), remedy}};
    }
    try {
        return {{"shim.policy", Severity::ok, shim_policy_in_words(choice.plain), {}}};
    } catch (const Error&) {
        return {{"shim.policy",
                 Severity::ok,
                 std::string("the shim takes this user; only root may read ") + shim_policy_file,
                 {}}};
    }
}

}  // namespace locald::backends
