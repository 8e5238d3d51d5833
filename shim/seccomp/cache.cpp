#include "shim/seccomp/cache.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

namespace {

constexpr std::size_t most_entry = std::size_t{1} << 20U;

struct Header {
    std::array<char, 8> magic{'l', 'd', 's', 'e', 'c', 'c', '0', '1'};
    std::uint64_t key_hash = 0, program_hash = 0;
    std::uint32_t key_size = 0;      ///< bytes
    std::uint32_t program_size = 0;  ///< instructions
};

/// FNV-1a. Not against an enemy, who would have to be the caller himself: against torn and stale entries.
std::uint64_t hash(const void* data, std::size_t size) noexcept {
    const auto* bytes = static_cast<const unsigned char*>(data);
    std::uint64_t value = 0xcbf29ce484222325ULL;
    for (std::size_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001b3ULL;
    return value;
}

/// The directory when it is private, else an empty handle.
posix::UniqueFd open_private(const std::string& path, bool make) {
    if (path.empty()) return {};
    if (make) ::mkdir(path.c_str(), S_IRWXU);
    posix::UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat st {};
    if (!dir || ::fstat(dir.get(), &st) != 0) return {};
    if (st.st_uid != ::geteuid() || (st.st_mode & 07777U) != S_IRWXU) return {};
    return dir;
}

std::string name_of(std::uint64_t key_hash) {
    constexpr std::string_view digits = "0123456789abcdef";
    return std::string("seccomp-") + digits[(key_hash >> 4U) & 0xFU] + digits[key_hash & 0xFU];
}

}  // namespace

std::optional<std::vector<std::uint64_t>> SeccompCache::find(std::string_view key) const {
    const auto dir = open_private(dir_, false);
    if (!dir) return std::nullopt;
    const std::uint64_t key_hash = hash(key.data(), key.size());
    const posix::UniqueFd file(
        ::openat(dir.get(), name_of(key_hash).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat st {};
    if (!file || ::fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != ::geteuid()) {
        return std::nullopt;
    }
    std::string text;
    try {
        text = posix::read_all(file, "a seccomp cache entry", most_entry);
    } catch (const Error&) {
        return std::nullopt;
    }
    Header header;
    if (text.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, text.data(), sizeof header);
    const std::size_t bytes = std::size_t{header.program_size} * sizeof(std::uint64_t);
    if (header.magic != Header{}.magic || header.key_hash != key_hash || header.key_size != key.size() ||
        header.program_size == 0 || header.program_size > BPF_MAXINSNS ||
        text.size() != sizeof header + key.size() + bytes || text.compare(sizeof header, key.size(), key) != 0) {
        return std::nullopt;
    }
    std::vector<std::uint64_t> program(header.program_size);
    std::memcpy(program.data(), text.data() + sizeof header + key.size(), bytes);
    if (hash(program.data(), bytes) != header.program_hash) return std::nullopt;
    return program;
}

void SeccompCache::put(std::string_view key, const std::vector<std::uint64_t>& program) const {
    const auto dir = open_private(dir_, true);
    if (!dir) return;
    Header header;
    header.key_hash = hash(key.data(), key.size());
    header.key_size = static_cast<std::uint32_t>(key.size());
    header.program_size = static_cast<std::uint32_t>(program.size());
    const std::size_t bytes = program.size() * sizeof(std::uint64_t);
    header.program_hash = hash(program.data(), bytes);
    std::string text(sizeof header, '\0');
    std::memcpy(text.data(), &header, sizeof header);
    text.append(key);
    text.append(reinterpret_cast<const char*>(program.data()), bytes);

    const std::string name = name_of(header.key_hash);
    const std::string temporary = name + "." + std::to_string(::getpid());
    const posix::UniqueFd file(::openat(dir.get(), temporary.c_str(),
                                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) {
        // Left by a process of the same number that was killed while writing.
        if (errno == EEXIST) ::unlinkat(dir.get(), temporary.c_str(), 0);
        return;
    }
    try {
        posix::write_all(file, text, temporary);
    } catch (const Error&) {
        ::unlinkat(dir.get(), temporary.c_str(), 0);
        return;
    }
    if (::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()) != 0) {
        ::unlinkat(dir.get(), temporary.c_str(), 0);
    }
}

}  // namespace locald::shim
