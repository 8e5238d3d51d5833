#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/progress.hpp"
#include "core/base/sha256.hpp"
#include "core/oci/image_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::image {

struct UnpackContext;

/// One named image of the store. `image ls` prints these.
struct ImageRecord {
    std::string name;  ///< the long reference, or `oci:…`, `docker-archive:…`, `locald/hello`
    oci::Descriptor manifest;
    Digest id;  ///< digest of the config
    oci::Platform platform;
    std::uint64_t size = 0;  ///< bytes of config and compressed layers
    std::string created;     ///< as the image says, RFC 3339 or empty
};

/// A blob being written: hashed as it comes, in a temporary file until commit().
class BlobWriter {
public:
    BlobWriter(BlobWriter&&) noexcept;
    BlobWriter& operator=(BlobWriter&&) noexcept;
    /// Without commit() nothing of the blob remains.
    ~BlobWriter();
    void write(std::span<const std::byte> bytes);
    /// Verifies, syncs and renames into place. @throws Error(corrupt) when digest or size differ from what was
    /// announced
    Digest commit();

    /// Of Store::ingest_blob(): how much of it was there already.
    std::uint64_t resumed() const noexcept;
    /// Of Store::ingest_blob(): forgets all that was written, to begin again.
    void restart();
    /// Of Store::ingest_blob(): what is written stays for the next one who ingests this blob, for a day.
    void keep() noexcept;

private:
    friend class Store;
    struct Impl;
    explicit BlobWriter(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct GarbageReport {
    std::uint64_t blobs = 0, layers = 0, bytes = 0;
};

/// Content-addressed images in OCI-layout form (`oci-layout`, `index.json`, `blobs/sha256/…`) with one directory per
/// unpacked layer beside it (`layers/<id map>/<chain id>/diff`). Safe for several processes at once and after kill -9
/// at any moment.
class Store {
public:
    /// Opens or creates the store below `root` (0700) and clears what a crash left. @throws Error that names the
    /// directory
    explicit Store(std::string root);
    ~Store();
    Store(Store&&) noexcept;
    Store& operator=(Store&&) noexcept;

    const std::string& root() const noexcept;

    /// All named images; one whose blobs are damaged has a name and a manifest only, and a warning is logged.
    std::vector<ImageRecord> list() const;
    /// By name, or by id: 6 or more hex digits of the config digest. @throws Error(invalid) when an id fits more than
    /// one image
    std::optional<ImageRecord> find(std::string_view name_or_id) const;
    /// Gives `manifest` (whose blobs are all here) the name `name`; an older image of that name loses it.
    ImageRecord tag(const std::string& name, const oci::Descriptor& manifest);
    /// Removes a name; its blobs go at the next collect_garbage(). @throws Error(not_found)
    void untag(const std::string& name);
    /// Removes blobs and layers that no name, container or running pull needs. A container needs the layers that its
    /// `containers/<id>/config.json` names.
    /// @param context  to remove layers with owners of the user namespace; without it they stay for a later call
    /// @throws Error(unavailable) when leases are held for longer than a few seconds
    GarbageReport collect_garbage(bool dry_run = false, UnpackContext* context = nullptr);

    bool has_blob(const Digest& digest) const;
    posix::UniqueFd open_blob(const Digest& digest) const;
    /// A small blob, verified against its digest again. @throws Error(corrupt), Error(invalid) above `most` bytes
    std::string read_blob(const Digest& digest, std::size_t most = 16U << 20U) const;
    /// @param expected  empty: commit() takes what comes;  @param size  0: any
    BlobWriter new_blob(const Digest& expected = {}, std::uint64_t size = 0);
    /// For a caller that verifies digest and size of all bytes itself before commit(), so that they are hashed once.
    BlobWriter new_verified_blob(const Digest& digest, std::uint64_t size);
    /// For a blob that comes from far away: goes on where another writer of it was cut. While one writes it already
    /// this waits. @return nothing when the blob is in the store meanwhile
    std::optional<BlobWriter> ingest_blob(const Digest& expected, std::uint64_t size, const CancelToken& cancel);
    /// A whole small blob.
    Digest put_blob(std::string_view bytes);

    oci::Manifest manifest_of(const ImageRecord& image) const;
    oci::ImageConfig config_of(const ImageRecord& image) const;

    /// Keeps what a running pull needs from collect_garbage() while it lives, and what a starting container needs until
    /// its directory below `containers/` has the config.json that names its layers. Not for the life of a container:
    /// collect_garbage() waits for leases.
    class Lease {
    public:
        Lease(Lease&&) noexcept;
        Lease& operator=(Lease&&) noexcept;
        ~Lease();

    private:
        friend class Store;
        struct Impl;
        explicit Lease(std::unique_ptr<Impl> impl);
        std::unique_ptr<Impl> impl_;
    };
    Lease lease() const;

    struct Impl;  ///< internal to core/image

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace locald::image
