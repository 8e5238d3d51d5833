#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/image/byte_stream.hpp"
#include "core/image/store.hpp"
#include "core/image/store_files.hpp"
#include "core/image/store_impl.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

// Writing back starts while bytes still come in, so that the fsync at the end has little left to wait for.
constexpr std::uint64_t write_back_step = 8U << 20U;

}  // namespace

struct BlobWriter::Impl {
    StorePaths paths;
    Digest expected;
    std::uint64_t announced = 0;  // 0: any
    bool verified_by_caller = false;
    bool is_ingest = false;
    posix::UniqueFd file;
    std::string temporary;
    Sha256 hash;
    std::uint64_t written = 0;
    std::uint64_t sent = 0;     // handed to write-back
    std::uint64_t resumed = 0;  // was there before

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        if (file && !temporary.empty()) ::unlink(temporary.c_str());
    }

    std::string shown() const { return expected.empty() ? "a blob" : "blob " + expected.str(); }

    void open() {
        for (;;) {
            temporary = paths.temporaries() + "/blob-XXXXXX";
            file.reset(::mkostemp(temporary.data(), O_CLOEXEC));
            if (!file) throw_store_error(errno, paths, "create " + temporary);
            // The lock says that the writer lives. A sweep may have taken the file before it was locked: then again.
            struct stat st {};
            if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(file.get(), &st) == 0 && st.st_nlink == 1) {
                return;
            }
        }
    }

    /// False while another writer has it.
    bool open_ingest() {
        temporary.clear();  // not ours to remove before it is locked
        const std::string path = paths.ingest(expected);
        file.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
        if (!file) throw_store_error(errno, paths, "create " + path);
        if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
        // Whoever had it before may have given it its name among the blobs, or removed it.
        struct stat ours {
        }, named{};
        if (::fstat(file.get(), &ours) != 0 || ::stat(path.c_str(), &named) != 0) return false;
        if (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev) return false;
        temporary = path;
        return true;
    }

    /// Hashes what is there.
    void take_up() {
        std::vector<std::byte> block(write_back_step);
        FileInput input(file.get(), temporary, 0, announced);
        for (std::size_t n = input.read(block); n != 0; n = input.read(block)) {
            hash.update(std::span<const std::byte>(block).first(n));
            written += n;
        }
        sent = resumed = written;
        const auto end = static_cast<off_t>(written);
        if (::ftruncate(file.get(), end) != 0 || ::lseek(file.get(), end, SEEK_SET) < 0) {
            throw_store_error(errno, paths, "go on with " + temporary);
        }
    }
};

BlobWriter::BlobWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobWriter::BlobWriter(BlobWriter&&) noexcept = default;
BlobWriter& BlobWriter::operator=(BlobWriter&&) noexcept = default;
BlobWriter::~BlobWriter() = default;

void BlobWriter::write(std::span<const std::byte> bytes) {
    auto& to = *impl_;
    if (to.announced != 0 && bytes.size() > to.announced - to.written) {
        throw Error(ErrorKind::corrupt,
                    to.shown() + " has more than the " + std::to_string(to.announced) + " bytes that were announced");
    }
    if (!to.verified_by_caller) to.hash.update(bytes);
    while (!bytes.empty()) {
        const ssize_t n = ::write(to.file.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_store_error(errno, to.paths, "write " + to.shown() + " to " + to.temporary);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        to.written += static_cast<std::uint64_t>(n);
    }
    if (to.written - to.sent >= write_back_step) {
        ::sync_file_range(to.file.get(), static_cast<off_t>(to.sent), static_cast<off_t>(to.written - to.sent),
                          SYNC_FILE_RANGE_WRITE);
        to.sent = to.written;
    }
}

Digest BlobWriter::commit() {
    auto& from = *impl_;
    if (from.announced != 0 && from.written != from.announced) {
        throw Error(ErrorKind::corrupt, from.shown() + " has " + std::to_string(from.written) +
                                            " bytes, announced were " + std::to_string(from.announced));
    }
    Digest digest = from.verified_by_caller ? from.expected : from.hash.finish();
    if (!from.expected.empty() && digest != from.expected) {
        throw Error(ErrorKind::corrupt, from.shown() + " is damaged: its bytes have the digest " + digest.str());
    }
    constexpr mode_t read_only = S_IRUSR | S_IRGRP | S_IROTH;
    // Others who ingest the same blob open this file to see whether somebody writes it.
    if ((!from.is_ingest && ::fchmod(from.file.get(), read_only) != 0) || ::fsync(from.file.get()) != 0) {
        throw_store_error(errno, from.paths, "sync " + from.temporary);
    }
    if (::rename(from.temporary.c_str(), from.paths.blob(digest).c_str()) != 0) {
        throw_store_error(errno, from.paths, "rename " + from.temporary + " to " + from.paths.blob(digest));
    }
    from.temporary.clear();
    if (from.is_ingest && ::fchmod(from.file.get(), read_only) != 0) {
        throw_store_error(errno, from.paths, "chmod " + from.paths.blob(digest));
    }
    const auto directory = posix::open(from.paths.blobs(), O_RDONLY | O_DIRECTORY);
    if (::fsync(directory.get()) != 0) throw_store_error(errno, from.paths, "sync " + from.paths.blobs());
    return digest;
}

std::uint64_t BlobWriter::resumed() const noexcept { return impl_->resumed; }

void BlobWriter::restart() {
    auto& of = *impl_;
    if (::ftruncate(of.file.get(), 0) != 0 || ::lseek(of.file.get(), 0, SEEK_SET) < 0) {
        throw_store_error(errno, of.paths, "empty " + of.temporary);
    }
    of.hash = Sha256();
    of.written = of.sent = of.resumed = 0;
}

void BlobWriter::keep() noexcept { impl_->temporary.clear(); }

bool Store::has_blob(const Digest& digest) const {
    struct stat st {};
    return !digest.empty() && ::stat(impl_->paths.blob(digest).c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

posix::UniqueFd Store::open_blob(const Digest& digest) const {
    auto file = posix::open_if_exists(impl_->paths.blob(digest), O_RDONLY | O_NOFOLLOW);
    if (!file) {
        throw Error(ErrorKind::not_found, "blob " + digest.str() + " is not in the store " + impl_->paths.root)
            .with_remedy("pull or import the image again");
    }
    return file;
}

std::string Store::read_blob(const Digest& digest, std::size_t most) const { return impl_->read_blob(digest, most); }

std::string Store::Impl::read_blob(const Digest& digest, std::size_t most) const {
    const std::string path = paths.blob(digest);
    const auto file = posix::open_if_exists(path, O_RDONLY | O_NOFOLLOW);
    if (!file) {
        throw Error(ErrorKind::not_found, "blob " + digest.str() + " is not in the store " + paths.root)
            .with_remedy("pull or import the image again");
    }
    std::string text = posix::read_all(file, path, most);
    if (sha256_of(text) != digest) {
        throw Error(ErrorKind::corrupt, "blob " + digest.str() + " in the store " + paths.root + " is damaged")
            .with_remedy("remove " + path + " and pull or import the image again");
    }
    return text;
}

BlobWriter Store::new_blob(const Digest& expected, std::uint64_t size) {
    auto impl = std::make_unique<BlobWriter::Impl>();
    impl->paths = impl_->paths;
    impl->expected = expected;
    impl->announced = size;
    impl->open();
    return BlobWriter(std::move(impl));
}

BlobWriter Store::new_verified_blob(const Digest& digest, std::uint64_t size) {
    BlobWriter writer = new_blob(digest, size);
    writer.impl_->verified_by_caller = true;
    return writer;
}

std::optional<BlobWriter> Store::ingest_blob(const Digest& expected, std::uint64_t size, const CancelToken& cancel) {
    constexpr std::chrono::milliseconds look_again(50);
    for (;;) {
        if (has_blob(expected)) return std::nullopt;
        auto impl = std::make_unique<BlobWriter::Impl>();
        impl->paths = impl_->paths;
        impl->expected = expected;
        impl->announced = size;
        impl->is_ingest = true;
        if (impl->open_ingest()) {
            if (has_blob(expected)) return std::nullopt;
            impl->take_up();
            return BlobWriter(std::move(impl));
        }
        cancel.check();
        std::this_thread::sleep_for(look_again);
    }
}

Digest Store::put_blob(std::string_view bytes) {
    Digest digest = sha256_of(bytes);
    if (has_blob(digest)) return digest;
    BlobWriter writer = new_verified_blob(digest, bytes.size());
    writer.write(std::as_bytes(std::span(bytes)));
    return writer.commit();
}

}  // namespace locald::image
