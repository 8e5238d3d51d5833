#include "core/image/unpack.hpp"

#include <fcntl.h>
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
#include "core/image/json_worker_client.hpp"
#include "core/image/store_files.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

std::string map_name(const std::optional<posix::IdMaps>& maps) { return maps ? maps->fingerprint() : "host"; }

host::FileLock wait_for_lock(const std::string& path, const CancelToken& cancel) {
    for (;;) {
        if (auto lock = host::FileLock::try_acquire(path)) return std::move(*lock);
        cancel.check();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

}  // namespace

std::optional<UnpackedImage> find_unpacked(const Store& store, const ImageRecord& image,
                                           const std::optional<posix::IdMaps>& maps) {
    const std::string directory = store.root() + "/layers/" + map_name(maps) + "/";
    UnpackedImage unpacked;
    for (const auto& chain : chain_ids(store.config_of(image).diff_ids)) {
        const std::string layer = directory + chain.hex();
        if (!is_complete(layer)) return std::nullopt;
        unpacked.layers.push_back(layer + "/diff");
    }
    return unpacked;
}

UnpackedImage ensure_unpacked(Store& store, const ImageRecord& image, UnpackContext& context,
                              const ProgressSink& progress, const CancelToken& cancel) {
    const StorePaths paths{store.root()};
    const auto lease = store.lease();
    if (auto unpacked = find_unpacked(store, image, context.maps)) return *unpacked;
    const auto manifest = store.manifest_of(image);
    const auto diff_ids = store.config_of(image).diff_ids;
    const auto chain = chain_ids(diff_ids);
    if (manifest.layers.size() != chain.size() || chain.size() > most_layers) {
        throw Error(ErrorKind::corrupt, "unpack " + image.name + ": the manifest has " +
                                            std::to_string(manifest.layers.size()) + " layers, the config " +
                                            std::to_string(chain.size()));
    }
    const std::string map = map_name(context.maps);
    const std::string directory = paths.layers() + "/" + map;
    UnpackedImage unpacked;
    std::vector<host::FileLock> locks;
    std::vector<int> handles;
    std::vector<std::string> unfinished;
    auto layers = nlohmann::json::array();
    try {
        posix::make_directories(directory, S_IRWXU);
        // From the bottom up in every process: two images that share layers share them from the bottom, so nobody waits
        // in a circle.
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const std::string layer = directory + "/" + chain[i].hex();
            bool ready = is_complete(layer);
            if (!ready) {
                auto lock = wait_for_lock(paths.lock("layer-" + map + "-" + chain[i].hex()), cancel);
                ready = is_complete(layer);
                if (!ready) {
                    handles.push_back(lock.handle());
                    locks.push_back(std::move(lock));
                    unfinished.push_back(directory + "/" + std::string(unfinished_prefix) + chain[i].hex());
                }
            }
            unpacked.layers.push_back(layer + "/diff");
            layers.push_back({{"chain", chain[i].str()},
                              {"diff_id", diff_ids[i].str()},
                              {"blob", manifest.layers[i].digest.str()},
                              {"size", manifest.layers[i].size},
                              {"ready", ready}});
        }
        if (locks.empty()) return unpacked;
        const auto on_event = [&](const nlohmann::json& event) {
            const auto kind = event.value("event", "");
            if (kind == "warning") unpacked.warnings.push_back(event.value("message", ""));
            if (kind == "progress" && progress) {
                progress({"unpack", event.value("object", ""), event.value("done", std::uint64_t{0}),
                          event.value("total", std::uint64_t{0}), event.value("finished", false)});
            }
        };
        if (context.maps && !context.maps->full && !context.maps->why_not_full.empty()) {
            log(LogLevel::debug, context.maps->why_not_full + "; " + context.maps->remedy);
        }
        run_worker(context, "unpack", {{"directory", directory}, {"blobs", paths.blobs()}, {"layers", layers}}, handles,
                   on_event, cancel);
    } catch (Error& e) {
        for (const auto& path : unfinished) {
            try {
                remove_mapped_tree(path, context);
            } catch (const Error& cleanup) {
                log(LogLevel::warning, std::string("clean up: ") + cleanup.what());
            }
        }
        add_store_remedy(e, paths);
        e.add_context("unpack " + image.name);
        throw;
    }
    return unpacked;
}

void flatten(const UnpackedImage& image, const std::string& destination, UnpackContext& context,
             const CancelToken& cancel) {
    const bool made = ::mkdir(destination.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) throw_errno(errno, "create directory ", destination);
    if (!made && ::rmdir(destination.c_str()) != 0) throw_errno(errno, "copy an image into ", destination);
    if (!made && ::mkdir(destination.c_str(), 0755) != 0) throw_errno(errno, "create directory ", destination);
    const std::string path = posix::canonical_path(destination);
    try {
        run_worker(context, "flatten", {{"layers", image.layers}, {"destination", path}}, {}, {}, cancel);
    } catch (Error& e) {
        try {
            remove_mapped_tree(path, context);
        } catch (const Error& cleanup) {
            log(LogLevel::warning, std::string("clean up: ") + cleanup.what());
        }
        if (e.os_errno() == ENOSPC) e.with_remedy("free space on the file system of " + destination + ", then retry");
        e.add_context("copy an image into " + destination);
        throw;
    }
}

void remove_mapped_tree(const std::string& path, UnpackContext& context) {
    try {
        posix::remove_tree(path);
        return;
    } catch (const Error& e) {
        if (!context.maps || (e.os_errno() != EACCES && e.os_errno() != EPERM)) throw;
    }
    const auto slash = path.find_last_of('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    run_worker(context, "remove", {{"path", posix::canonical_path(parent) + "/" + name}}, {}, {}, CancelToken());
}

}  // namespace locald::image
