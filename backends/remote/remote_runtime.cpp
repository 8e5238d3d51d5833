#include "backends/remote/remote_runtime.hpp"

#include <mutex>

#include "backends/protocol/detached_values.hpp"
#include "backends/remote/credential_offer.hpp"
#include "backends/remote/followed_attachment.hpp"
#include "backends/remote/output_track.hpp"
#include "backends/remote/remote_container.hpp"
#include "backends/remote/shared_mounts.hpp"
#include "core/base/log.hpp"

namespace locald::backends {

namespace {

using protocol::Json;

Json call_with_offer(AgentClient& client, CredentialOffer& offer, Json request, const ProgressSink& progress,
                     const CancelToken& cancel) {
    request["credentials"] = offer.said();
    return client.call(std::move(request), progress, cancel,
                       [&](const AgentStream& stream, const Json& message) { offer.answer(client, stream, message); });
}

class RemoteImages final : public runtime::Images {
public:
    RemoteImages(std::function<std::shared_ptr<AgentClient>()> client, ConnectBulk bulk, CredentialSource credentials)
        : client_(std::move(client)), bulk_(std::move(bulk)), credentials_(std::move(credentials)) {}

    runtime::ImageSummary pull(const oci::ImageName& name, const runtime::PullOptions& options,
                               const ProgressSink& progress, const CancelToken& cancel) override {
        CredentialOffer offer(options.credentials.find ? options.credentials : credentials_, name);
        return protocol::read_image(call_with_offer(
            *client_(), offer,
            {{"do", "image pull"}, {"name", name.text}, {"platform", options.platform ? options.platform->str() : ""}},
            progress, cancel));
    }
    std::vector<runtime::ImageSummary> list() override {
        return protocol::read_images(client_()->call({{"do", "image list"}}));
    }
    std::string inspect(const std::string& name_or_id) override {
        return client_()->call({{"do", "image inspect"}, {"image", name_or_id}}).get<std::string>();
    }
    runtime::ImageSummary remove(const std::string& name_or_id) override {
        return protocol::read_image(client_()->call({{"do", "image remove"}, {"image", name_or_id}}));
    }
    runtime::ImageSummary import(const oci::ImageName& name, const std::string& name_as, const ProgressSink& progress,
                                 const CancelToken& cancel) override {
        if (name.kind == oci::ImageKind::oci_layout || name.kind == oci::ImageKind::docker_archive) {
            return import_over(bulk_, name, name_as, progress, cancel);
        }
        return protocol::read_image(
            client_()->call({{"do", "image import"}, {"name", name.text}, {"as", name_as}}, progress, cancel));
    }
    void export_to(const std::string& name_or_id, const std::string& path, const ProgressSink& progress,
                   const CancelToken& cancel) override {
        export_over(bulk_, name_or_id, path, progress, cancel);
    }

private:
    std::function<std::shared_ptr<AgentClient>()> client_;
    ConnectBulk bulk_;
    CredentialSource credentials_;
};

class RemoteRuntime final : public runtime::ContainerRuntime {
public:
    RemoteRuntime(Connect connect, std::chrono::milliseconds reconnect_most, std::optional<OtherHost> other)
        : connect_(std::move(connect)),
          reconnect_most_(reconnect_most),
          other_(std::move(other)),
          images_([this] { return client(); }, other_ ? other_->open_bulk : ConnectBulk(),
                  other_ ? other_->credentials : CredentialSource()) {}

    runtime::ProbeReport probe() override { return protocol::read_probe(client()->call({{"do", "probe"}})); }
    runtime::Images& images() override { return images_; }

    bundle::ContainerBundle prepare_bundle(const bundle::Source& source, const bundle::RunOptions& options,
                                           const std::string& destination, const ProgressSink& progress,
                                           const CancelToken& cancel) override {
        auto offer = offer_for(source);
        return protocol::read_bundle(call_with_offer(*client(), offer,
                                                     {{"do", "bundle prepare"},
                                                      {"source", protocol::write_source(source)},
                                                      {"options", protocol::write_options(options_there(options))},
                                                      {"destination", destination}},
                                                     progress, cancel));
    }
    bundle::ContainerBundle inspect_bundle(const std::string& dir) override {
        return protocol::read_bundle(client()->call({{"do", "bundle inspect"}, {"directory", dir}}));
    }
    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source& source,
                                                            const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink& progress,
                                                            const CancelToken& cancel) override {
        std::shared_ptr<PortForwards> forwards;
        const auto there = options_there(options);
        if (other_ && !options.ports.empty()) forwards = other_->open_forwards(options.ports);
        auto offer = offer_for(source);
        const auto with = client();
        auto container = std::make_unique<RemoteContainer>(
            with,
            Json{{"do", "run"},
                 {"source", protocol::write_source(source)},
                 {"options", protocol::write_options(there)},
                 {"credentials", offer.said()}},
            stdio, progress, cancel, nullptr,
            [&](const AgentStream& stream, const Json& message) { offer.answer(*with, stream, message); });
        container->keep(std::move(forwards));
        return container;
    }
    runtime::DetachedStart run_detached(const bundle::Source& source, const bundle::RunOptions& options,
                                        const runtime::DetachOptions& how, const ProgressSink& progress,
                                        const CancelToken& cancel) override {
        std::unique_ptr<PortHolder> holder;
        if (other_ && !options.ports.empty()) {
            if (!other_->hold_ports) {
                throw Error(ErrorKind::unsupported,
                            "publish a port of a container in the background on another host: nobody would stay here "
                            "to forward it")
                    .with_remedy(
                        "forward it yourself: ssh -N -L 8080:localhost:80 USER@HOST; or run locald with "
                        "LOCALD_HOLDER unset");
            }
            holder = other_->hold_ports(options.ports);
        }
        auto offer = offer_for(source);
        auto started =
            protocol::read_detached_start(call_with_offer(*client(), offer,
                                                          {{"do", "run detached"},
                                                           {"source", protocol::write_source(source)},
                                                           {"options", protocol::write_options(options_there(options))},
                                                           {"how", protocol::write_detach_options(how)}},
                                                          progress, cancel));
        if (holder) {
            holder->hold_for(started.id);
            started.warnings.insert(started.warnings.end(), holder->warnings().begin(), holder->warnings().end());
            for (std::size_t i = 0; i < holder->ports().size(); ++i) {
                if (options.ports[i].host_port != 0) continue;
                const auto& port = holder->ports()[i];
                started.warnings.push_back("port " + std::to_string(port.container_port) + " of the container is " +
                                           std::to_string(port.host_port) + " here");
            }
        }
        return started;
    }
    std::vector<runtime::ContainerInfo> containers() override {
        std::vector<runtime::ContainerInfo> all;
        for (const auto& one : client()->call({{"do", "containers"}})) all.push_back(protocol::read_container(one));
        return all;
    }
    runtime::ContainerInfo container(const std::string& id) override {
        return protocol::read_container(client()->call({{"do", "container"}, {"id", id}}));
    }
    runtime::ExitStatus wait(const std::string& id, const CancelToken& cancel) override {
        for (;;) {
            const auto with = client(cancel);
            try {
                return protocol::read_exit(with->call({{"do", "wait"}, {"id", id}}, {}, cancel));
            } catch (const Error& e) {
                if (!may_go_on(e, *with)) throw;
            }
        }
    }
    void stop(const std::string& id, std::chrono::milliseconds grace) override {
        client()->call({{"do", "stop"}, {"id", id}, {"grace", protocol::write_milliseconds(grace)}});
    }

    std::unique_ptr<runtime::ContainerHandle> attach(const std::string& id, const runtime::AttachOptions& how,
                                                     const runtime::Stdio& stdio) override {
        // What is behind pipes of the handle's own is not taken up again: they end with the connection.
        if (reconnects() && stdio.mode != runtime::Stdio::Mode::pipes) {
            const auto connect = [connect = connect_, with = client()]() mutable {
                if (with->lost()) with = connect();
                return with;
            };
            return std::make_unique<FollowedAttachment>(connect, reconnect_most_, id, how, stdio);
        }
        std::shared_ptr<OutputWatch> watch;
        if (how.mark) {
            watch = std::make_shared<OutputWatch>();
            watch->mark = how.mark;
        }
        const bool marks = watch != nullptr;
        return std::make_unique<RemoteContainer>(client(), attach_request(id, how, marks), stdio, ProgressSink{},
                                                 CancelToken{}, std::move(watch));
    }
    std::unique_ptr<runtime::ContainerHandle> exec(const std::string& id, const runtime::ExecOptions& options,
                                                   const runtime::Stdio& stdio) override {
        Json request{{"do", options.detach ? "exec detached" : "exec"},
                     {"id", id},
                     {"how", protocol::write_exec_options(options)}};
        if (!options.detach) {
            return std::make_unique<RemoteContainer>(client(), std::move(request), stdio, ProgressSink{},
                                                     CancelToken{});
        }
        client()->call(std::move(request));
        return nullptr;
    }
    void logs(const std::string& id, const runtime::LogOptions& options, int out, int err,
              const CancelToken& cancel) override {
        OutputTrack track;
        auto rest = options;
        for (;;) {
            const auto with = client(cancel);
            CallOutput output;
            output.out = out;
            output.err = err;
            output.other = [&](const Json& message) {
                if (const auto mark = message.find("mark"); mark != message.end()) {
                    track.mark(protocol::read_place(*mark), output.out_written, output.err_written);
                }
            };
            try {
                return with->call_with_output(
                    {{"do", "logs"}, {"id", id}, {"options", protocol::write_log_options(rest)}}, output, cancel);
            } catch (const Error& e) {
                if (!options.follow || !may_go_on(e, *with)) throw;
            }
            rest.resume = track.end(output.out_written, output.err_written);
        }
    }

    std::vector<oci::State> list() override {
        std::vector<oci::State> all;
        for (const auto& one : client()->call({{"do", "list"}}))
            all.push_back(oci::parse_state(one.get<std::string>()));
        return all;
    }
    oci::State state(const std::string& id) override {
        return oci::parse_state(client()->call({{"do", "state"}, {"id", id}}).get<std::string>());
    }
    void kill(const std::string& id, int signal) override {
        client()->call({{"do", "kill"}, {"id", id}, {"signal", signal}});
    }
    void remove(const std::string& id, bool force) override {
        client()->call({{"do", "remove"}, {"id", id}, {"force", force}});
    }

private:
    CredentialOffer offer_for(const bundle::Source& source) const {
        const bool has_own = static_cast<bool>(source.credentials.find) || !other_;
        return {has_own ? source.credentials : other_->credentials, source.image};
    }

    /// With what the options say of files in the words of the other host.
    bundle::RunOptions options_there(bundle::RunOptions options) {
        if (!other_) return options;
        map_mounts(options, other_->shared, [this](const std::vector<std::string>& paths) {
            return client()->call({{"do", "mount check"}, {"paths", paths}});
        });
        return options;
    }

    std::shared_ptr<AgentClient> client(const CancelToken& cancel = {}) {
        const std::lock_guard lock(mutex_);
        if (!client_) {
            client_ = connect_();
        } else if (reconnects() && client_->lost()) {
            const auto boot = client_->boot();
            client_ = connect_again(connect_, reconnect_most_, cancel);
            if (client_->boot() != boot) {
                log(LogLevel::warning, told_as_started_anew(*client_));
            }
        }
        if (other_) client_->is_elsewhere();
        return client_;
    }

    bool reconnects() const noexcept { return reconnect_most_ > reconnect_most_.zero(); }

    /// Whether what failed may be taken up with another connection: the link was lost, and not something behind it.
    bool may_go_on(const Error& error, AgentClient& with) const {
        if (error.kind() != ErrorKind::lost || !with.lost() || !reconnects()) return false;
        log(LogLevel::warning, std::string(error.what()) + "; connecting again");
        return true;
    }

    Connect connect_;
    const std::chrono::milliseconds reconnect_most_;
    std::optional<OtherHost> other_;
    std::mutex mutex_;
    std::shared_ptr<AgentClient> client_;
    RemoteImages images_;
};

}  // namespace

std::unique_ptr<runtime::ContainerRuntime> make_remote_runtime(Connect connect,
                                                               std::chrono::milliseconds reconnect_most,
                                                               std::optional<OtherHost> other) {
    return std::make_unique<RemoteRuntime>(std::move(connect), reconnect_most, std::move(other));
}

}  // namespace locald::backends
