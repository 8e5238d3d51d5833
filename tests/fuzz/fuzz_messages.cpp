// The values in the messages between `locald` and its agent: whatever the JSON is, one is read whole or refused, and
// what was read is written and read again as the same.

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "backends/protocol/detached_values.hpp"
#include "backends/protocol/values.hpp"

namespace {

using namespace locald::protocol;

void need(bool holds) {
    if (!holds) std::abort();
}

template <typename Read, typename Write>
void there_and_back(const Json& json, Read read, Write write) {
    try {
        const Json once = write(read(json));
        need(write(read(once)) == once);
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::corrupt);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Json json;
    try {
        json = parse({reinterpret_cast<const char*>(data), size});
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::corrupt);
        return 0;
    }
    there_and_back(json, read_options, write_options);
    there_and_back(json, read_source, write_source);
    there_and_back(json, read_probe, write_probe);
    there_and_back(json, read_image, write_image);
    there_and_back(json, read_images, write_images);
    there_and_back(json, read_credentials, write_credentials);
    there_and_back(json, read_bundle, write_bundle);
    there_and_back(json, read_progress, write_progress);
    there_and_back(json, read_detach_options, write_detach_options);
    there_and_back(json, read_detached_start, write_detached_start);
    there_and_back(json, read_container, write_container);
    there_and_back(json, read_exec_options, write_exec_options);
    there_and_back(json, read_log_options, write_log_options);
    there_and_back(json, read_exit, write_exit);
    try {
        const auto error = read_error(json);
        for (const char c : std::string_view(error.what()))
            need(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::corrupt);
    }
    return 0;
}
