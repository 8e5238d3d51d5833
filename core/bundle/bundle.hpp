#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/progress.hpp"
#include "core/bundle/options.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::bundle {

/// A container that is ready to be made, as a value: it crosses to another kernel as it is, never as a directory.
struct Bundle {
    oci::Spec spec;
    Digest manifest;                           ///< of the image; empty for a plain root filesystem
    std::vector<Digest> layers;                ///< diff ids, bottom first
    std::map<std::string, std::string> files;  ///< beside config.json, name → content: `hosts`, `hostname`,
                                               ///< `resolv.conf`, at need `passwd` and `group`. Bind mounts name
                                               ///< them relative to the bundle
    std::string stop_signal;                   ///< as the image or user says, SIGTERM when neither does
    std::vector<std::string> warnings;         ///< for people: what was lost or ignored
};

/// A bundle on disk: runtime-spec bundle.md. `dir` holds config.json, the root filesystem and the files that it binds.
struct ContainerBundle {
    std::string dir;
    oci::Spec spec;
    std::string stop_signal;
    std::vector<std::string> warnings;
};

/// Makes a bundle on disk from something.
class BundleSource {
public:
    virtual ~BundleSource() = default;
    /// Fills `destination`, which must not exist or be empty. On an error nothing remains there.
    virtual ContainerBundle prepare(const std::string& destination, const ProgressSink& progress,
                                    const CancelToken& cancel) = 0;
};

}  // namespace locald::bundle
