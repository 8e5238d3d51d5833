// Build-time program: packs the hello program as an image, an OCI layout in an uncompressed tar. The same input gives
// the same bytes: no times, no names of the machine that builds.

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/oci/image_spec.hpp"

namespace {

using locald::Error;
using locald::ErrorKind;

/// A ustar archive (POSIX 1003.1-1988, "ustar Interchange Format"): owner 0:0, time 0.
class Tar {
public:
    void add_directory(std::string_view name, unsigned mode) { add_header(std::string(name) + "/", mode, 0, '5'); }

    void add_file(std::string_view name, unsigned mode, std::string_view content) {
        add_header(name, mode, content.size(), '0');
        bytes_ += content;
        bytes_.append((block - content.size() % block) % block, '\0');
    }

    /// The whole archive with its two empty blocks at the end.
    std::string finish() && { return std::move(bytes_.append(2 * block, '\0')); }

private:
    static constexpr std::size_t block = 512;

    static void put(std::string& header, std::size_t at, std::size_t width, std::string_view text) {
        if (text.size() > width) throw Error(ErrorKind::invalid, "tar field is too long: " + std::string(text));
        header.replace(at, text.size(), text);
    }

    /// `width` counts the NUL that ends the number.
    static void put_octal(std::string& header, std::size_t at, std::size_t width, std::size_t value) {
        std::string digits(width - 1, '0');
        for (std::size_t i = digits.size(); i > 0; --i, value /= 8) digits[i - 1] = static_cast<char>('0' + value % 8);
        put(header, at, width, digits);
    }

    void add_header(std::string_view name, unsigned mode, std::size_t size, char type) {
        std::string header(block, '\0');
        put(header, 0, 100, name);
        put_octal(header, 100, 8, mode);
        put_octal(header, 108, 8, 0);
        put_octal(header, 116, 8, 0);
        put_octal(header, 124, 12, size);
        put_octal(header, 136, 12, 0);
        put(header, 148, 8, "        ");
        header[156] = type;
        put(header, 257, 8, std::string_view("ustar\00000", 8));
        std::size_t sum = 0;
        for (const char c : header) sum += static_cast<unsigned char>(c);
        put_octal(header, 148, 7, sum);
        bytes_ += header;
    }

    std::string bytes_;
};

std::string read_all(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream bytes_of;
    bytes_of << file.rdbuf();
    std::string bytes = std::move(bytes_of).str();
    if (!file || bytes.empty()) throw Error(ErrorKind::system, std::string("read ") + path + ": failed or empty");
    return bytes;
}

std::string make_layer(const std::string& program) {
    Tar layer;
    layer.add_directory("etc", 0755);
    layer.add_file("etc/group", 0644, "root:x:0:\nnogroup:x:65534:\n");
    layer.add_file("etc/passwd", 0644, "root:x:0:0:root:/:/hello\nnobody:x:65534:65534:nobody:/:/hello\n");
    layer.add_file("hello", 0755, program);
    layer.add_directory("tmp", 01777);
    return std::move(layer).finish();
}

locald::oci::Descriptor describe(std::string_view type, const std::string& content) {
    locald::oci::Descriptor descriptor;
    descriptor.media_type = type;
    descriptor.digest = locald::sha256_of(content);
    descriptor.size = content.size();
    return descriptor;
}

std::string make_layout(const std::string& program) {
    namespace oci = locald::oci;
    const auto platform = oci::host_platform();
    const std::string layer = make_layer(program);

    oci::ImageConfig image;
    image.os = platform.os;
    image.architecture = platform.architecture;
    image.variant = platform.variant;
    image.env = {"PATH=/"};
    image.entrypoint = {"/hello"};
    image.working_dir = "/";
    image.labels = {{"org.opencontainers.image.title", "locald/hello"},
                    {"org.opencontainers.image.description", "Says what it sees from inside its container"}};
    image.diff_ids = {locald::sha256_of(layer)};
    const std::string config = oci::to_json(image);

    oci::Manifest manifest_value;
    manifest_value.media_type = oci::media_type::manifest;
    manifest_value.config = describe(oci::media_type::config, config);
    manifest_value.layers = {describe(oci::media_type::layer, layer)};
    const std::string manifest = oci::to_json(manifest_value);

    oci::Index index;
    index.media_type = oci::media_type::index;
    index.manifests = {describe(oci::media_type::manifest, manifest)};
    index.manifests[0].platform = platform;
    index.manifests[0].annotations = {{"org.opencontainers.image.ref.name", "locald/hello"}};

    Tar layout;
    layout.add_file("oci-layout", 0644, R"({"imageLayoutVersion":"1.0.0"})");
    layout.add_file("index.json", 0644, oci::to_json(index));
    layout.add_directory("blobs", 0755);
    layout.add_directory("blobs/sha256", 0755);
    for (const std::string* blob : {&manifest, &config, &layer}) {
        layout.add_file("blobs/sha256/" + locald::sha256_of(*blob).hex(), 0644, *blob);
    }
    return std::move(layout).finish();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: pack-hello PROGRAM LAYOUT.tar\n";
        return 2;
    }
    try {
        const std::string layout = make_layout(read_all(argv[1]));
        std::ofstream out(argv[2], std::ios::binary | std::ios::trunc);
        out.write(layout.data(), static_cast<std::streamsize>(layout.size()));
        out.close();
        if (!out) throw Error(ErrorKind::system, std::string("write ") + argv[2] + ": failed");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "pack-hello: " << e.what() << '\n';
        std::remove(argv[2]);
        return 1;
    }
}
