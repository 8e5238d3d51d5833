#include "backends/linux/linux_images.hpp"

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/image/transfer.hpp"
#include "hello/hello_image.hpp"

namespace locald::backends {

namespace {

runtime::ImageSummary summary_of(const image::ImageRecord& image) {
    return {image.name, image.id.str(), image.manifest.digest.str(), image.platform.str(), image.created, image.size};
}

/// The name an image has in the store.
std::string stored_name(const oci::ImageName& name) {
    return name.kind == oci::ImageKind::registry ? name.reference.str() : name.text;
}

bool fits(const image::ImageRecord& image, const oci::Platform& wanted) {
    return image.platform.os == wanted.os && image.platform.architecture == wanted.architecture &&
           (wanted.variant.empty() || image.platform.variant == wanted.variant);
}

}  // namespace

image::ImageRecord LinuxImages::fetch(const oci::ImageName& name, const oci::Platform& platform,
                                      const CredentialSource& credentials, const ProgressSink& progress,
                                      const CancelToken& cancel) {
    switch (name.kind) {
        case oci::ImageKind::registry:
            return env_.puller().pull(env_.store(), name.reference, platform, credentials, progress, cancel);
        case oci::ImageKind::embedded:
            return image::import_embedded(env_.store(), name.text, hello::layout_tar());
        case oci::ImageKind::oci_layout:
        case oci::ImageKind::docker_archive:
            break;
    }
    return image::import_image(env_.store(), name, platform, false, progress, cancel);
}

image::ImageRecord LinuxImages::obtain(const oci::ImageName& name, const bundle::Source& source,
                                       const ProgressSink& progress, const CancelToken& cancel) {
    auto image = obtain_any(name, source, progress, cancel);
    if (source.platform && !fits(image, *source.platform)) {
        throw Error(ErrorKind::not_found, "find image " + name.text + " for " + source.platform->str() +
                                              ": it is for " + image.platform.str())
            .with_remedy("leave --platform out, or name an image that was built for it");
    }
    return image;
}

image::ImageRecord LinuxImages::obtain_any(const oci::ImageName& name, const bundle::Source& source,
                                           const ProgressSink& progress, const CancelToken& cancel) {
    const oci::Platform platform = source.platform.value_or(oci::host_platform());
    // A layout or an archive is a file of the user's that may have changed; the embedded image may be of a newer build.
    if (name.kind != oci::ImageKind::registry) return fetch(name, platform, source.credentials, progress, cancel);
    if (source.pull == bundle::PullPolicy::always) return fetch(name, platform, source.credentials, progress, cancel);
    auto image = env_.store().find(name.reference.str());
    // A short hex name may be an id that `image ls` printed; a stored image wins over a registry's of that name.
    if (!image && name.text.find_first_not_of("0123456789abcdef") == std::string::npos)
        image = env_.store().find(name.text);
    if (image && (!source.platform || fits(*image, platform))) return *image;
    if (source.pull == bundle::PullPolicy::never) {
        throw Error(ErrorKind::not_found, "find image " + name.reference.str() + " (" + platform.str() +
                                              "): not in the store " + env_.store().root())
            .with_remedy("pull it: locald image pull " + name.text);
    }
    return fetch(name, platform, source.credentials, progress, cancel);
}

image::ImageRecord LinuxImages::find(const std::string& name_or_id) {
    auto& store = env_.store();
    if (auto image = store.find(name_or_id)) return *image;
    try {
        if (auto image = store.find(stored_name(oci::parse_image_name(name_or_id)))) return *image;
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::invalid) throw;
    }
    throw Error(ErrorKind::not_found, "find image " + name_or_id + ": not in the store " + store.root())
        .with_remedy("`locald image ls` lists what is there");
}

runtime::ImageSummary LinuxImages::pull(const oci::ImageName& name, const runtime::PullOptions& options,
                                        const ProgressSink& progress, const CancelToken& cancel) {
    return summary_of(
        fetch(name, options.platform.value_or(oci::host_platform()), options.credentials, progress, cancel));
}

std::vector<runtime::ImageSummary> LinuxImages::list() {
    std::vector<runtime::ImageSummary> all;
    for (const auto& image : env_.store().list()) all.push_back(summary_of(image));
    return all;
}

std::string LinuxImages::inspect(const std::string& name_or_id) {
    const auto image = find(name_or_id);
    auto& store = env_.store();
    const auto manifest = store.manifest_of(image);
    const nlohmann::ordered_json json{
        {"name", image.name},
        {"id", image.id.str()},
        {"digest", image.manifest.digest.str()},
        {"mediaType", image.manifest.media_type},
        {"platform", image.platform.str()},
        {"created", image.created},
        {"size", image.size},
        {"manifest", nlohmann::ordered_json::parse(store.read_blob(image.manifest.digest))},
        {"config", nlohmann::ordered_json::parse(store.read_blob(manifest.config.digest))},
    };
    return json.dump(4);
}

runtime::ImageSummary LinuxImages::remove(const std::string& name_or_id) {
    const auto image = find(name_or_id);
    env_.store().untag(image.name);
    // Layers with owners of the user namespace go in it.
    auto context = env_.unpack_context(env_.id_maps(bundle::UserNamespaceMode::automatic));
    env_.store().collect_garbage(false, &context);
    return summary_of(image);
}

runtime::ImageSummary LinuxImages::import(const oci::ImageName& name, const std::string& name_as,
                                          const ProgressSink& progress, const CancelToken& cancel) {
    if (name.kind == oci::ImageKind::registry) {
        throw Error(ErrorKind::invalid, "import " + name.text + ": this names a registry's image")
            .with_remedy("take `locald image pull`, or name a file: oci:DIR, oci-archive:FILE, docker-archive:FILE");
    }
    if (name.kind == oci::ImageKind::embedded)
        return summary_of(fetch(name, oci::host_platform(), {}, progress, cancel));
    const std::string stored = name_as.empty() ? "" : stored_name(oci::parse_image_name(name_as));
    return summary_of(image::import_image(env_.store(), name, oci::host_platform(), true, progress, cancel, stored));
}

void LinuxImages::export_to(const std::string& name_or_id, const std::string& path, const ProgressSink& progress,
                            const CancelToken& cancel) {
    const auto image = find(name_or_id);
    image::ExportTarget target;
    target.path = path;
    if (path == "-") target.handle = 1;
    if (path.ends_with('/')) {
        target.form = image::ExportTarget::Form::oci_directory;
        target.path = path.substr(0, path.find_last_not_of('/') + 1);
    }
    image::export_image(env_.store(), image, target, progress, cancel);
}

runtime::ImageSummary LinuxImages::import_from(FileSource& source, const oci::ImageName& name,
                                               const std::string& name_as, const ProgressSink& progress,
                                               const CancelToken& cancel) {
    const std::string stored = name_as.empty() ? "" : stored_name(oci::parse_image_name(name_as));
    return summary_of(
        image::import_image_from(env_.store(), source, name, oci::host_platform(), progress, cancel, stored));
}

void LinuxImages::export_to_sink(const std::string& name_or_id, FileSink& sink, bool directory,
                                 const ProgressSink& progress, const CancelToken& cancel) {
    const auto image = find(name_or_id);
    image::export_image_to(env_.store(), image, sink, directory, progress, cancel);
}

oci::ImageName LinuxImages::layout_of(const std::string& name_or_id) {
    const auto image = find(name_or_id);
    oci::ImageName name;
    name.kind = oci::ImageKind::oci_layout;
    name.path = env_.store().root();
    name.selector = image.name;
    name.text = image.name;
    return name;
}

}  // namespace locald::backends
