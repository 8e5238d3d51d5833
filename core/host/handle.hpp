#pragma once

#include "core/base/unique_fd.hpp"

namespace locald::host {

/// Owns one descriptor. Interfaces of this room take and give plain numbers.
using Handle = UniqueFd;

}  // namespace locald::host
