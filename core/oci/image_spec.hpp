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
inline constexpr std::string_view docker_layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media_type

/// image-index.md, "platform". Go's names: linux, amd64, arm64; variant v7, v8, …
struct Platform {
    std::string os, architecture, variant;
    bool operator==(const Platform&) const = default;
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
    std::string os, architecture, variant, created, author;
    std::string user, working_dir, stop_signal;
    std::vector<std::string> env, entrypoint, cmd;
    std::vector<std::string> exposed_ports;  ///< `80/tcp`
    std::vector<std::string> volumes;
    std::map<std::string, std::string> labels;
    std::vector<Digest> diff_ids;  ///< uncompressed layers, bottom first
    std::string unknown;
};

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
/// @throws Error(invalid) for documents with both `manifests` and `layers`, or of another type than declared
DocumentKind document_kind(std::string_view json, std::string_view declared);

/// The manifest of an index that fits `wanted` best (an exact variant first, then the lower ones, then none given).
/// @throws Error(not_found) that lists the platforms that are there
const Descriptor& select_platform(const Index& index, const Platform& wanted);

}  // namespace locald::oci
