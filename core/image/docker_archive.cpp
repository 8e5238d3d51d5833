#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include "core/base/error.hpp"
#include "core/image/decompress.hpp"
#include "core/image/import.hpp"
#include "core/image/store_files.hpp"

namespace locald::image {

namespace {

/// One element of manifest.json. @see docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset"
struct ArchiveEntry {
    std::string config;
    std::vector<std::string> tags, layers;
};

std::vector<std::string> strings(const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return {};
    return found->get<std::vector<std::string>>();
}

std::vector<ArchiveEntry> read_entries(const FileSet& from) {
    try {
        const auto json = nlohmann::json::parse(from.read("manifest.json", largest_document));
        std::vector<ArchiveEntry> entries;
        for (const auto& object : json) {
            entries.push_back(
                {object.at("Config").get<std::string>(), strings(object, "RepoTags"), strings(object, "Layers")});
        }
        return entries;
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::invalid, from.shown() + ": manifest.json: " + e.what());
    }
}

bool names_image(const std::string& tag, const std::string& selector) {
    if (tag == selector) return true;
    try {
        return oci::parse_reference(tag) == oci::parse_reference(selector);
    } catch (const Error&) {
        return false;
    }
}

const ArchiveEntry& choose(const FileSet& from, const std::vector<ArchiveEntry>& entries, const std::string& selector) {
    std::string offered;
    const ArchiveEntry* chosen = nullptr;
    for (const auto& entry : entries) {
        for (const auto& tag : entry.tags) {
            offered += (offered.empty() ? "" : ", ") + tag;
            if (!selector.empty() && names_image(tag, selector)) chosen = &entry;
        }
    }
    if (chosen != nullptr) return *chosen;
    if (selector.empty() && entries.size() == 1) return entries.front();
    throw Error(entries.size() > 1 && selector.empty() ? ErrorKind::invalid : ErrorKind::not_found,
                from.shown() + (selector.empty() ? " does not have exactly one image" : " has no image " + selector) +
                    (offered.empty() ? std::string() : "; it has " + offered))
        .with_remedy("name one of them after the path, as in docker-archive:FILE:REPOSITORY:TAG");
}

struct Packed {
    Compression compression = Compression::none;
    std::uint64_t size = 0;
};

Packed look_at(const FileSet& from, const std::string& name) {
    const auto part = from.open(name);
    if (!part) throw Error(ErrorKind::not_found, from.shown() + " has no " + name);
    std::array<std::byte, 4> head{};
    std::size_t got = 0;
    while (got < head.size()) {
        const std::size_t n = part->bytes->read(std::span(head).subspan(got));
        if (n == 0) break;
        got += n;
    }
    return {detect_compression(std::span<const std::byte>(head).first(got)), part->size};
}

std::string_view media_type_of(Compression compression) {
    switch (compression) {
        case Compression::gzip:
            return oci::media_type::layer_gzip;
        case Compression::zstd:
            return oci::media_type::layer_zstd;
        case Compression::none:
            break;
    }
    return oci::media_type::layer;
}

}  // namespace

ImportedImage import_docker_archive(Store& store, const FileSet& from, const std::string& selector,
                                    const ProgressSink& progress, const CancelToken& cancel) {
    const auto entries = read_entries(from);
    const ArchiveEntry& entry = choose(from, entries, selector);
    const std::string config_text = from.read(entry.config, largest_document);
    const auto config = oci::parse_image_config(config_text);
    if (config.diff_ids.size() != entry.layers.size() || entry.layers.size() > most_layers) {
        throw Error(ErrorKind::corrupt, from.shown() + ": manifest.json has " + std::to_string(entry.layers.size()) +
                                            " layers, the config " + std::to_string(config.diff_ids.size()));
    }
    oci::Manifest manifest;
    manifest.media_type = std::string(oci::media_type::manifest);
    for (std::size_t i = 0; i < entry.layers.size(); ++i) {
        const auto [compression, size] = look_at(from, entry.layers[i]);
        // A plain tar is its own diff id; of a packed one it is checked when it is unpacked.
        const Digest expected = compression == Compression::none ? config.diff_ids[i] : Digest();
        oci::Descriptor layer;
        layer.media_type = std::string(media_type_of(compression));
        layer.size = size;
        layer.digest = copy_blob(store, from, entry.layers[i], expected, layer.size, progress, cancel);
        manifest.layers.push_back(std::move(layer));
    }
    manifest.config.media_type = std::string(oci::media_type::config);
    manifest.config.size = config_text.size();
    manifest.config.digest = store.put_blob(config_text);
    const std::string document = oci::to_json(manifest);
    ImportedImage image;
    image.manifest.media_type = manifest.media_type;
    image.manifest.digest = store.put_blob(document);
    image.manifest.size = document.size();
    image.reference = selector;
    if (selector.empty() && !entry.tags.empty()) image.reference = entry.tags.front();
    return image;
}

}  // namespace locald::image
