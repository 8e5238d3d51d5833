#pragma once

#include <string>

namespace locald::shim {

/// What this runtime was built to do, as the features document of runtime-spec 1.3: every list is the table that the
/// configuration is read with.
std::string features_json();

}  // namespace locald::shim
