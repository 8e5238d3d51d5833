#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <set>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/host/lock.hpp"
#include "core/image/store.hpp"
#include "core/image/store_files.hpp"
#include "core/image/store_impl.hpp"
#include "core/image/unpack.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

/// What must stay. Layers are `<map>/<chain id>` for containers, a chain id alone for images.
struct Marks {
    std::set<std::string> blobs, chains, layers;
};

void mark_image(const Store& store, const Digest& manifest_digest, Marks& marks) {
    marks.blobs.insert(manifest_digest.hex());
    const auto manifest = oci::parse_manifest(store.read_blob(manifest_digest, largest_document));
    marks.blobs.insert(manifest.config.digest.hex());
    for (const auto& layer : manifest.layers) marks.blobs.insert(layer.digest.hex());
    const auto config = oci::parse_image_config(store.read_blob(manifest.config.digest, largest_document));
    for (const auto& chain : chain_ids(config.diff_ids)) marks.chains.insert(chain.hex());
}

/// Marks what a container's config.json names: every `<map>/<64 hex digits>/diff` in its text. Escapes that JSON and
/// overlayfs put into paths cannot stand within that part.
void mark_container(const std::string& config, Marks& marks) {
    constexpr std::string_view tail = "/diff";
    constexpr std::size_t digits = 64;
    for (auto at = config.find(tail); at != std::string::npos; at = config.find(tail, at + 1)) {
        if (at < digits + 1 || config[at - digits - 1] != '/') continue;
        const auto map_end = at - digits - 1;
        const auto map_start = config.find_last_of("/\"", map_end - 1);
        if (map_end == 0 || map_start == std::string::npos) continue;
        marks.layers.insert(config.substr(map_start + 1, at - map_start - 1));
    }
}

host::FileLock lock_out_leases(const StorePaths& paths) {
    constexpr int tries = 100;
    for (int i = 0; i < tries; ++i) {
        if (auto lock = host::FileLock::try_acquire(paths.lock("gc"))) return std::move(*lock);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    throw Error(ErrorKind::unavailable, "collect garbage in " + paths.root + ": a pull or a start is under way")
        .with_remedy("retry when it is done");
}

std::uint64_t bytes_of_layer(const std::string& directory) {
    auto marker = posix::open_if_exists(directory + "/" + std::string(complete_marker), 0);
    if (!marker) marker = posix::open_if_exists(directory + "/" + fresh_marker(), 0);
    if (!marker) return 0;
    const auto json = nlohmann::json::parse(posix::read_all(marker, directory), nullptr, false);
    return json.is_object() ? json.value("bytes", std::uint64_t{0}) : 0;
}

class Collector {
public:
    Collector(const Store& store, const StorePaths& paths, bool dry_run, UnpackContext* context)
        : store_(store), paths_(paths), dry_run_(dry_run), context_(context) {}

    GarbageReport run() {
        const auto lock = lock_out_leases(paths_);
        for (const auto& descriptor : read_index(paths_).manifests) {
            try {
                mark_image(store_, descriptor.digest, marks_);
            } catch (const Error& e) {
                // What is left of it is of no use before it is pulled again, which brings back what goes here.
                log(LogLevel::warning, e.what());
            }
        }
        for (const auto& container : posix::names_in(paths_.containers())) {
            const auto config = posix::open_if_exists(paths_.containers() + "/" + container + "/config.json", 0);
            if (config) mark_container(posix::read_all(config, container + "/config.json"), marks_);
        }
        for (const auto& name : posix::names_in(paths_.blobs())) sweep_blob(name);
        for (const auto& map : posix::names_in(paths_.layers())) {
            for (const auto& name : posix::names_in(paths_.layers() + "/" + map)) sweep_layer(map, name);
        }
        return report_;
    }

private:
    void sweep_blob(const std::string& name) {
        if (marks_.blobs.contains(name)) return;
        const std::string path = paths_.blobs() + "/" + name;
        struct stat st {};
        if (::lstat(path.c_str(), &st) != 0) return;
        if (!dry_run_ && ::unlink(path.c_str()) != 0 && errno != ENOENT) {
            throw_store_error(errno, paths_, "remove " + path);
        }
        ++report_.blobs;
        report_.bytes += static_cast<std::uint64_t>(st.st_size);
    }

    void sweep_layer(const std::string& map, const std::string& name) {
        const std::string directory = paths_.layers() + "/" + map + "/";
        const std::string path = directory + name;
        if (!name.starts_with(trash_prefix)) {
            const bool unfinished = name.starts_with(unfinished_prefix);
            const std::string chain = unfinished ? name.substr(unfinished_prefix.size()) : name;
            if (!unfinished && (marks_.chains.contains(chain) || marks_.layers.contains(map + "/" + chain))) return;
            // Whoever unpacks holds a lease, so nobody holds this; but a worker may outlive its master for a moment.
            const auto lock = host::FileLock::try_acquire(paths_.lock("layer-" + map + "-" + chain));
            if (!lock) return;
            if (!unfinished) {
                ++report_.layers;
                report_.bytes += bytes_of_layer(path);
            }
            if (dry_run_) return;
            const std::string trash = directory + std::string(trash_prefix) + name;
            if (::rename(path.c_str(), trash.c_str()) != 0) {
                if (errno != EEXIST && errno != ENOTEMPTY) throw_store_error(errno, paths_, "rename " + path);
                remove(trash);
                if (::rename(path.c_str(), trash.c_str()) != 0) throw_store_error(errno, paths_, "rename " + path);
            }
            ::unlink(paths_.lock("layer-" + map + "-" + chain).c_str());
            remove(trash);
        } else if (!dry_run_) {
            remove(path);
        }
    }

    void remove(const std::string& path) {
        if (context_ != nullptr) {
            remove_mapped_tree(path, *context_);
            return;
        }
        try {
            posix::remove_tree(path);
        } catch (const Error& e) {
            if (e.os_errno() != EACCES && e.os_errno() != EPERM) throw;
            log(LogLevel::info, std::string(e.what()) + ": left for a call that has the user namespace");
        }
    }

    const Store& store_;
    const StorePaths& paths_;
    bool dry_run_;
    UnpackContext* context_;
    Marks marks_;
    GarbageReport report_;
};

}  // namespace

GarbageReport Store::collect_garbage(bool dry_run, UnpackContext* context) {
    return Collector(*this, impl_->paths, dry_run, context).run();
}

}  // namespace locald::image
