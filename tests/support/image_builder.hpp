#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/sha256.hpp"
#include "tests/support/tar_builder.hpp"

namespace locald::testing {

/// Writes an OCI layout of one image, layers as plain tars.
class LayoutBuilder {
public:
    explicit LayoutBuilder(std::string path) : path_(std::move(path)) {
        std::filesystem::create_directories(path_ + "/blobs/sha256");
        write("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    }
    LayoutBuilder& layer(const std::string& tar) {
        const Digest digest = blob(tar);
        return layer(tar, digest);
    }
    /// With a diff id that may be wrong.
    LayoutBuilder& layer(const std::string& tar, const Digest& diff_id) {
        layers_ += (layers_.empty() ? "" : ",") + descriptor("application/vnd.oci.image.layer.v1.tar", blob(tar), tar);
        diff_ids_ += (diff_ids_.empty() ? "\"" : ",\"") + diff_id.str() + "\"";
        return *this;
    }
    /// Writes manifest, config and index; the image is called `tag`.
    void finish(const std::string& tag = "t") {
        const std::string config =
            "{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024-01-01T00:00:00Z\","
            "\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" +
            diff_ids_ + "]}}";
        const std::string manifest =
            "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":" +
            descriptor("application/vnd.oci.image.config.v1+json", blob(config), config) + ",\"layers\":[" + layers_ +
            "]}";
        std::string entry = descriptor("application/vnd.oci.image.manifest.v1+json", blob(manifest), manifest);
        entry.pop_back();
        entry += ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" + tag + "\"}}";
        manifests_ += (manifests_.empty() ? "" : ",") + entry;
        write("index.json", "{\"schemaVersion\":2,\"manifests\":[" + manifests_ + "]}");
        layers_.clear();
        diff_ids_.clear();
    }
    Digest blob(const std::string& bytes) {
        const Digest digest = sha256_of(bytes);
        write("blobs/sha256/" + digest.hex(), bytes);
        return digest;
    }
    void write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path_ + "/" + name, std::ios::binary) << bytes;
    }

private:
    static std::string descriptor(const std::string& type, const Digest& digest, const std::string& bytes) {
        return "{\"mediaType\":\"" + type + "\",\"digest\":\"" + digest.str() +
               "\",\"size\":" + std::to_string(bytes.size()) + "}";
    }
    std::string path_, layers_, diff_ids_, manifests_;
};

}  // namespace locald::testing
