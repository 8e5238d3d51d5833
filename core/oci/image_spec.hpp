#pragma once

// image-spec 1.1: index, manifest and config as values; docker's schema 2 types read as the same.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/digest.hpp"

namespace locald::oci {

namespace media_type {
inline constexpr std::string_view index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media_type

/// image-index.md, "platform". Go's names: linux, amd64, arm64; variant v7, v8, …
struct Platform {
    std::string os, architecture, variant;
    std::string unknown{};  ///< os.version and os.features among them
    bool operator==(const Platform& other) const {
        return os == other.os && architecture == other.architecture && variant == other.variant;
    }
    std::string str() const;  ///< os/architecture[/variant]
};
/// `OS/ARCH[/VARIANT]`, with usual other names accepted (x86_64, aarch64). @throws Error(invalid)
Platform parse_platform(std::string_view text);
/// linux and the architecture this program was built for.
Platform host_platform();

/// descriptor.md.
struct Descriptor {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;  ///< bytes
    std::vector<std::string> urls;
    std::map<std::string, std::string> annotations;
    std::optional<Platform> platform;
    std::string artifact_type;
    std::string unknown;
};

/// image-index.md, also docker's manifest list.
struct Index {
    std::string media_type;
    std::vector<Descriptor> manifests;
    std::map<std::string, std::string> annotations;
    std::string unknown;
};

/// manifest.md, also docker's schema 2.
struct Manifest {
    std::string media_type;
    Descriptor config;
    std::vector<Descriptor> layers;
    std::map<std::string, std::string> annotations;
    std::string unknown;
};

/// config.md, "config" and the members around it that a runtime needs.
struct ImageConfig {
    std::string os, architecture, variant, created, author;  ///< empty when absent
    std::string user, working_dir, stop_signal;
    std::vector<std::string> env, entrypoint, cmd;
    std::vector<std::string> exposed_ports;  ///< `80/tcp`
    std::vector<std::string> volumes;
    std::map<std::string, std::string> labels;
    std::vector<Digest> diff_ids;  ///< uncompressed layers, bottom first
    std::string unknown;
};

/// @throws Error(invalid) that names the place: `manifests[2].digest: …`. A list that is null counts as empty.
Index parse_index(std::string_view json);
Manifest parse_manifest(std::string_view json);
ImageConfig parse_image_config(std::string_view json);
std::string to_json(const Index& index);
std::string to_json(const Manifest& manifest);
std::string to_json(const ImageConfig& config);
std::string to_json(const Descriptor& descriptor);

/// What a manifest document is, by its content and its declared type, which must agree (CVE-2021-41190).
enum class DocumentKind { index, manifest };
/// @param declared  the Content-Type or the descriptor's media type; may be empty
/// @throws Error(invalid) for documents with both `manifests` and `layers` or `config`, or of another type than
/// declared
DocumentKind document_kind(std::string_view json, std::string_view declared);

/// The manifest of an index that fits `wanted` best: the exact variant first, then the lower ones, then what the same
/// machine runs besides (386 on amd64, arm on arm64), then an entry that names no platform. Ties go by order. Entries
/// that are no images (attestations, artifacts) are never chosen.
/// @throws Error(not_found) that lists the platforms that are there
const Descriptor& select_platform(const Index& index, const Platform& wanted);

}  // namespace locald::oci
