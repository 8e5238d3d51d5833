#include "hello/hello_image.hpp"

extern "C" {
extern const char locald_hello_layout_begin[];
extern const char locald_hello_layout_end[];
}

namespace locald::hello {

std::string_view layout_tar() noexcept {
    return {static_cast<const char*>(locald_hello_layout_begin), static_cast<const char*>(locald_hello_layout_end)};
}

}  // namespace locald::hello
