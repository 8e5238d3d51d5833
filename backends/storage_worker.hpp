#pragma once

#include <string>
#include <vector>

namespace locald::backends {

/// The body of the hidden verb `storage-worker`: unpacks and removes with the owners of a user namespace. Not for
/// people.
int storage_worker_main(const std::vector<std::string>& words);

}  // namespace locald::backends
