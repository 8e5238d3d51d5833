#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/image/store_files.hpp"
#include "core/image/transfer.hpp"

namespace locald::image {

namespace {

constexpr std::size_t most_at_once = 4;

class StoreSink final : public registry::BlobSink {
public:
    explicit StoreSink(BlobWriter& writer) : writer_(writer) {}
    void write(std::span<const std::byte> bytes) override { writer_.write(bytes); }

private:
    BlobWriter& writer_;
};

void fetch(Store& store, registry::Registry& registry, const oci::Reference& reference, const oci::Descriptor& blob,
           const ProgressSink& progress, const CancelToken& cancel) {
    // The registry verifies digest and size as it streams.
    BlobWriter writer = store.new_verified_blob(blob.digest, blob.size);
    StoreSink sink(writer);
    registry.fetch_blob(reference, blob, sink, progress, cancel);
    writer.commit();
}

}  // namespace

ImageRecord pull(Store& store, registry::Registry& registry, const oci::Reference& reference,
                 const oci::Platform& platform, const ProgressSink& progress, const CancelToken& cancel) {
    const auto lease = store.lease();
    std::mutex report;
    const ProgressSink serial = [&](const Progress& step) {
        const std::lock_guard hold(report);
        if (progress) progress(step);
    };
    serial({"resolve", reference.str(), 0, 0, false});
    const auto resolved = registry.resolve(reference, platform, cancel);
    serial({"resolve", reference.str(), 0, 0, true});
    if (resolved.manifest.layers.size() > most_layers) {
        throw Error(ErrorKind::unsupported, "pull " + reference.str() + ": " +
                                                std::to_string(resolved.manifest.layers.size()) +
                                                " layers are more than " + std::to_string(most_layers));
    }

    std::vector<oci::Descriptor> missing;
    std::set<Digest> seen;
    const auto want = [&](const oci::Descriptor& blob) {
        if (seen.insert(blob.digest).second && !store.has_blob(blob.digest)) missing.push_back(blob);
    };
    want(resolved.manifest.config);
    for (const auto& layer : resolved.manifest.layers) want(layer);
    // The longest first, so that none is left alone at the end.
    std::stable_sort(missing.begin(), missing.end(), [](const auto& a, const auto& b) { return a.size > b.size; });

    std::atomic<std::size_t> next{0};
    std::mutex guard;
    std::exception_ptr failure;
    const CancelToken stop;
    const auto work = [&] {
        for (std::size_t i = next++; i < missing.size(); i = next++) {
            try {
                cancel.check();
                if (stop.cancelled()) return;
                fetch(store, registry, reference, missing[i], serial, cancel);
            } catch (...) {
                const std::lock_guard hold(guard);
                if (!failure) failure = std::current_exception();
                stop.cancel();
                return;
            }
        }
    };
    std::vector<std::thread> threads;
    const auto join = [&] {
        for (auto& thread : threads) thread.join();
    };
    try {
        for (std::size_t i = 1; i < std::min(most_at_once, missing.size()); ++i) threads.emplace_back(work);
    } catch (const std::system_error&) {  // fewer threads are slower, not wrong
    }
    work();
    join();
    try {
        if (failure) std::rethrow_exception(failure);
        store.put_blob(resolved.json);
        return store.tag(reference.str(), resolved.descriptor);
    } catch (Error& e) {
        add_store_remedy(e, StorePaths{store.root()});
        e.add_context("pull " + reference.str());
        throw;
    }
}

}  // namespace locald::image
