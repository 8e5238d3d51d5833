#pragma once

#include "backends/linux/environment.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// The image store of this host behind the facade.
class LinuxImages final : public runtime::Images {
public:
    explicit LinuxImages(Environment& environment) : env_(environment) {}

    runtime::ImageSummary pull(const oci::ImageName& name, const runtime::PullOptions& options,
                               const ProgressSink& progress, const CancelToken& cancel) override;
    std::vector<runtime::ImageSummary> list() override;
    std::string inspect(const std::string& name_or_id) override;
    runtime::ImageSummary remove(const std::string& name_or_id) override;
    runtime::ImageSummary import(const oci::ImageName& name, const std::string& name_as, const ProgressSink& progress,
                                 const CancelToken& cancel) override;
    void export_to(const std::string& name_or_id, const std::string& path, const ProgressSink& progress,
                   const CancelToken& cancel) override;

    runtime::ImageSummary import_from(FileSource& source, const oci::ImageName& name, const std::string& name_as,
                                      const ProgressSink& progress, const CancelToken& cancel) override;
    void export_to_sink(const std::string& name_or_id, FileSink& sink, bool directory, const ProgressSink& progress,
                        const CancelToken& cancel) override;
    oci::ImageName layout_of(const std::string& name_or_id) override;

    /// The image a container is made from: found here, taken in, or pulled, as `source.pull` says.
    image::ImageRecord obtain(const oci::ImageName& name, const bundle::Source& source, const ProgressSink& progress,
                              const CancelToken& cancel);

private:
    image::ImageRecord obtain_any(const oci::ImageName& name, const bundle::Source& source,
                                  const ProgressSink& progress, const CancelToken& cancel);
    image::ImageRecord fetch(const oci::ImageName& name, const oci::Platform& platform,
                             const CredentialSource& credentials, const ProgressSink& progress,
                             const CancelToken& cancel);
    image::ImageRecord find(const std::string& name_or_id);

    Environment& env_;
};

}  // namespace locald::backends
