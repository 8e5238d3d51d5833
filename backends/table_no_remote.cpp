#include "backends/table_remote.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() { return nullptr; }

}  // namespace locald::runtime
