#include "backends/remote/local_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

using host::Handle;

namespace {

// As many as the kernel follows.
constexpr int most_links = 40;

std::string read_link(int directory, const std::string& name) {
    std::array<char, PATH_MAX> target{};
    const auto size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

LocalFiles::LocalFiles(const std::string& path) : path_(path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) throw_errno(errno, "open ", path);
    // Not blocking: a FIFO of that name must not hold us.
    top_ = Handle(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!top_ || ::fstat(top_.get(), &st) != 0) throw_errno(errno, "open ", path);
    if (S_ISREG(st.st_mode)) {
        size_ = static_cast<std::uint64_t>(st.st_size);
    } else if (!S_ISDIR(st.st_mode)) {
        throw Error(ErrorKind::invalid, path + " is neither a directory nor a regular file");
    }
}

/// Follows links as if the directory were the root, and never above it: whoever asks is another host. No path is given
/// to the kernel as a whole, so nothing that is renamed meanwhile leads out.
Handle LocalFiles::open_below(const std::string& name) const {
    std::deque<std::string> todo;
    const auto add = [&](const std::string& path) {
        std::deque<std::string> parts;
        for (const auto part : split(path, '/')) {
            if (!part.empty() && part != ".") parts.emplace_back(part);
        }
        todo.insert(todo.begin(), parts.begin(), parts.end());
    };
    add(name);
    std::vector<Handle> way;
    const auto here = [&] { return way.empty() ? top_.get() : way.back().get(); };
    for (int links = 0; !todo.empty();) {
        const std::string part = std::move(todo.front());
        todo.pop_front();
        if (part == "..") {
            if (!way.empty()) way.pop_back();
            continue;
        }
        Handle next(::openat(here(), part.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (next) {
            way.push_back(std::move(next));
            continue;
        }
        const int err = errno;
        if (err == ENOENT || err == ENOTDIR) return Handle();
        const auto target = read_link(here(), part);
        if (target.empty()) throw_errno(err, "open ", path_, "/", name);
        if (++links > most_links) throw_errno(ELOOP, "open ", path_, "/", name);
        if (target.starts_with('/')) way.clear();
        add(target);
    }
    return way.empty() ? Handle() : std::move(way.back());
}

const LocalFiles::File& LocalFiles::file(const std::string& name) {
    if (last_ && last_->name == name) return *last_;
    last_.reset();
    File file;
    file.name = name;
    if (size_) {
        if (!name.empty()) throw Error(ErrorKind::invalid, path_ + " is one file");
        file.handle = Handle(::dup(top_.get()));
        file.size = *size_;
    } else {
        file.handle = open_below(name);
        struct stat st {};
        if (file.handle && (::fstat(file.handle.get(), &st) != 0 || !S_ISREG(st.st_mode))) {
            throw Error(ErrorKind::invalid, path_ + ": " + name + " is no regular file");
        }
        file.size = static_cast<std::uint64_t>(st.st_size);
    }
    return last_.emplace(std::move(file));
}

std::optional<std::uint64_t> LocalFiles::size_of(const std::string& name) {
    const auto& found = file(name);
    if (!found.handle) return std::nullopt;
    return found.size;
}

int LocalFiles::handle_of(const std::string& name) {
    const auto& found = file(name);
    if (!found.handle) throw Error(ErrorKind::not_found, path_ + " has no " + name);
    return found.handle.get();
}

}  // namespace locald::backends
