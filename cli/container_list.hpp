#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/runtime/detached.hpp"

namespace locald::cli {

/// An id that was made is shown by its first 12 digits; a name is shown whole.
std::string short_container_id(const std::string& id);
/// `Up 5 minutes`, `Exited (0) 2 hours ago`, …, seen from `now` (seconds since 1970).
std::string container_status(const runtime::ContainerInfo& container, std::int64_t now);
/// One line of JSON with docker's names.
std::string container_json(const runtime::ContainerInfo& container, std::int64_t now);

/// `KEY=VALUE` of `--filter`: status, id, name or ancestor. Several of one key: any of them.
class ContainerFilter {
public:
    /// @throws Error(invalid) that names the filter
    explicit ContainerFilter(const std::vector<std::string>& filters);
    bool takes(const runtime::ContainerInfo& container) const;
    /// Whether containers that do not run are asked for by it.
    bool names_status() const;

private:
    struct Filter {
        std::string key, value;
    };
    std::vector<Filter> filters_;
};

}  // namespace locald::cli
