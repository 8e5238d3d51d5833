#include "backends/storage_worker.hpp"

#include "core/image/unpack.hpp"

namespace locald::backends {

int storage_worker_main(const std::vector<std::string>& words) { return image::worker_main(words); }

}  // namespace locald::backends
