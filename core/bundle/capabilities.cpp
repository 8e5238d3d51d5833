#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/bundle/parts.hpp"
#include "core/oci/capability_names.hpp"

namespace locald::bundle {

namespace {

constexpr auto& all_names = oci::capability_names;

/// What the two options name, `ALL` aside.
struct Named {
    bool all = false;
    std::vector<std::string> names;
    bool has(std::string_view name) const { return std::find(names.begin(), names.end(), name) != names.end(); }
};

Named parse_names(const char* option, const std::vector<std::string>& words) {
    Named named;
    for (const auto& word : words) {
        std::string name = word;
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
        if (name == "ALL" || name == "CAP_ALL") {
            named.all = true;
            continue;
        }
        if (!name.starts_with("CAP_")) name.insert(0, "CAP_");
        if (std::find(all_names.begin(), all_names.end(), name) == all_names.end()) {
            throw Error(ErrorKind::invalid, std::string(option) + " " + word + ": no such capability")
                .with_remedy("take a name of capabilities(7), such as NET_ADMIN, or ALL");
        }
        named.names.push_back(std::move(name));
    }
    return named;
}

}  // namespace

const std::vector<std::string>& default_capabilities() {
    static const std::vector<std::string> names{
        "CAP_CHOWN",      "CAP_DAC_OVERRIDE", "CAP_FOWNER",      "CAP_FSETID",           "CAP_KILL",
        "CAP_SETGID",     "CAP_SETUID",       "CAP_SETPCAP",     "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",
        "CAP_SYS_CHROOT", "CAP_MKNOD",        "CAP_AUDIT_WRITE", "CAP_SETFCAP"};
    return names;
}

namespace parts {

std::vector<std::string> bounding_set(const RunOptions& options) {
    const Named added = parse_names("--cap-add", options.cap_add);
    const Named dropped = parse_names("--cap-drop", options.cap_drop);
    const auto& usual = default_capabilities();
    std::vector<std::string> set;
    for (const std::string_view name : all_names) {
        const bool base = added.all || (!dropped.all && std::find(usual.begin(), usual.end(), name) != usual.end());
        // As docker has it: a name that is both added and dropped counts as added, except under --cap-add ALL.
        const bool kept = (base && !dropped.has(name)) || (!added.all && added.has(name));
        if (kept) set.emplace_back(name);
    }
    return set;
}

}  // namespace parts

}  // namespace locald::bundle
