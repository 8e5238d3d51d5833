#include "core/image/pulling/client_puller.hpp"

namespace locald::image {

std::unique_ptr<Puller> make_puller() { return std::make_unique<ClientPuller>(); }

}  // namespace locald::image
