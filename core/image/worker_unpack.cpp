#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <optional>
#include <thread>
#include <vector>

#include "core/base/digest.hpp"
#include "core/image/json_worker.hpp"
#include "core/image/layer_applier.hpp"
#include "core/image/layer_stream.hpp"
#include "core/image/merged_tree.hpp"
#include "core/image/store_files.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr std::uint64_t progress_step = 4U << 20U;
// Each layer has three threads of its own, of which unpacking is the busy one.
constexpr unsigned most_at_once = 4;

struct PlannedLayer {
    Digest chain, diff_id, blob;
    std::uint64_t size = 0;  ///< packed
    bool ready = false;      ///< unpacked before
};

/// All layers of one image, those that are missing unpacked at once as far as they do not need each other.
class Unpacking {
public:
    Unpacking(const nlohmann::json& plan, WorkerReport& report)
        : report_(report),
          directory_(posix::open(plan.at("directory").get<std::string>(), O_RDONLY | O_DIRECTORY)),
          blobs_(posix::open(plan.at("blobs").get<std::string>(), O_RDONLY | O_DIRECTORY)),
          left_for_image_(StreamLimits{}.most_bytes) {
        for (const auto& layer : plan.at("layers")) {
            layers_.push_back({Digest::parse(layer.at("chain").get<std::string>()),
                               Digest::parse(layer.at("diff_id").get<std::string>()),
                               Digest::parse(layer.at("blob").get<std::string>()),
                               layer.at("size").get<std::uint64_t>(), layer.at("ready").get<bool>()});
        }
        diffs_.resize(layers_.size());
        done_.resize(layers_.size());
    }

    void run() {
        owners_ = Owners::of_this_process();
        std::size_t missing = 0;
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            if (layers_[i].ready) {
                diffs_[i] = posix::openat(directory_, layers_[i].chain.hex() + "/diff", O_RDONLY | O_DIRECTORY);
                done_[i] = true;
            } else {
                ++missing;
            }
        }
        const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
        const auto count = std::min<std::size_t>(std::clamp(cores / 2, 1U, most_at_once), missing);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { take_layers(); });
        for (auto& thread : threads) thread.join();
        if (failure_) std::rethrow_exception(failure_);
        commit();
        for (const auto& sentence : losses_.sentences()) report_.send({{"event", "warning"}, {"message", sentence}});
    }

private:
    /// Bottom first, so that whoever waits for lower layers waits for work that somebody does already.
    void take_layers() {
        for (;;) {
            const std::size_t i = next_++;
            if (i >= layers_.size()) return;
            if (layers_[i].ready) continue;
            try {
                unpack(i);
            } catch (...) {
                const std::lock_guard hold(mutex_);
                if (!failure_) failure_ = std::current_exception();
                changed_.notify_all();
                return;
            }
            const std::lock_guard hold(mutex_);
            done_[i] = true;
            changed_.notify_all();
            if (failure_) return;
        }
    }

    std::string temporary(std::size_t i) const { return std::string(unfinished_prefix) + layers_[i].chain.hex(); }

    void unpack(std::size_t i) {
        const PlannedLayer& layer = layers_[i];
        const std::string name = temporary(i);
        posix::remove_tree_at(directory_, name);  // of a crash; this layer's lock is ours
        // Its owner is the namespace's root, who under --userns keep-id is not the caller: he has to come through, and
        // nobody else comes to a directory of the store.
        if (::mkdirat(directory_.get(), name.c_str(), 0755) != 0) throw_errno(errno, "create ", name);
        const auto home = posix::openat(directory_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (::mkdirat(home.get(), "diff", S_IRWXU) != 0) throw_errno(errno, "create ", name, "/diff");
        diffs_[i] = posix::openat(home, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

        const std::string shown = "layer " + layer.blob.hex().substr(0, 12);
        const auto blob = posix::openat(blobs_, layer.blob.hex(), O_RDONLY | O_NOFOLLOW);
        FileInput input(blob.get(), shown);
        const AppliedLayer applied = in_step("unpack " + shown, [&] { return stream(i, input, shown); });
        const std::string marker = nlohmann::json{{"bytes", applied.bytes}, {"entries", applied.entries}}.dump();
        const auto file = posix::openat(home, fresh_marker(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        posix::write_all(file, marker, "the marker");
        const std::lock_guard hold(mutex_);
        losses_ += applied.losses;
    }

    AppliedLayer stream(std::size_t i, FileInput& input, const std::string& shown) {
        const PlannedLayer& layer = layers_[i];
        StreamLimits limits;
        limits.most_bytes = left_for_image_;
        LayerStream stream(input, limits);
        Reported reported(stream, *this, layer);
        TarReader archive(reported);
        std::optional<MergedTree> merged;
        LayerTree::Lower lower;
        if (i > 0) {
            lower = [this, i, &merged] {
                if (!merged) merged.emplace(wait_for_lower(i));
                return &*merged;
            };
        }
        AppliedLayer applied = apply_layer(archive, diffs_[i], lower, owners_);
        const Digest found = stream.finish();
        if (found != layer.diff_id) {
            throw Error(ErrorKind::corrupt, shown + " does not unpack to what the image promises: its diff id is " +
                                                found.str() + ", not " + layer.diff_id.str());
        }
        const std::uint64_t bytes = stream.unpacked_bytes();
        const std::lock_guard hold(mutex_);
        left_for_image_ -= std::min<std::uint64_t>(left_for_image_, bytes);
        report_.send({{"event", "progress"},
                      {"object", layer.blob.hex().substr(0, 12)},
                      {"done", layer.size},
                      {"total", layer.size},
                      {"finished", true}});
        return applied;
    }

    std::vector<const posix::UniqueFd*> wait_for_lower(std::size_t i) {
        std::unique_lock hold(mutex_);
        changed_.wait(hold, [&] {
            return failure_ || std::all_of(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(i),
                                           [](bool done) { return done; });
        });
        if (failure_) throw Error(ErrorKind::cancelled, "a lower layer failed");
        std::vector<const posix::UniqueFd*> below;
        for (std::size_t k = 0; k < i; ++k) below.push_back(&diffs_[k]);
        return below;
    }

    /// The names come last and together: what has one is whole.
    void commit() {
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            if (layers_[i].ready) continue;
            const std::string name = layers_[i].chain.hex();
            posix::remove_tree_at(directory_, name);  // without its marker, else it would be ready
            if (::renameat(directory_.get(), temporary(i).c_str(), directory_.get(), name.c_str()) != 0) {
                throw_errno(errno, "rename the unpacked layer ", name);
            }
        }
    }

    /// Tells how far a layer is while its bytes pass.
    class Reported final : public ChunkSource {
    public:
        Reported(LayerStream& stream, Unpacking& owner, const PlannedLayer& layer)
            : stream_(stream), owner_(owner), layer_(layer) {}
        std::span<const std::byte> next() override {
            const std::uint64_t done = stream_.packed_bytes();
            if (done - said_ >= progress_step) {
                said_ = done;
                owner_.report_.send({{"event", "progress"},
                                     {"object", layer_.blob.hex().substr(0, 12)},
                                     {"done", done},
                                     {"total", layer_.size},
                                     {"finished", false}});
            }
            return stream_.next();
        }

    private:
        LayerStream& stream_;
        Unpacking& owner_;
        const PlannedLayer& layer_;
        std::uint64_t said_ = 0;
    };

    WorkerReport& report_;
    posix::UniqueFd directory_, blobs_;
    std::vector<PlannedLayer> layers_;
    std::vector<posix::UniqueFd> diffs_;
    Owners owners_;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::uint64_t> left_for_image_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<bool> done_;
    std::exception_ptr failure_;
    Losses losses_;
};

}  // namespace

void worker_unpack(const nlohmann::json& plan, WorkerReport& report) {
    Unpacking work(plan, report);
    enter_worker_rights(plan);
    work.run();
}

}  // namespace locald::image
