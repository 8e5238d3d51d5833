#include "core/image/import.hpp"

#include <algorithm>
#include <memory>
#include <utility>
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

namespace {

/// Hands on what a part has from `done` bytes on.
class Copying {
public:
    Copying(std::string object, std::uint64_t size, const ProgressSink& progress, const CancelToken& cancel)
        : object_(std::move(object)), size_(size), progress_(progress), cancel_(cancel), block_(256U << 10U) {}

    void run(ByteInput& from, BlobWriter& to, std::uint64_t done) {
        constexpr std::uint64_t step = 4U << 20U;
        done_ = done;
        std::uint64_t said = done;
        for (std::size_t n = from.read(block_); n != 0; n = from.read(block_)) {
            cancel_.check();
            to.write(std::span<const std::byte>(block_).first(n));
            done_ += n;
            if (progress_ && done_ - said >= step) progress_({"import", object_, said = done_, size_, false});
        }
    }
    void finish() const {
        if (progress_) progress_({"import", object_, done_, size_, true});
    }

private:
    std::string object_;
    std::uint64_t size_, done_ = 0;
    const ProgressSink& progress_;
    const CancelToken& cancel_;
    std::vector<std::byte> block_;
};

// What is smaller comes as fast again.
constexpr std::uint64_t worth_keeping = 1U << 20U;

/// A large blob from another host. @return false when another one brought it meanwhile
bool ingest_blob(Store& store, const FileSet& from, const std::string& name, const Digest& expected, std::uint64_t size,
                 Copying& copying, const CancelToken& cancel) {
    auto writer = store.ingest_blob(expected, size, cancel);
    if (!writer) return false;
    for (bool again = false;; again = true) {
        const auto part = from.open(name);
        if (!part) throw Error(ErrorKind::not_found, from.shown() + " has no " + name);
        if (writer->resumed() != 0 && !part->bytes->skip(writer->resumed())) writer->restart();
        try {
            copying.run(*part->bytes, *writer, writer->resumed());
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::lost) writer->keep();
            throw;
        }
        try {
            in_step(from.shown() + ": " + name, [&] { writer->commit(); });
            return true;
        } catch (const Error& e) {
            // What was kept may be what is wrong: a power failure loses the end of a file.
            if (again || e.kind() != ErrorKind::corrupt || writer->resumed() == 0) throw;
            writer->restart();
        }
    }
}

}  // namespace

Digest copy_blob(Store& store, const FileSet& from, const std::string& name, const Digest& expected, std::uint64_t size,
                 const ProgressSink& progress, const CancelToken& cancel) {
    if (!expected.empty() && store.has_blob(expected)) return expected;
    const auto part = from.open(name);
    if (!part) throw Error(ErrorKind::not_found, from.shown() + " has no " + name);
    Copying copying(expected.empty() ? name : expected.hex().substr(0, 12), part->size, progress, cancel);
    if (from.comes_from_afar() && !expected.empty() && part->size >= worth_keeping) {
        if (ingest_blob(store, from, name, expected, size, copying, cancel)) copying.finish();
        return expected;
    }
    BlobWriter writer = store.new_blob(expected, size);
    copying.run(*part->bytes, writer, 0);
    Digest digest = in_step(from.shown() + ": " + name, [&] { return writer.commit(); });
    copying.finish();
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

namespace {

void check_kind(const oci::ImageName& name) {
    if (name.kind == oci::ImageKind::oci_layout || name.kind == oci::ImageKind::docker_archive) return;
    throw Error(ErrorKind::invalid, "import " + name.text + ": neither an OCI layout nor an archive")
        .with_remedy("write oci:PATH, oci-archive:PATH or docker-archive:PATH");
}

template <class Open>
ImageRecord import_files(Store& store, const oci::ImageName& name, const oci::Platform& platform, bool keep_reference,
                         const ProgressSink& progress, const CancelToken& cancel, const std::string& name_as,
                         Open&& open) {
    check_kind(name);
    const auto lease = store.lease();
    const StorePaths paths{store.root()};
    try {
        const std::unique_ptr<FileSet> files = open(paths.temporaries());
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

}  // namespace

ImageRecord import_image(Store& store, const oci::ImageName& name, const oci::Platform& platform, bool keep_reference,
                         const ProgressSink& progress, const CancelToken& cancel, const std::string& name_as) {
    return import_files(store, name, platform, keep_reference, progress, cancel, name_as,
                        [&](const std::string& scratch) { return open_file_set(name.path, scratch); });
}

ImageRecord import_image_from(Store& store, FileSource& source, const oci::ImageName& name,
                              const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel,
                              const std::string& name_as) {
    return import_files(store, name, platform, true, progress, cancel, name_as,
                        [&](const std::string& scratch) { return open_file_set(source, name.path, scratch); });
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
