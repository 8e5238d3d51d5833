#pragma once

#include <string>

namespace locald::shim {

/// The moment as RFC 3339 with nanoseconds, UTC.
std::string timestamp_now();

}  // namespace locald::shim
