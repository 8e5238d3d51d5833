#include "core/registry/client.hpp"

namespace locald::registry {

std::unique_ptr<Registry> make_registry(const ClientOptions& options) { return std::make_unique<Client>(options); }

}  // namespace locald::registry
