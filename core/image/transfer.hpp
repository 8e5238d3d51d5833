#pragma once

#include <optional>
#include <string>

#include "core/base/file_source.hpp"
#include "core/base/progress.hpp"
#include "core/image/store.hpp"
#include "core/oci/reference.hpp"
#include "core/registry/registry.hpp"

namespace locald::image {

/// Pulls every missing blob, layers in parallel, and names the image by `reference.str()`.
ImageRecord pull(Store& store, registry::Registry& registry, const oci::Reference& reference,
                 const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel);

/// Takes an image in from an OCI layout (directory or tar) or a `docker save` archive; the store's name is `name.text`,
/// or the reference that the layout or archive gives its image when `keep_reference` is set.
/// @param name_as  the store's name whatever the archive says; no other name in the store changes
ImageRecord import_image(Store& store, const oci::ImageName& name, const oci::Platform& platform, bool keep_reference,
                         const ProgressSink& progress, const CancelToken& cancel, const std::string& name_as = {});

/// The same of files that lie on another host: only blobs that are missing here are read, and one that was cut goes on
/// where it was. `name.path` is how errors call them.
ImageRecord import_image_from(Store& store, FileSource& source, const oci::ImageName& name,
                              const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel,
                              const std::string& name_as = {});

/// Where an export goes.
struct ExportTarget {
    enum class Form { oci_directory, oci_archive } form = Form::oci_archive;
    std::string path;  ///< a directory to create, or a file; `-` is `handle`
    int handle = -1;   ///< open descriptor for `-`
};
/// Writes one image as an OCI layout that skopeo, umoci and import_image() read.
void export_image(const Store& store, const ImageRecord& image, const ExportTarget& target,
                  const ProgressSink& progress, const CancelToken& cancel);

/// The same to files on another host. @param directory  a layout's files; else one tar
void export_image_to(const Store& store, const ImageRecord& image, FileSink& sink, bool directory,
                     const ProgressSink& progress, const CancelToken& cancel);

/// Takes the embedded layout of `locald/hello` into the store (nothing happens when it is there already).
/// @param layout_tar  an OCI layout as an uncompressed tar
ImageRecord import_embedded(Store& store, const std::string& name, std::string_view layout_tar);

}  // namespace locald::image
