#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/image/byte_stream.hpp"
#include "core/image/copy_file.hpp"
#include "core/image/store_files.hpp"
#include "core/image/tar_writer.hpp"
#include "core/image/transfer.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr std::string_view layout_text = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// All that an export holds: two small files and the blobs by digest, so in an order of their own.
struct Contents {
    std::string index;
    std::map<Digest, std::uint64_t> blobs;
};

Contents contents_of(const Store& store, const ImageRecord& image) {
    Contents contents;
    oci::Index index;
    index.media_type = std::string(oci::media_type::index);
    index.manifests.push_back(image.manifest);
    index.manifests.front().annotations[std::string(ref_name_annotation)] = image.name;
    contents.index = oci::to_json(index);
    const auto manifest = store.manifest_of(image);
    const auto add = [&](const oci::Descriptor& blob) {
        const auto st = posix::fstat(store.open_blob(blob.digest), blob.digest.str());
        contents.blobs[blob.digest] = static_cast<std::uint64_t>(st.st_size);
    };
    add(image.manifest);
    add(manifest.config);
    for (const auto& layer : manifest.layers) add(layer);
    return contents;
}

void write_archive(const Store& store, const Contents& contents, TarWriter::Sink to, const ProgressSink& progress,
                   const CancelToken& cancel) {
    TarWriter tar(std::move(to));
    tar.directory("blobs");
    tar.directory("blobs/sha256");
    std::vector<std::byte> block(256U << 10U);
    for (const auto& [digest, size] : contents.blobs) {
        const auto blob = store.open_blob(digest);
        FileInput input(blob.get(), digest.str());
        tar.begin_file("blobs/sha256/" + digest.hex(), size);
        for (std::size_t n = input.read(block); n != 0; n = input.read(block)) {
            cancel.check();
            tar.content(std::span<const std::byte>(block).first(n));
        }
        tar.end_file();
        if (progress) progress({"export", digest.hex().substr(0, 12), size, size, true});
    }
    tar.file("index.json", contents.index);
    tar.file("oci-layout", layout_text);
    tar.finish();
}

void write_archive(const Store& store, const Contents& contents, const posix::UniqueFd& to, const std::string& shown,
                   const ProgressSink& progress, const CancelToken& cancel) {
    const auto write = [&](std::span<const std::byte> bytes) {
        posix::write_all(to, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, shown);
    };
    write_archive(store, contents, write, progress, cancel);
}

void export_archive(const Store& store, const Contents& contents, const ExportTarget& target,
                    const ProgressSink& progress, const CancelToken& cancel) {
    if (target.path == "-") {
        const posix::UniqueFd copy(::fcntl(target.handle, F_DUPFD_CLOEXEC, 0));
        if (!copy) throw_errno(errno, "write to the given handle");
        write_archive(store, contents, copy, "the archive", progress, cancel);
        return;
    }
    std::string temporary = target.path + ".XXXXXX";
    const posix::UniqueFd file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!file) throw_errno(errno, "create ", temporary);
    try {
        write_archive(store, contents, file, temporary, progress, cancel);
        const mode_t mask = ::umask(0);
        ::umask(mask);
        if (::fchmod(file.get(), 0666U & ~mask) != 0) throw_errno(errno, "chmod ", temporary);
        if (::fsync(file.get()) != 0) throw_errno(errno, "sync ", temporary);
        if (::rename(temporary.c_str(), target.path.c_str()) != 0) throw_errno(errno, "rename ", temporary);
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
}

void export_directory(const Store& store, const Contents& contents, const std::string& path,
                      const ProgressSink& progress, const CancelToken& cancel) {
    if (::mkdir(path.c_str(), 0777) != 0) {
        if (errno != EEXIST) throw_errno(errno, "create directory ", path);
        // An empty one is as good as none; anything else is not ours to mix with.
        if (::rmdir(path.c_str()) != 0 || ::mkdir(path.c_str(), 0777) != 0) {
            const int err = errno;
            throw Error(ErrorKind::exists, path + ": " + errno_text(err), err)
                .with_remedy("give a directory that does not exist yet");
        }
    }
    try {
        posix::make_directories(path + "/blobs/sha256");
        for (const auto& [digest, size] : contents.blobs) {
            cancel.check();
            const auto blob = store.open_blob(digest);
            const std::string name = path + "/blobs/sha256/" + digest.hex();
            const auto file = posix::open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
            copy_content(blob, file, posix::fstat(blob, name), name);
            if (progress) progress({"export", digest.hex().substr(0, 12), size, size, true});
        }
        posix::replace_file(path + "/index.json", contents.index);
        posix::replace_file(path + "/oci-layout", layout_text);
    } catch (...) {
        posix::remove_tree(path);
        throw;
    }
}

void export_files(const Store& store, const Contents& contents, FileSink& sink, const ProgressSink& progress,
                  const CancelToken& cancel) {
    std::vector<std::byte> block(256U << 10U);
    for (const auto& [digest, size] : contents.blobs) {
        const auto blob = store.open_blob(digest);
        FileInput input(blob.get(), digest.str());
        sink.file("blobs/sha256/" + digest.hex());
        for (std::size_t n = input.read(block); n != 0; n = input.read(block)) {
            cancel.check();
            sink.write(std::span<const std::byte>(block).first(n));
        }
        if (progress) progress({"export", digest.hex().substr(0, 12), size, size, true});
    }
    sink.file("index.json");
    sink.write(std::as_bytes(std::span(contents.index)));
    sink.file("oci-layout");
    sink.write(std::as_bytes(std::span(layout_text)));
}

}  // namespace

void export_image(const Store& store, const ImageRecord& image, const ExportTarget& target,
                  const ProgressSink& progress, const CancelToken& cancel) {
    const auto lease = store.lease();
    try {
        const Contents contents = contents_of(store, image);
        if (target.form == ExportTarget::Form::oci_directory) {
            export_directory(store, contents, target.path, progress, cancel);
        } else {
            export_archive(store, contents, target, progress, cancel);
        }
    } catch (Error& e) {
        if (e.os_errno() == ENOSPC) e.with_remedy("free space on the file system of " + target.path + ", then retry");
        e.add_context("export " + image.name);
        throw;
    }
}

void export_image_to(const Store& store, const ImageRecord& image, FileSink& sink, bool directory,
                     const ProgressSink& progress, const CancelToken& cancel) {
    const auto lease = store.lease();
    in_step("export " + image.name, [&] {
        const Contents contents = contents_of(store, image);
        sink.begin(image.name);
        if (directory) {
            export_files(store, contents, sink, progress, cancel);
            return;
        }
        sink.file("");
        const auto write = [&](std::span<const std::byte> bytes) { sink.write(bytes); };
        write_archive(store, contents, write, progress, cancel);
    });
}

}  // namespace locald::image
