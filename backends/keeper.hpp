#pragma once

#include <string>
#include <vector>

namespace locald::backends {

/// The body of the hidden verb `keeper`: holds one detached container to its end. Not for people.
int keeper_main(const std::vector<std::string>& words);

}  // namespace locald::backends
