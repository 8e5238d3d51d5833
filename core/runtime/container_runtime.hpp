#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/credentials.hpp"
#include "core/base/error.hpp"
#include "core/base/file_source.hpp"
#include "core/base/progress.hpp"
#include "core/bundle/bundle.hpp"
#include "core/bundle/options.hpp"
#include "core/host/child_process.hpp"
#include "core/host/terminal.hpp"
#include "core/oci/state.hpp"
#include "core/runtime/detached.hpp"

namespace locald::runtime {

using host::ExitStatus;

class HostSetup;

/// One finding of probe(): what `doctor` prints a line of.
struct Finding {
    enum class Severity { ok, note, warning, critical };
    std::string id;  ///< stable: `kernel.version`, `userns.allowed`, `cgroup.v2`, `shim.present`, …
    Severity severity = Severity::ok;
    std::string summary;
    std::string remedy;  ///< a command or sentence; empty when there is nothing to do
};
std::string_view to_string(Finding::Severity severity) noexcept;

struct ProbeReport {
    std::string backend;  ///< linux, lima, wsl, …
    bool usable = false;
    std::vector<Finding> findings;
};

/// An image as `image ls` shows it.
struct ImageSummary {
    std::string name, id, manifest_digest, platform, created;  ///< digests as sha256:<hex>
    std::uint64_t size = 0;                                    ///< bytes, compressed
};

/// How an image is pulled.
struct PullOptions {
    std::optional<oci::Platform> platform;  ///< empty: the backend's own
    /// Asked in place of all files of the host that pulls; empty: those files, or of another host those of this one.
    CredentialSource credentials;
};

/// The images of the host that runs the containers.
class Images {
public:
    virtual ~Images() = default;
    virtual ImageSummary pull(const oci::ImageName& name, const PullOptions& options, const ProgressSink& progress,
                              const CancelToken& cancel) = 0;
    virtual std::vector<ImageSummary> list() = 0;
    /// Summary, manifest and config of one image as a JSON object.
    virtual std::string inspect(const std::string& name_or_id) = 0;
    /// Removes a name and what nothing else needs. @throws Error(not_found)
    virtual ImageSummary remove(const std::string& name_or_id) = 0;
    /// @param name_as  the reference to store it under; empty: as the archive says, else the name itself
    virtual ImageSummary import(const oci::ImageName& name, const std::string& name_as, const ProgressSink& progress,
                                const CancelToken& cancel) = 0;
    /// @param path  a tar to write, a directory when it ends in `/`, or `-` for stdout
    virtual void export_to(const std::string& name_or_id, const std::string& path, const ProgressSink& progress,
                           const CancelToken& cancel) = 0;

    // What an agent does for a client on another host, whose files these are. @throws Error(unsupported) elsewhere
    virtual ImageSummary import_from(FileSource& source, const oci::ImageName& name, const std::string& name_as,
                                     const ProgressSink& progress, const CancelToken& cancel);
    /// @param directory  the files of a layout, else one tar
    virtual void export_to_sink(const std::string& name_or_id, FileSink& sink, bool directory,
                                const ProgressSink& progress, const CancelToken& cancel);
    /// Where an image lies here as part of an OCI layout, for import() on another host.
    virtual oci::ImageName layout_of(const std::string& name_or_id);
};

/// Where the container's standard streams go.
struct Stdio {
    enum class Mode {
        inherit,  ///< the descriptors below become the container's own
        pipes,    ///< the handle has an end of a pipe for each
        pty,      ///< a terminal of the container; the handle has its master
    } mode = Mode::inherit;
    int in = 0, out = 1, err = 2;     ///< for inherit; -1 is /dev/null
    host::TerminalSize size{24, 80};  ///< for pty
};

/// A running container of this process. Destroying it stops the container (SIGKILL) and removes what it left.
class ContainerHandle {
public:
    virtual ~ContainerHandle() = default;
    virtual const std::string& id() const noexcept = 0;
    /// The pid of the container's first process as the host of the backend sees it.
    virtual int pid() const noexcept = 0;
    /// Our ends of the streams: pipes: stdin, stdout, stderr; pty: the master in all three places; inherit: -1. The
    /// handle owns them.
    virtual int stdin_handle() const noexcept = 0;
    virtual int stdout_handle() const noexcept = 0;
    virtual int stderr_handle() const noexcept = 0;
    /// Closes our end of the container's stdin (pipes), so that it sees the end of input.
    virtual void close_stdin() = 0;
    virtual void resize(host::TerminalSize size) = 0;
    /// Sends a signal to the container's first process; nothing happens when it is gone.
    virtual void signal(int number) = 0;
    /// Whether its first process neither catches, blocks nor ignores `number` on purpose: the kernel drops it then, as
    /// for every first process of a pid namespace.
    virtual bool drops(int number) = 0;
    /// The container's stop signal, `grace`, then SIGKILL to all of it. Returns when nothing of it is left.
    virtual ExitStatus stop(std::chrono::milliseconds grace) = 0;
    /// Waits for the end and for the clean-up after it. A second call gives the same answer.
    /// @throws Error when the container could not be started or its runtime died
    virtual ExitStatus wait() = 0;
    virtual std::optional<ExitStatus> wait_for(std::chrono::milliseconds timeout) = 0;
    /// The ports that were published, with those that were picked.
    virtual std::vector<bundle::PortOption> ports() const { return {}; }
    /// What was lost or ignored while the bundle was made, for people.
    virtual const std::vector<std::string>& warnings() const noexcept = 0;
};

/// Runs containers on one kernel: this one, or one behind a transport. Thread-safe.
class ContainerRuntime {
public:
    virtual ~ContainerRuntime() = default;

    /// Looks at everything a run needs and changes nothing.
    virtual ProbeReport probe() = 0;
    virtual Images& images() = 0;
    /// What root sets up on the host for its users. @throws Error(unsupported) where a backend needs nothing of it
    virtual HostSetup& host_setup();

    /// Makes a plain OCI bundle in `destination` that any OCI runtime runs.
    virtual bundle::ContainerBundle prepare_bundle(const bundle::Source& source, const bundle::RunOptions& options,
                                                   const std::string& destination, const ProgressSink& progress,
                                                   const CancelToken& cancel) = 0;
    virtual bundle::ContainerBundle inspect_bundle(const std::string& dir) = 0;

    /// Prepares and starts a container in the foreground of this process; returns once its program runs.
    virtual std::unique_ptr<ContainerHandle> run_container(const bundle::Source& source,
                                                           const bundle::RunOptions& options, const Stdio& stdio,
                                                           const ProgressSink& progress, const CancelToken& cancel) = 0;

    /// Prepares and starts a container that goes on when this process ends; returns once its program runs. Its id is
    /// taken until remove(), or until its end where the options say so. @throws Error(exists) when the id is taken
    virtual DetachedStart run_detached(const bundle::Source& source, const bundle::RunOptions& options,
                                       const DetachOptions& how, const ProgressSink& progress,
                                       const CancelToken& cancel);
    /// The containers of this user, detached ones and those in some foreground.
    virtual std::vector<ContainerInfo> containers();
    /// @param id  here and below: an id, or the beginning of just one. @throws Error(not_found)
    virtual ContainerInfo container(const std::string& id);
    /// Waits for the end of a detached container. Of several who wait each has the answer.
    /// @throws Error(lost) when nobody knows its exit status
    virtual ExitStatus wait(const std::string& id, const CancelToken& cancel);
    /// Its stop signal, `grace`, then SIGKILL; nothing when it has ended already.
    virtual void stop(const std::string& id, std::chrono::milliseconds grace);
    /// The streams of a detached container that runs. Destroying the handle leaves the container alone; what signal(),
    /// resize(), stop() and wait() do is for the container.
    virtual std::unique_ptr<ContainerHandle> attach(const std::string& id, const AttachOptions& how,
                                                    const Stdio& stdio);
    /// Runs one more process in a running container. Destroying the handle kills the process.
    virtual std::unique_ptr<ContainerHandle> exec(const std::string& id, const ExecOptions& options,
                                                  const Stdio& stdio);
    /// Writes what a detached container has said to handles of the caller's.
    virtual void logs(const std::string& id, const LogOptions& options, int out, int err, const CancelToken& cancel);

    /// The containers of this user that the backend knows, running or left over.
    virtual std::vector<oci::State> list() = 0;
    /// @throws Error(not_found)
    virtual oci::State state(const std::string& id) = 0;
    virtual void kill(const std::string& id, int signal) = 0;
    /// Removes a container that does not run, its record and its log; with `force` a running one is killed first.
    virtual void remove(const std::string& id, bool force) = 0;
};

/// A tree of files that this host and the one of the containers both see.
struct SharedTree {
    std::string here, there;  ///< absolute; the same directory on either side
    bool read_only = false;
    bool is_mount = false;  ///< `there` is a mount point: while nothing is mounted it is some other, empty directory
};

/// Which backend, and what it needs to know.
struct RuntimeChoice {
    std::string backend;             ///< empty: the platform's own
    std::string host;                ///< `ssh://user@host`; empty: here
    std::vector<SharedTree> shared;  ///< with that host; nothing else of this one can be mounted there
    std::string data_directory;      ///< empty: host::data_directory()
    std::string runtime_directory;   ///< empty: host::runtime_directory()
    std::string shim;                ///< empty: found beside our own program, then at the install place
    std::string worker;              ///< the `locald` program that unpacks; empty: found the same way
};

/// The backend of `choice` from the one table of this platform. Nothing is started or opened before the first call.
/// @throws Error(unsupported_platform) that names the platform, what is missing and the way out
std::unique_ptr<ContainerRuntime> make_runtime(const RuntimeChoice& choice = {});

}  // namespace locald::runtime
