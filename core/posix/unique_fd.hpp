#pragma once

#include "core/base/unique_fd.hpp"

namespace locald::posix {

using locald::UniqueFd;

}  // namespace locald::posix
