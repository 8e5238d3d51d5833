#include "core/image/archive.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/image/decompress.hpp"
#include "core/image/layer_path.hpp"
#include "core/image/tar_reader.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

class Directory final : public FileSet {
public:
    explicit Directory(const std::string& path)
        : FileSet(path), directory_(posix::open(path, O_RDONLY | O_DIRECTORY)) {}

    std::optional<Part> open(const std::string& name) const override {
        posix::UniqueFd file;
        try {
            // Not blocking: a FIFO of that name must not hold us.
            file = posix::open_in_root(directory_, name, O_RDONLY | O_NONBLOCK);
        } catch (const Error& e) {
            if (e.os_errno() == ENOENT || e.os_errno() == ENOTDIR) return std::nullopt;
            throw;
        }
        const auto st = posix::fstat(file, name);
        if (!S_ISREG(st.st_mode)) throw Error(ErrorKind::invalid, shown() + ": " + name + " is no regular file");
        return Part{std::make_unique<Owned>(std::move(file), shown() + "/" + name),
                    static_cast<std::uint64_t>(st.st_size)};
    }

private:
    class Owned final : public ByteInput {
    public:
        Owned(posix::UniqueFd file, const std::string& what) : file_(std::move(file)), input_(file_.get(), what) {}
        std::size_t read(std::span<std::byte> out) override { return input_.read(out); }

    private:
        posix::UniqueFd file_;
        FileInput input_;
    };
    posix::UniqueFd directory_;
};

/// Bytes that can be read from anywhere.
class Ranges {
public:
    virtual ~Ranges() = default;
    /// Fills `out` as far as bytes are at hand; 0 at the end.
    /// @param end  how far the reader means to go on
    virtual std::size_t read_at(std::uint64_t offset, std::uint64_t end, std::span<std::byte> out) const = 0;
    /// How much is read at a time where a header stands.
    virtual std::size_t block() const noexcept = 0;
};

class FileRanges final : public Ranges {
public:
    FileRanges(posix::UniqueFd file, std::string what) : file_(std::move(file)), what_(std::move(what)) {}
    std::size_t read_at(std::uint64_t offset, std::uint64_t end, std::span<std::byte> out) const override {
        FileInput input(file_.get(), what_, offset, end - offset);
        return input.read(out);
    }
    std::size_t block() const noexcept override { return 64U << 10U; }

private:
    posix::UniqueFd file_;
    std::string what_;
};

/// One of the files of a source.
class SourceRanges final : public Ranges {
public:
    SourceRanges(FileSource& source, std::string name) : source_(source), name_(std::move(name)) {}
    std::size_t read_at(std::uint64_t offset, std::uint64_t end, std::span<std::byte> out) const override {
        return source_.read(name_, offset, end, out);
    }
    // Every header costs a round trip, and what is read behind it is not wanted.
    std::size_t block() const noexcept override { return 8U << 10U; }

private:
    FileSource& source_;
    std::string name_;
};

class RangeInput final : public ByteInput {
public:
    RangeInput(const Ranges& ranges, std::uint64_t offset, std::uint64_t size)
        : ranges_(ranges), at_(offset), end_(offset + std::min(size, ~std::uint64_t{0} - offset)) {}
    std::size_t read(std::span<std::byte> out) override {
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end_ - at_));
        if (want == 0) return 0;
        const std::size_t n = ranges_.read_at(at_, end_, out.first(want));
        at_ += n;
        return n;
    }
    bool skip(std::uint64_t bytes) override {
        if (bytes > end_ - at_) return false;
        at_ += bytes;
        return true;
    }

private:
    const Ranges& ranges_;
    std::uint64_t at_, end_;
};

/// A layout on another host.
class RemoteDirectory final : public FileSet {
public:
    RemoteDirectory(FileSource& source, const std::string& shown) : FileSet(shown, true), source_(source) {}
    std::optional<Part> open(const std::string& name) const override {
        const auto size = source_.size_of(name);
        if (!size) return std::nullopt;
        return Part{std::make_unique<Owned>(source_, name, *size), *size};
    }

private:
    class Owned final : public ByteInput {
    public:
        Owned(FileSource& source, std::string name, std::uint64_t size)
            : ranges_(source, std::move(name)), input_(ranges_, 0, size) {}
        std::size_t read(std::span<std::byte> out) override { return input_.read(out); }
        bool skip(std::uint64_t bytes) override { return input_.skip(bytes); }

    private:
        SourceRanges ranges_;
        RangeInput input_;
    };
    FileSource& source_;
};

/// A tar that can be sought, in chunks; skip() costs nothing.
class RangeChunks final : public ChunkSource {
public:
    explicit RangeChunks(const Ranges& ranges) : ranges_(ranges), block_(ranges.block()) {}
    std::span<const std::byte> next() override {
        const std::size_t n = ranges_.read_at(at_, at_ + block_.size(), block_);
        at_ += n;
        return std::span<const std::byte>(block_).first(n);
    }
    std::uint64_t skip(std::uint64_t bytes) override {
        at_ += bytes;  // past the end the next read finds nothing, and the reader says so
        return bytes;
    }

private:
    const Ranges& ranges_;
    std::vector<std::byte> block_;
    std::uint64_t at_ = 0;
};

/// Where the members of a tar stand.
class Members {
public:
    void read(ChunkSource& chunks) {
        TarReader reader(chunks);
        TarEntry entry;
        while (reader.next(entry)) {
            const std::string name = join_components(layer_components(entry.name));
            Member member;
            if (entry.type == TarType::regular && !entry.sparse) {
                member.offset = reader.offset();
                member.size = entry.size;
            } else if (entry.type == TarType::symlink || entry.type == TarType::hard_link) {
                const auto slash = name.find_last_of('/');
                const bool from_root = entry.type == TarType::hard_link || entry.link.starts_with('/');
                const std::string base = from_root || slash == std::string::npos ? "" : name.substr(0, slash + 1);
                member.link = base + entry.link;
            } else {
                members_.erase(name);
                continue;
            }
            members_[name] = std::move(member);
        }
    }

    struct Member {
        std::uint64_t offset = 0, size = 0;
        std::string link;  ///< a name in the tar; empty for files
    };
    const Member* find(const std::string& name) const {
        std::string wanted = join_components(layer_components(name));
        for (int links = 0; links < most_links; ++links) {
            const auto found = members_.find(wanted);
            if (found == members_.end()) return nullptr;
            if (found->second.link.empty()) return &found->second;
            wanted = join_components(layer_components(found->second.link));
        }
        return nullptr;
    }

private:
    std::map<std::string, Member> members_;
};

class TarFile final : public FileSet {
public:
    TarFile(std::unique_ptr<Ranges> tar, const std::string& path, bool from_afar)
        : FileSet(path, from_afar), tar_(std::move(tar)) {
        RangeChunks chunks(*tar_);
        in_step(path, [&] { members_.read(chunks); });
    }
    std::optional<Part> open(const std::string& name) const override {
        const auto* member = members_.find(name);
        if (member == nullptr) return std::nullopt;
        return Part{std::make_unique<RangeInput>(*tar_, member->offset, member->size), member->size};
    }

private:
    std::unique_ptr<Ranges> tar_;
    Members members_;
};

class MemoryTar final : public FileSet {
public:
    MemoryTar(std::string_view tar, std::string shown) : FileSet(std::move(shown)), tar_(tar) {
        MemoryChunks chunks(tar_);
        members_.read(chunks);
    }
    std::optional<Part> open(const std::string& name) const override {
        const auto* member = members_.find(name);
        if (member == nullptr || member->offset + member->size > tar_.size()) return std::nullopt;
        return Part{std::make_unique<MemoryInput>(tar_.substr(member->offset, member->size)), member->size};
    }

private:
    std::string_view tar_;
    Members members_;
};

bool is_packed(ByteInput& start) {
    std::array<std::byte, 4> head{};
    const std::size_t n = start.read(head);
    return detect_compression(std::span<const std::byte>(head).first(n)) != Compression::none;
}

posix::UniqueFd unpack_into(ByteInput& packed, const std::string& scratch) {
    std::string name = scratch + "/archive-XXXXXX";
    posix::UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
    if (!file) throw_errno(errno, "create ", name);
    ::unlink(name.c_str());
    const auto plain = decompress(packed);
    std::vector<std::byte> block(256U << 10U);
    for (std::size_t n = plain->read(block); n != 0; n = plain->read(block)) {
        for (std::size_t done = 0; done < n;) {
            const ssize_t w = ::write(file.get(), block.data() + done, n - done);
            if (w < 0 && errno == EINTR) continue;
            if (w < 0) throw_errno(errno, "write ", name);
            done += static_cast<std::size_t>(w);
        }
    }
    return file;
}

}  // namespace

std::string FileSet::read(const std::string& name, std::uint64_t most) const {
    const auto part = open(name);
    if (!part) throw Error(ErrorKind::not_found, shown() + " has no " + name);
    if (part->size > most) {
        throw Error(ErrorKind::invalid, shown() + ": " + name + " is longer than " + std::to_string(most) + " bytes");
    }
    std::string text(static_cast<std::size_t>(part->size), '\0');
    std::size_t got = 0;
    while (got < text.size()) {
        const std::size_t n = part->bytes->read(std::as_writable_bytes(std::span(text)).subspan(got));
        if (n == 0) throw Error(ErrorKind::corrupt, shown() + ": " + name + " ends early");
        got += n;
    }
    return text;
}

std::unique_ptr<FileSet> open_file_set(const std::string& path, const std::string& scratch) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) throw_errno(errno, "open ", path);
    if (S_ISDIR(st.st_mode)) return std::make_unique<Directory>(path);
    posix::UniqueFd file = posix::open(path, O_RDONLY | O_NONBLOCK);
    if (!S_ISREG(posix::fstat(file, path).st_mode)) {
        throw Error(ErrorKind::invalid, path + " is neither a directory nor a regular file");
    }
    FileInput start(file.get(), path);
    if (is_packed(start)) {
        FileInput packed(file.get(), path);
        file = unpack_into(packed, scratch);
    }
    return std::make_unique<TarFile>(std::make_unique<FileRanges>(std::move(file), path), path, false);
}

std::unique_ptr<FileSet> open_file_set(FileSource& source, const std::string& shown, const std::string& scratch) {
    if (source.is_directory()) return std::make_unique<RemoteDirectory>(source, shown);
    const std::uint64_t size = source.size_of("").value_or(0);
    auto ranges = std::make_unique<SourceRanges>(source, "");
    RangeInput start(*ranges, 0, std::min<std::uint64_t>(size, ranges->block()));
    if (!is_packed(start)) return std::make_unique<TarFile>(std::move(ranges), shown, true);
    RangeInput packed(*ranges, 0, size);
    return std::make_unique<TarFile>(std::make_unique<FileRanges>(unpack_into(packed, scratch), shown), shown, false);
}

std::unique_ptr<FileSet> memory_file_set(std::string_view tar, std::string shown) {
    return std::make_unique<MemoryTar>(tar, std::move(shown));
}

}  // namespace locald::image
