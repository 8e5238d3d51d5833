#include "shim/container/policy.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <array>

#include "core/base/error.hpp"
#include "shim/container/refusal.hpp"
#include "shim/start/raw_call.h"
#include "shim/start/root_files.h"

namespace locald::shim {

std::string policy_json() {
#ifdef LOCALD_HAS_RAW_CALLS
    constexpr const char* file = "/etc/locald/shim.conf";
    locald_policy policy{};
    std::array<char, 1024> words{};
    if (locald_read_policy(&policy, words.data(), words.size()) != 0)
        throw Error(ErrorKind::invalid, explained(words.data()));
    nlohmann::ordered_json json{{"file", file}, {"exists", ::access(file, F_OK) == 0}};
    if (policy.has_group != 0) json["group"] = policy.group_name;
    if (policy.has_group != 0 && is_nameless_group(policy.group_name)) json["groupHasNoName"] = true;
    json["containers"] = policy.containers;
    json["pids"] = policy.pids;
    if (policy.memory != ~std::uint64_t{0}) json["memory"] = policy.memory;
    for (unsigned i = 0; i < policy.ids.count; ++i) {
        const auto& range = policy.ids.range[i];
        json["ids"].push_back(std::to_string(range.first) + "-" +
                              std::to_string(std::uint64_t{range.first} + range.count - 1));
    }
    json["networkHelper"] = policy.network_helper != 0;
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
#else
    throw Error(ErrorKind::unsupported, "policy: there is no setuid start on this processor");
#endif
}

}  // namespace locald::shim
