#pragma once

#include <string>
#include <string_view>

#include "core/base/digest.hpp"

namespace locald::oci {

/// A registry reference in its long form: `alpine` is docker.io/library/alpine:latest. A digest wins over a tag.
struct Reference {
    std::string registry;    ///< host or host:port, `docker.io` for the default
    std::string repository;  ///< path without the registry
    std::string tag;         ///< empty when a digest was given alone
    Digest digest;           ///< empty when none was given

    /// `registry/repository[:tag][@digest]`.
    std::string str() const;
    bool operator==(const Reference&) const = default;
};

/// @throws Error(invalid) that names the text and the part that is wrong
Reference parse_reference(std::string_view text);

/// Where an image comes from. IMAGE on the command line is one of these.
enum class ImageKind { registry, oci_layout, docker_archive, embedded };
struct ImageName {
    ImageKind kind = ImageKind::registry;
    Reference reference;   ///< kind registry
    std::string path;      ///< kind oci_layout (a directory or a tar) and docker_archive
    std::string selector;  ///< tag in a layout, or repository:tag in an archive; empty: the only one
    std::string text;      ///< as the user wrote it
};

/// A registry reference, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, or `locald/hello`,
/// which is embedded (`docker.io/locald/hello` is the registry's).
ImageName parse_image_name(std::string_view text);

}  // namespace locald::oci
