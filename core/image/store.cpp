#include "core/image/store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/host/directories.hpp"
#include "core/host/lock.hpp"
#include "core/image/store_files.hpp"
#include "core/image/store_impl.hpp"
#include "core/oci/reference.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr const char* layout_text = "{\"imageLayoutVersion\":\"1.0.0\"}";

bool exists(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw_errno(errno, "open the image store ", path);
}

/// Whether a blob that was cut may still be gone on with.
bool is_kept(std::string_view name, const posix::UniqueFd& file) {
    struct stat st {};
    return name.starts_with(ingest_prefix) && ::fstat(file.get(), &st) == 0 &&
           std::time(nullptr) - st.st_mtime < ingest_seconds;
}

/// Removes temporaries whose writer is gone: a writer holds a lock on its file.
void sweep(const StorePaths& paths) {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(paths.temporaries().c_str()), ::closedir);
    if (!stream) return;
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        const posix::UniqueFd file(
            ::openat(::dirfd(stream.get()), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!file || is_kept(name, file)) continue;
        if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(::dirfd(stream.get()), entry->d_name, 0);
    }
}

void create_skeleton(const StorePaths& paths) {
    for (const std::string& directory : {paths.root + "/blobs", paths.blobs(), paths.layers(), paths.containers(),
                                         paths.temporaries(), paths.root + "/locks"}) {
        if (::mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
            throw_store_error(errno, paths, "create directory " + directory);
        }
    }
    const auto lock = host::FileLock::acquire(paths.lock("index"));
    if (!exists(paths.index())) posix::replace_file(paths.index(), oci::to_json(oci::Index{}));
    // Last: a store counts as made once this is there.
    posix::replace_file(paths.root + "/oci-layout", layout_text);
}

/// The text in the name order of index.json: one entry a name.
std::string name_of(const oci::Descriptor& descriptor) {
    const auto found = descriptor.annotations.find(std::string(ref_name_annotation));
    return found == descriptor.annotations.end() ? std::string() : found->second;
}

bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

void add_store_remedy(Error& error, const StorePaths& paths) {
    if (error.os_errno() == ENOSPC || error.os_errno() == EDQUOT) {
        error.with_remedy("free space on the file system of " + paths.root +
                          ", for example by removing images that are not needed, then retry");
    } else if (error.os_errno() == EROFS) {
        error.with_remedy("the image store " + paths.root +
                          " is on a read-only file system: remount it writable or set XDG_DATA_HOME to a directory "
                          "that is");
    }
}

void throw_store_error(int err, const StorePaths& paths, const std::string& what) {
    Error error(kind_of_errno(err), what + ": " + errno_text(err), err);
    add_store_remedy(error, paths);
    throw error;
}

oci::Index read_index(const StorePaths& paths) {
    return in_step("read " + paths.index(), [&] { return oci::parse_index(posix::read_file(paths.index())); });
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
    std::vector<Digest> chain;
    chain.reserve(diff_ids.size());
    for (const auto& diff : diff_ids) {
        chain.push_back(chain.empty() ? diff : sha256_of(chain.back().str() + " " + diff.str()));
    }
    return chain;
}

ImageRecord Store::Impl::record_of(const oci::Descriptor& descriptor) const {
    ImageRecord record;
    record.name = name_of(descriptor);
    record.manifest = descriptor;
    const auto manifest = oci::parse_manifest(read_blob(descriptor.digest, largest_document));
    const auto config = oci::parse_image_config(read_blob(manifest.config.digest, largest_document));
    record.id = manifest.config.digest;
    record.platform = {config.os, config.architecture, config.variant};
    record.created = config.created;
    record.size = manifest.config.size;
    for (const auto& layer : manifest.layers) record.size += layer.size;
    return record;
}

void Store::Impl::change_index(const std::function<void(oci::Index&)>& change) const {
    try {
        const auto lock = host::FileLock::acquire(paths.lock("index"));
        auto index = read_index(paths);
        change(index);
        posix::replace_file(paths.index(), oci::to_json(index));
    } catch (Error& e) {
        add_store_remedy(e, paths);
        throw;
    }
}

Store::Store(std::string root) : impl_(std::make_unique<Impl>()) {
    auto& paths = impl_->paths;
    paths.root = std::move(root);
    try {
        host::ensure_private_directory(paths.root);
        if (!exists(paths.root + "/oci-layout")) create_skeleton(paths);
    } catch (Error& e) {
        add_store_remedy(e, paths);
        e.add_context("open the image store");
        throw;
    }
    sweep(paths);
}

Store::~Store() = default;
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

const std::string& Store::root() const noexcept { return impl_->paths.root; }

std::vector<ImageRecord> Store::list() const {
    std::vector<ImageRecord> images;
    for (const auto& descriptor : read_index(impl_->paths).manifests) {
        if (name_of(descriptor).empty()) continue;
        try {
            images.push_back(impl_->record_of(descriptor));
        } catch (const Error& e) {
            // One damaged image must not take the others with it, and its name is needed to remove it.
            log(LogLevel::warning, "image " + name_of(descriptor) + ": " + e.what());
            images.emplace_back();
            images.back().name = name_of(descriptor);
            images.back().manifest = descriptor;
        }
    }
    return images;
}

std::optional<ImageRecord> Store::find(std::string_view name_or_id) const {
    const auto index = read_index(impl_->paths);
    const auto by_name = [&](std::string_view name) -> std::optional<ImageRecord> {
        for (const auto& descriptor : index.manifests) {
            if (!name.empty() && name_of(descriptor) == name) return impl_->record_of(descriptor);
        }
        return std::nullopt;
    };
    if (auto image = by_name(name_or_id)) return image;
    try {
        const auto name = oci::parse_image_name(name_or_id);
        if (name.kind == oci::ImageKind::registry) {
            if (auto image = by_name(name.reference.str())) return image;
        }
    } catch (const Error&) {  // no reference; an id may still fit
    }
    constexpr std::string_view prefix = "sha256:";
    constexpr std::size_t shortest_id = 6;
    const std::string_view id = name_or_id.starts_with(prefix) ? name_or_id.substr(prefix.size()) : name_or_id;
    if (id.size() < shortest_id || !is_hex(id)) return std::nullopt;
    std::optional<ImageRecord> found;
    for (auto& image : list()) {
        if (!image.id.hex().starts_with(id)) continue;
        if (found && found->id != image.id) {
            throw Error(ErrorKind::invalid, "image id " + std::string(name_or_id) + " fits more than one image")
                .with_remedy("give more digits of the id, or a name");
        }
        if (!found) found = std::move(image);
    }
    return found;
}

ImageRecord Store::tag(const std::string& name, const oci::Descriptor& manifest) {
    if (name.empty()) throw Error(ErrorKind::invalid, "tag an image: the name is empty");
    oci::Descriptor named = manifest;
    named.annotations[std::string(ref_name_annotation)] = name;
    return in_step("tag " + name, [&] {
        const auto document = impl_->read_blob(manifest.digest, largest_document);
        if (oci::document_kind(document, manifest.media_type) != oci::DocumentKind::manifest) {
            throw Error(ErrorKind::invalid, manifest.digest.str() + " is an index, not the manifest of an image");
        }
        if (named.media_type.empty()) named.media_type = std::string(oci::media_type::manifest);
        named.size = document.size();
        const auto parsed = oci::parse_manifest(document);
        const auto config = oci::parse_image_config(impl_->read_blob(parsed.config.digest, largest_document));
        if (parsed.layers.size() != config.diff_ids.size()) {
            throw Error(ErrorKind::corrupt, "the manifest has " + std::to_string(parsed.layers.size()) +
                                                " layers, the config " + std::to_string(config.diff_ids.size()));
        }
        if (parsed.layers.size() > most_layers) {
            throw Error(ErrorKind::unsupported, "the image has " + std::to_string(parsed.layers.size()) +
                                                    " layers, more than " + std::to_string(most_layers));
        }
        for (const auto& layer : parsed.layers) {
            if (!has_blob(layer.digest)) {
                throw Error(ErrorKind::not_found, "layer " + layer.digest.str() + " is not in the store");
            }
        }
        impl_->change_index([&](oci::Index& index) {
            if (index.media_type.empty()) index.media_type = std::string(oci::media_type::index);
            std::erase_if(index.manifests, [&](const auto& d) { return name_of(d) == name; });
            index.manifests.push_back(named);
        });
        return impl_->record_of(named);
    });
}

void Store::untag(const std::string& name) {
    impl_->change_index([&](oci::Index& index) {
        const auto count = std::erase_if(index.manifests, [&](const auto& d) { return name_of(d) == name; });
        if (count == 0) throw Error(ErrorKind::not_found, "there is no image " + name);
    });
}

oci::Manifest Store::manifest_of(const ImageRecord& image) const {
    return oci::parse_manifest(impl_->read_blob(image.manifest.digest, largest_document));
}

oci::ImageConfig Store::config_of(const ImageRecord& image) const {
    return oci::parse_image_config(impl_->read_blob(image.id, largest_document));
}

struct Store::Lease::Impl {
    std::optional<host::FileLock> lock;  // empty in a read-only store, where nothing is collected
};

Store::Lease::Lease(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Lease::Lease(Lease&&) noexcept = default;
Store::Lease& Store::Lease::operator=(Lease&&) noexcept = default;
Store::Lease::~Lease() = default;

Store::Lease Store::lease() const {
    auto impl = std::make_unique<Lease::Impl>();
    try {
        impl->lock = host::FileLock::acquire(impl_->paths.lock("gc"), host::FileLock::Mode::shared);
    } catch (const Error& e) {
        if (e.os_errno() != EROFS) throw;
    }
    return Lease(std::move(impl));
}

}  // namespace locald::image
