#pragma once

#include <string>
#include <vector>

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// Where setup has installed a shim, one directory a line: they share cgroups, /run/locald and the units.
constexpr const char* installations_file = "/etc/locald/installations";

void remember_installation(const Work& work);
void forget_installation(const Work& work);

/// Directories with an installed shim other than this pass's own.
std::vector<std::string> other_installations(const Work& work);

}  // namespace locald::backends::admin
