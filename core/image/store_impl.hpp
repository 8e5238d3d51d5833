#pragma once

#include <functional>
#include <string>

#include "core/image/store.hpp"
#include "core/image/store_files.hpp"

namespace locald::image {

struct Store::Impl {
    StorePaths paths;

    std::string read_blob(const Digest& digest, std::size_t most) const;
    ImageRecord record_of(const oci::Descriptor& descriptor) const;
    /// Replaces index.json under its lock.
    void change_index(const std::function<void(oci::Index&)>& change) const;
};

}  // namespace locald::image
