#include "core/registry/blob.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <vector>

#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/registry/retry.hpp"
#include "core/registry/status.hpp"

namespace locald::registry {
namespace {

constexpr std::size_t block_size = 256U << 10U;
/// So much between two breaks, and the tries are counted anew: a bad line still ends, by the blob's size.
constexpr std::uint64_t progress_that_counts = 1U << 20U;
constexpr std::chrono::milliseconds report_step{100};

/// Takes the bytes of one blob over any number of answers.
class Download {
public:
    Download(const oci::Reference& reference, const oci::Descriptor& blob, BlobSink& sink, const ProgressSink& progress)
        : blob_(blob),
          what_("blob " + blob.digest.hex().substr(0, 12) + " of " + reference.str()),
          sink_(sink),
          progress_(progress),
          block_(block_size) {}

    const std::string& what() const noexcept { return what_; }
    std::uint64_t reached() const noexcept { return reached_; }

    /// Reads the body of a 200 or 206 answer to its end.
    void take(Response& response, const CancelToken& cancel) {
        std::uint64_t skip = 0;
        if (response.status() == 206) {
            check_range(response);
        } else {
            skip = reached_;
        }
        const std::uint64_t expected = blob_.size - reached_ + skip;
        const std::uint64_t said = response.length().value_or(expected);
        if (said != expected) corrupt(std::to_string(expected) + " bytes", std::to_string(said));
        report(false);
        // one byte more than there may be: a body without a length must not end the blob by stopping to be read
        while (const std::size_t got = response.read(block_, cancel)) {
            std::span<const std::byte> bytes(block_.data(), got);
            const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
            skip -= known;
            bytes = bytes.subspan(known);
            if (bytes.size() > blob_.size - reached_) corrupt(std::to_string(blob_.size) + " bytes", "more");
            hash_.update(bytes);
            if (!bytes.empty()) sink_.write(bytes);
            reached_ += bytes.size();
            report(false);
        }
        if (reached_ != blob_.size) {
            throw Transient(Error(ErrorKind::corrupt, what_ + ": ended after " + std::to_string(reached_) + " of " +
                                                          std::to_string(blob_.size) + " bytes"));
        }
    }

    void finish() {
        const Digest got = hash_.finish();
        if (got != blob_.digest) corrupt(blob_.digest.str(), got.str());
        report(true);
    }

private:
    [[noreturn]] void corrupt(const std::string& wanted, const std::string& got) const {
        throw Error(ErrorKind::corrupt, what_ + ": expected " + wanted + ", got " + got)
            .with_remedy("try again; if it stays, the registry or something on the way to it changes what it serves");
    }

    void check_range(const Response& response) const {
        const std::string value = response.header("Content-Range").value_or("");
        const auto range = parse_content_range(value);
        const bool good = range && range->first == reached_ && range->last + 1 == blob_.size &&
                          range->total.value_or(blob_.size) == blob_.size;
        if (!good) {
            throw Error(ErrorKind::unavailable, what_ + ": asked for the bytes from " + std::to_string(reached_) +
                                                    " on, got Content-Range " + json_quote(value.substr(0, 80)));
        }
    }

    void report(bool finished) {
        const auto now = std::chrono::steady_clock::now();
        if (!progress_ || (!finished && now - reported_ < report_step)) return;
        reported_ = now;
        progress_({"download", blob_.digest.hex().substr(0, 12), reached_, blob_.size, finished});
    }

    const oci::Descriptor& blob_;
    std::string what_;
    BlobSink& sink_;
    const ProgressSink& progress_;
    std::vector<std::byte> block_;
    Sha256 hash_;
    std::uint64_t reached_ = 0;
    std::chrono::steady_clock::time_point reported_;
};

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
    value = trim(value);
    if (!value.starts_with("bytes ")) return std::nullopt;
    value.remove_prefix(6);
    const auto dash = value.find('-');
    const auto slash = value.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return std::nullopt;
    const auto first = parse_u64(value.substr(0, dash));
    const auto last = parse_u64(value.substr(dash + 1, slash - dash - 1));
    if (!first || !last || *first > *last || *last == UINT64_MAX) return std::nullopt;
    ContentRange out{*first, *last, std::nullopt};
    const std::string_view total = value.substr(slash + 1);
    if (total == "*") return out;
    out.total = parse_u64(total);
    if (!out.total || *out.total <= *last) return std::nullopt;
    return out;
}

void fetch_blob(Session& session, const ClientOptions& options, const oci::Reference& reference,
                const oci::Descriptor& blob, BlobSink& sink, const ProgressSink& progress, const CancelToken& cancel) {
    if (blob.digest.empty()) throw Error(ErrorKind::invalid, "blob of " + reference.str() + ": no digest");
    Download download(reference, blob, sink, progress);
    const std::string path = "/blobs/" + blob.digest.str();
    Retries retries(options.most_retries);
    std::uint64_t last_break = 0;
    for (;;) {
        try {
            std::vector<Header> headers;
            if (download.reached() > 0) {
                headers.push_back({"Range", "bytes=" + std::to_string(download.reached()) + "-"});
            }
            Response response = session.get(reference, path, headers, cancel);
            if (response.status() == 404) {
                throw Error(ErrorKind::not_found, download.what() + ": the registry does not have it")
                    .with_remedy("the image is damaged there; push it again");
            }
            const bool asked_for_part = !headers.empty();
            if (response.status() != 200 && !(response.status() == 206 && asked_for_part)) {
                throw Error(ErrorKind::unavailable,
                            download.what() + ": the registry answered " + std::to_string(response.status()));
            }
            download.take(response, cancel);
            break;
        } catch (const Transient& failure) {
            if (download.reached() - last_break >= progress_that_counts) retries.reset();
            last_break = download.reached();
            retries.wait_or_throw(failure, cancel);
            // everything had arrived and only the end of the answer broke
            if (download.reached() == blob.size && blob.size > 0) break;
        }
    }
    download.finish();
}

}  // namespace locald::registry
