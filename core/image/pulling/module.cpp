#include "core/image/pulling/client_puller.hpp"

// The one name that the module has for lazy.cpp; both are of one build, so a C++ object may cross.
extern "C" __attribute__((visibility("default"))) locald::image::Puller* locald_make_puller() {
    return new locald::image::ClientPuller;
}
