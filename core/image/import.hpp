#pragma once

#include <string>

#include "core/image/archive.hpp"
#include "core/image/store.hpp"
#include "core/image/transfer.hpp"

namespace locald::image {

/// An image whose blobs are in the store, not named yet.
struct ImportedImage {
    oci::Descriptor manifest;
    std::string reference;  ///< what the source calls it; may be empty
};

/// Copies one blob, verified. @param expected  empty: what comes;  @param size  0: any
Digest copy_blob(Store& store, const FileSet& from, const std::string& name, const Digest& expected, std::uint64_t size,
                 const ProgressSink& progress, const CancelToken& cancel);

/// From an OCI layout. @param selector  the ref.name wanted; empty: the only image
ImportedImage import_layout(Store& store, const FileSet& from, const std::string& selector,
                            const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel);

/// From `docker save`. @param selector  repository:tag; empty: the only image
ImportedImage import_docker_archive(Store& store, const FileSet& from, const std::string& selector,
                                    const ProgressSink& progress, const CancelToken& cancel);

}  // namespace locald::image
