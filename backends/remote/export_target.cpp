#include "backends/remote/export_target.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

namespace locald::backends {

namespace {

using host::Handle;

void write_all(int handle, std::string_view bytes, const std::string& shown) {
    while (!bytes.empty()) {
        const auto put = ::write(handle, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) throw_errno(errno, "write ", shown);
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
}

class StdoutTarget final : public ExportTarget {
public:
    void begin() override {}
    void file(const std::string&) override {}
    void write(std::string_view bytes) override { write_all(STDOUT_FILENO, bytes, "the archive"); }
    void finish() override {}
};

class ArchiveTarget final : public ExportTarget {
public:
    explicit ArchiveTarget(std::string path) : path_(std::move(path)) {}
    ~ArchiveTarget() override {
        if (file_) ::unlink(temporary_.c_str());
    }
    void begin() override {
        temporary_ = path_ + ".XXXXXX";
        file_ = Handle(::mkstemp(temporary_.data()));
        if (!file_) throw_errno(errno, "create ", temporary_);
        ::fcntl(file_.get(), F_SETFD, FD_CLOEXEC);
    }
    void file(const std::string&) override {}
    void write(std::string_view bytes) override { write_all(file_.get(), bytes, temporary_); }
    void finish() override {
        const mode_t mask = ::umask(0);
        ::umask(mask);
        if (::fchmod(file_.get(), 0666U & ~mask) != 0) throw_errno(errno, "chmod ", temporary_);
        if (::fsync(file_.get()) != 0) throw_errno(errno, "sync ", temporary_);
        if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(errno, "rename ", temporary_);
        file_ = Handle();
    }

private:
    const std::string path_;
    std::string temporary_;
    Handle file_;
};

bool is_name_of_a_layout(const std::string& name) {
    constexpr std::string_view blobs = "blobs/sha256/";
    constexpr std::size_t digits = 64;
    if (name == "index.json" || name == "oci-layout") return true;
    return name.size() == blobs.size() + digits && name.starts_with(blobs) &&
           name.find_first_not_of("0123456789abcdef", blobs.size()) == std::string::npos;
}

class DirectoryTarget final : public ExportTarget {
public:
    explicit DirectoryTarget(std::string path) : path_(std::move(path)) {}
    ~DirectoryTarget() override {
        std::error_code error;
        if (made_) std::filesystem::remove_all(path_, error);
    }
    bool is_directory() const noexcept override { return true; }
    void begin() override {
        if (::mkdir(path_.c_str(), 0777) != 0) {
            if (errno != EEXIST) throw_errno(errno, "create directory ", path_);
            // An empty one is as good as none; anything else is not ours to mix with.
            if (::rmdir(path_.c_str()) != 0 || ::mkdir(path_.c_str(), 0777) != 0) {
                const int err = errno;
                throw Error(ErrorKind::exists, path_ + ": " + errno_text(err), err)
                    .with_remedy("give a directory that does not exist yet");
            }
        }
        made_ = true;
        for (const char* name : {"/blobs", "/blobs/sha256"}) {
            if (::mkdir((path_ + name).c_str(), 0755) != 0) throw_errno(errno, "create directory ", path_, name);
        }
    }
    void file(const std::string& name) override {
        if (!is_name_of_a_layout(name)) throw Error(ErrorKind::corrupt, "the other host sends a file of another name");
        shown_ = path_ + "/" + name;
        file_ = Handle(::open(shown_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
        if (!file_) throw_errno(errno, "open ", shown_);
    }
    void write(std::string_view bytes) override { write_all(file_.get(), bytes, shown_); }
    void finish() override { made_ = false; }

private:
    const std::string path_;
    std::string shown_;
    Handle file_;
    bool made_ = false;
};

}  // namespace

std::unique_ptr<ExportTarget> make_export_target(const std::string& path) {
    if (path == "-") return std::make_unique<StdoutTarget>();
    if (!path.ends_with('/')) return std::make_unique<ArchiveTarget>(path);
    return std::make_unique<DirectoryTarget>(path.substr(0, path.find_last_not_of('/') + 1));
}

}  // namespace locald::backends
