#pragma once

#include <string_view>

namespace locald::hello {

/// The image `locald/hello` as an OCI layout in an uncompressed tar, embedded at build time.
std::string_view layout_tar() noexcept;

}  // namespace locald::hello
