#include "core/image/copy_file.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "core/base/error.hpp"

namespace locald::image {

namespace {

void copy_range(const posix::UniqueFd& from, const posix::UniqueFd& to, off_t at, off_t end, const std::string& shown) {
    bool in_kernel = true;
    std::vector<char> block;
    while (at < end) {
        if (in_kernel) {
            off_t in = at;
            off_t out = at;
            const ssize_t n = ::copy_file_range(from.get(), &in, to.get(), &out, static_cast<std::size_t>(end - at), 0);
            if (n > 0) {
                at += n;
                continue;
            }
            if (n == 0) throw Error(ErrorKind::corrupt, "copy " + shown + ": the file became shorter");
            if (errno == EINTR) continue;
            if (errno != EXDEV && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL) {
                throw_errno(errno, "copy ", shown);
            }
            in_kernel = false;
            block.resize(256U << 10U);
        }
        const ssize_t n =
            ::pread(from.get(), block.data(), std::min(block.size(), static_cast<std::size_t>(end - at)), at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "read ", shown);
        if (n == 0) throw Error(ErrorKind::corrupt, "copy " + shown + ": the file became shorter");
        for (ssize_t done = 0; done < n;) {
            const ssize_t w = ::pwrite(to.get(), block.data() + done, static_cast<std::size_t>(n - done), at + done);
            if (w < 0 && errno == EINTR) continue;
            if (w < 0) throw_errno(errno, "write ", shown);
            done += w;
        }
        at += n;
    }
}

}  // namespace

void copy_content(const posix::UniqueFd& from, const posix::UniqueFd& to, const struct stat& st,
                  const std::string& shown) {
    if (st.st_size == 0) return;
    if (::ioctl(to.get(), FICLONE, from.get()) == 0) return;
    const off_t size = st.st_size;
    off_t at = 0;
    constexpr off_t sector = 512;
    const bool holes = st.st_blocks < size / sector;
    while (at < size) {
        off_t end = size;
        if (holes) {
            at = ::lseek(from.get(), at, SEEK_DATA);
            if (at < 0 && errno == ENXIO) break;  // nothing but a hole is left
            if (at < 0) throw_errno(errno, "read ", shown);
            end = ::lseek(from.get(), at, SEEK_HOLE);
            if (end < 0) throw_errno(errno, "read ", shown);
        }
        copy_range(from, to, at, end, shown);
        at = end;
    }
    if (::ftruncate(to.get(), size) != 0) throw_errno(errno, "set the size of ", shown);
}

}  // namespace locald::image
