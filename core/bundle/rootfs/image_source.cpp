#include "core/bundle/rootfs/image_source.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/signal_name.hpp"
#include "core/bundle/rootfs/account_files.hpp"
#include "core/bundle/rootfs/bundle_directory.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::bundle {

namespace {

constexpr std::size_t most_config_bytes = 16U << 20U;
constexpr const char* stop_signal_key = "org.opencontainers.image.stopSignal";

/// overlayfs reads `:` as the end of a layer and `\` as the escape of both.
std::string escaped(const std::string& path) {
    std::string out;
    out.reserve(path.size());
    for (const char c : path) {
        if (c == ':' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

oci::Mount overlay_mount(const std::vector<std::string>& layers, const std::string& dir) {
    std::string lower;
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
        if (!lower.empty()) lower += ':';
        lower += escaped(*layer);
    }
    oci::Mount mount;
    mount.destination = "/";
    mount.type = "overlay";
    mount.source = "overlay";
    // volatile: the upper layer ends with its container, so nobody waits for the disk.
    mount.options = {"lowerdir=" + lower, "upperdir=" + escaped(dir + "/upper"), "workdir=" + escaped(dir + "/work"),
                     "userxattr", "volatile"};
    return mount;
}

image::UnpackedImage unpacked(image::Store& store, const image::ImageRecord& image, image::UnpackContext& context,
                              const ProgressSink& progress, const CancelToken& cancel) {
    if (auto there = image::find_unpacked(store, image, context.maps)) return std::move(*there);
    return image::ensure_unpacked(store, image, context, progress, cancel);
}

}  // namespace

ImageSource::ImageSource(image::Store& store, std::optional<image::ImageRecord> image, std::string rootfs,
                         RunOptions options, HostFacts host, RootfsMode mode, image::UnpackContext& context)
    : store_(store),
      image_(std::move(image)),
      rootfs_(std::move(rootfs)),
      options_(std::move(options)),
      host_(std::move(host)),
      mode_(mode),
      context_(context) {}

ContainerBundle ImageSource::prepare(const std::string& destination, const ProgressSink& progress,
                                     const CancelToken& cancel) {
    cancel.check();
    BundleDirectory dir(destination, context_);
    std::optional<oci::ImageConfig> config;
    image::UnpackedImage layers;
    std::string root;
    if (image_) {
        config = store_.config_of(*image_);
        layers = unpacked(store_, *image_, context_, progress, cancel);
    } else {
        root = posix::canonical_path(rootfs_);
        layers.layers = {root};
    }
    Bundle bundle = build_bundle(options_, config, read_account_files(layers.layers), host_);
    if (!image_) {
        oci::Root in_place;
        in_place.path = root;
        in_place.readonly = options_.read_only;
        bundle.spec.root = std::move(in_place);
    } else {
        bundle.manifest = image_->manifest.digest;
        if (mode_ == RootfsMode::directory && !layers.layers.empty()) {
            dir.flatten(layers, cancel);
        } else {
            dir.make_directory("rootfs");
            if (!layers.layers.empty()) {
                dir.make_directory("upper");
                dir.make_directory("work");
                bundle.spec.mounts.insert(bundle.spec.mounts.begin(), overlay_mount(layers.layers, dir.path()));
            }
        }
    }
    for (const auto& [name, text] : bundle.files) dir.write_file(name, text);
    cancel.check();
    dir.write_file("config.json", oci::to_json(bundle.spec, mode_ == RootfsMode::directory));

    ContainerBundle made;
    made.dir = dir.keep();
    made.spec = std::move(bundle.spec);
    made.stop_signal = std::move(bundle.stop_signal);
    made.warnings = std::move(layers.warnings);
    made.warnings.insert(made.warnings.end(), bundle.warnings.begin(), bundle.warnings.end());
    return made;
}

ContainerBundle load_bundle(const std::string& dir) {
    return in_step("bundle " + dir, [&] {
        ContainerBundle bundle;
        bundle.dir = posix::canonical_path(dir);
        bundle.spec = in_step("config.json", [&] {
            return oci::parse_spec(posix::read_file(bundle.dir + "/config.json", most_config_bytes));
        });
        if (!bundle.spec.root || bundle.spec.root->path.empty()) {
            throw Error(ErrorKind::invalid, "config.json: root.path: missing");
        }
        const std::string& path = bundle.spec.root->path;
        const std::string root = path.starts_with('/') ? path : bundle.dir + "/" + path;
        struct stat st {};
        if (::stat(root.c_str(), &st) != 0) throw_errno(errno, "config.json: root.path: ", root);
        if (!S_ISDIR(st.st_mode)) throw_errno(ENOTDIR, "config.json: root.path: ", root);
        bundle.stop_signal = "SIGTERM";
        if (const auto found = bundle.spec.annotations.find(stop_signal_key); found != bundle.spec.annotations.end()) {
            in_step(std::string("config.json: annotations[") + stop_signal_key + "]",
                    [&] { parse_signal(found->second); });
            bundle.stop_signal = found->second;
        }
        return bundle;
    });
}

}  // namespace locald::bundle
