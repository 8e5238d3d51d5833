#pragma once

#include <string>

#include "core/oci/reference.hpp"

namespace locald::cli {

/// What a tar holds, by the names of its members: `manifest.json` makes it docker's (newer ones hold a layout as well,
/// but the names of the images stand there), `oci-layout` an OCI layout. Everything else, compressed ones too, counts
/// as docker's, whose reader then says what is wrong.
oci::ImageKind archive_kind(const std::string& path);

}  // namespace locald::cli
