#pragma once

// The D-Bus wire format, as much of it as a client of systemd needs. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace locald::shim {

/// One value of any D-Bus type.
struct DbusValue {
    std::string signature;         ///< of this value: "s", "a(sv)", …
    std::uint64_t number = 0;      ///< integers (negative ones in two's complement), booleans, the bits of a double
    std::string text;              ///< s, o, g
    std::vector<DbusValue> items;  ///< elements, members, or the one value of a variant

    static DbusValue boolean(bool value);
    static DbusValue u32(std::uint32_t value);
    static DbusValue u64(std::uint64_t value);
    static DbusValue string(std::string value);
    static DbusValue variant(DbusValue value);
    static DbusValue array(std::string element_signature, std::vector<DbusValue> items);
    static DbusValue tuple(std::vector<DbusValue> items);
    bool operator==(const DbusValue&) const = default;
};

/// The length of the first complete type in `signature`; 0 when there is none.
std::size_t first_type_length(std::string_view signature);

struct DbusMessage {
    enum Type : std::uint8_t { method_call = 1, method_return = 2, error = 3, signal = 4 };
    std::uint8_t type = method_call;
    std::uint8_t flags = 0;
    std::uint32_t serial = 0, reply_serial = 0;
    std::string path, interface, member, error_name, destination;
    std::vector<DbusValue> body;
};

/// The bytes of a message, little endian.
std::string encode(const DbusMessage& message);
/// The length of the message that `bytes` begins with; 0 when more bytes are needed to tell.
/// @throws Error(corrupt) for what cannot be one, or is longer than 1 MiB
std::size_t message_length(std::string_view bytes);
/// @throws Error(corrupt)
DbusMessage decode(std::string_view bytes);

}  // namespace locald::shim
