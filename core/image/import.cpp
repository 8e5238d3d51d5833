#include "core/image/import.hpp"

#include <algorithm>
#include <vector>

#include "core/base/error.hpp"
#include "core/image/store_files.hpp"
#include "core/image/transfer.hpp"

namespace locald::image {

namespace {

constexpr std::string_view containerd_name = "io.containerd.image.name";
constexpr std::uint64_t largest_embedded = 16U << 20U;
constexpr int most_nested = 8;

std::string annotation(const oci::Descriptor& descriptor, std::string_view key) {
    const auto found = descriptor.annotations.find(std::string(key));
    return found == descriptor.annotations.end() ? std::string() : found->second;
}

std::string blob_name(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

/// The document of a descriptor, verified.
std::string read_document(const FileSet& from, const oci::Descriptor& descriptor) {
    std::string text = from.read(blob_name(descriptor.digest), largest_document);
    if (sha256_of(text) != descriptor.digest) {
        throw Error(ErrorKind::corrupt, from.shown() + ": blob " + descriptor.digest.str() + " is damaged");
    }
    return text;
}

bool answers_to(const oci::Descriptor& descriptor, const std::string& selector) {
    return annotation(descriptor, ref_name_annotation) == selector ||
           annotation(descriptor, containerd_name) == selector;
}

oci::Descriptor choose(const FileSet& from, const oci::Index& index, const std::string& selector,
                       const oci::Platform& platform) {
    oci::Index chosen;
    std::string offered;
    for (const auto& descriptor : index.manifests) {
        const auto name = annotation(descriptor, ref_name_annotation);
        if (!name.empty()) offered += (offered.empty() ? "" : ", ") + name;
        if (selector.empty() || answers_to(descriptor, selector)) chosen.manifests.push_back(descriptor);
    }
    if (chosen.manifests.empty()) {
        throw Error(ErrorKind::not_found, from.shown() + " has no image" +
                                              (selector.empty() ? std::string() : " named " + selector) +
                                              (offered.empty() ? std::string() : "; it has " + offered));
    }
    if (chosen.manifests.size() == 1) return chosen.manifests.front();
    const bool by_platform = std::all_of(chosen.manifests.begin(), chosen.manifests.end(),
                                         [](const auto& d) { return d.platform.has_value(); });
    if (!by_platform) {
        throw Error(ErrorKind::invalid,
                    from.shown() + " has more than one image" + (offered.empty() ? std::string() : ": " + offered))
            .with_remedy("name one of them after the path, as in oci:PATH:TAG");
    }
    return oci::select_platform(chosen, platform);
}

/// The name that an image gets: a reference in its long form where it is one, else as it is written.
std::string long_name(const std::string& text) {
    try {
        return oci::parse_reference(text).str();
    } catch (const Error&) {
        return text;
    }
}

}  // namespace

Digest copy_blob(Store& store, const FileSet& from, const std::string& name, const Digest& expected, std::uint64_t size,
                 const ProgressSink& progress, const CancelToken& cancel) {
    if (!expected.empty() && store.has_blob(expected)) return expected;
    const auto part = from.open(name);
    if (!part) throw Error(ErrorKind::not_found, from.shown() + " has no " + name);
    BlobWriter writer = store.new_blob(expected, size);
    const std::string object = expected.empty() ? name : expected.hex().substr(0, 12);
    std::vector<std::byte> block(256U << 10U);
    std::uint64_t done = 0;
    std::uint64_t said = 0;
    constexpr std::uint64_t step = 4U << 20U;
    for (std::size_t n = part->bytes->read(block); n != 0; n = part->bytes->read(block)) {
        cancel.check();
        writer.write(std::span<const std::byte>(block).first(n));
        done += n;
        if (progress && done - said >= step) progress({"import", object, said = done, part->size, false});
    }
    Digest digest = in_step(from.shown() + ": " + name, [&] { return writer.commit(); });
    if (progress) progress({"import", object, done, part->size, true});
    return digest;
}

ImportedImage import_layout(Store& store, const FileSet& from, const std::string& selector,
                            const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel) {
    const auto top = oci::parse_index(from.read("index.json", largest_document));
    oci::Descriptor descriptor = choose(from, top, selector, platform);
    ImportedImage image;
    image.reference = annotation(descriptor, containerd_name);
    if (image.reference.empty()) image.reference = annotation(descriptor, ref_name_annotation);
    std::string document = read_document(from, descriptor);
    for (int depth = 0; oci::document_kind(document, descriptor.media_type) == oci::DocumentKind::index; ++depth) {
        if (depth == most_nested) throw Error(ErrorKind::invalid, from.shown() + ": indexes are nested too deeply");
        const auto index = oci::parse_index(document);
        descriptor = oci::select_platform(index, platform);
        document = read_document(from, descriptor);
    }
    const auto manifest = oci::parse_manifest(document);
    const auto take = [&](const oci::Descriptor& blob) {
        copy_blob(store, from, blob_name(blob.digest), blob.digest, blob.size, progress, cancel);
    };
    take(manifest.config);
    for (const auto& layer : manifest.layers) take(layer);
    store.put_blob(document);
    image.manifest.media_type = descriptor.media_type;
    image.manifest.digest = descriptor.digest;
    image.manifest.size = document.size();
    return image;
}

ImageRecord import_image(Store& store, const oci::ImageName& name, const oci::Platform& platform, bool keep_reference,
                         const ProgressSink& progress, const CancelToken& cancel, const std::string& name_as) {
    if (name.kind != oci::ImageKind::oci_layout && name.kind != oci::ImageKind::docker_archive) {
        throw Error(ErrorKind::invalid, "import " + name.text + ": neither an OCI layout nor an archive")
            .with_remedy("write oci:PATH, oci-archive:PATH or docker-archive:PATH");
    }
    const auto lease = store.lease();
    const StorePaths paths{store.root()};
    try {
        const auto files = open_file_set(name.path, paths.temporaries());
        const auto image = name.kind == oci::ImageKind::docker_archive
                               ? import_docker_archive(store, *files, name.selector, progress, cancel)
                               : import_layout(store, *files, name.selector, platform, progress, cancel);
        if (!name_as.empty()) return store.tag(name_as, image.manifest);
        // Many layouts give a bare tag, which names nothing without the layout's own place.
        const bool own = keep_reference && image.reference.find_first_of("/:@") != std::string::npos;
        return store.tag(own ? long_name(image.reference) : name.text, image.manifest);
    } catch (Error& e) {
        add_store_remedy(e, paths);
        e.add_context("import " + name.text);
        throw;
    }
}

ImageRecord import_embedded(Store& store, const std::string& name, std::string_view layout_tar) {
    if (layout_tar.size() > largest_embedded) throw Error(ErrorKind::invalid, "import " + name + ": too large");
    const auto files = memory_file_set(layout_tar, name);
    const auto index = oci::parse_index(files->read("index.json", largest_document));
    if (const auto present = store.find(name);
        present && index.manifests.size() == 1 && present->manifest.digest == index.manifests.front().digest) {
        return *present;
    }
    const auto lease = store.lease();
    const auto image = import_layout(store, *files, "", oci::host_platform(), {}, CancelToken());
    return store.tag(name, image.manifest);
}

}  // namespace locald::image
