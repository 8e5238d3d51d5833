#include "backends/linux/detached/log_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "core/base/log.hpp"

namespace locald::backends {

namespace {

bool write_whole(const posix::UniqueFd& file, std::string_view text) noexcept {
    while (!text.empty()) {
        const auto put = ::write(file.get(), text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
}

}  // namespace

bool LogWriter::open_segment(std::uint64_t offset) {
    file_.reset();
    size_ = 0;
    // Before the new one: on a full disk this is its space.
    for (; segments_.size() >= segments_most; segments_.pop_front()) ::unlink(segments_.front().c_str());
    const std::string path = directory_ + "/" + segment_name(offset);
    file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file_) segments_.push_back(path);
    return static_cast<bool>(file_);
}

void LogWriter::append(OutputStream stream, std::int64_t time, std::uint64_t offset, std::string_view bytes) noexcept {
    try {
        record_.clear();
        append_log_record(record_, stream, time, offset, bytes);
        if ((!file_ || size_ + record_.size() > segment_most) && !open_segment(offset)) return;
        if (write_whole(file_, record_)) {
            size_ += record_.size();
            return;
        }
        // Half a record would hide those behind it. Where it cannot be taken back, the next one begins a segment.
        if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) file_.reset();
    } catch (const std::exception& e) {
        log(LogLevel::debug, e.what());
    }
}

}  // namespace locald::backends
