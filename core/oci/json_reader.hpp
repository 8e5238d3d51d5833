#pragma once

// Private to core/oci: reads a parsed document into values and names the place of whatever is wrong. A null member
// counts as absent, as engines written in Go write nil lists that way.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.hpp"

namespace locald::oci::reader {

using Json = const json::Value;

/// Where a value stands in its document: a chain of nodes on the stack, turned into text only when something is wrong.
class Place {
public:
    /// The whole document; `name` stands in front of every place, such as `process` for a process object alone.
    explicit Place(std::string_view name = {}) noexcept : key_(name) {}
    Place(const Place& outer, std::string_view key) noexcept : outer_(&outer), key_(key) {}
    Place(const Place& outer, std::size_t index) noexcept : outer_(&outer), index_(index) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    /// `linux.uidMappings[0].size`; a key that is no plain word stands in brackets: `linux.sysctl["net.core.x"]`.
    std::string str() const;

private:
    static constexpr std::size_t no_index = std::numeric_limits<std::size_t>::max();

    const Place* outer_ = nullptr;
    std::string_view key_;
    std::size_t index_ = no_index;
};

/// @throws Error(invalid): `PLACE: WHAT`
[[noreturn]] void fail(const Place& place, std::string_view what);
/// @throws Error(invalid): `PLACE: expected EXPECTED, got …`
[[noreturn]] void fail_expected(const Place& place, std::string_view expected, Json& got);

/// An integer of the document within bounds; floats such as 1.0 or 1e3 are refused.
std::uint64_t unsigned_at(Json& value, const Place& place, std::uint64_t max);
std::int64_t signed_at(Json& value, const Place& place, std::int64_t min, std::int64_t max);

/// Refuses a string that holds a NUL byte: the kernel would see another, shorter name.
void refuse_nul(std::string_view text, const Place& place);

void read(Json& value, const Place& place, bool& out);
void read(Json& value, const Place& place, std::string& out);

template <std::integral T>
void read(Json& value, const Place& place, T& out) {
    using Limits = std::numeric_limits<T>;
    if constexpr (std::unsigned_integral<T>) {
        out = static_cast<T>(unsigned_at(value, place, Limits::max()));
    } else {
        out = static_cast<T>(signed_at(value, place, Limits::min(), Limits::max()));
    }
}

template <class T>
void read(Json& value, const Place& place, std::optional<T>& out) {
    read(value, place, out.emplace());
}

template <class T>
void read(Json& value, const Place& place, std::vector<T>& out) {
    if (!value.is(json::Kind::array)) fail_expected(place, "a list", value);
    const auto items = value.items();
    out.clear();
    // Reserving for large elements would let a short text ask for much memory before the first one proved right.
    if constexpr (sizeof(T) <= sizeof(std::string)) out.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) read(items[i], Place(place, i), out.emplace_back());
}

template <class T>
void read(Json& value, const Place& place, std::map<std::string, T>& out) {
    if (!value.is(json::Kind::object)) fail_expected(place, "an object", value);
    out.clear();
    for (const auto& [key, member] : value.members()) {
        const Place here(place, key);
        refuse_nul(key, here);
        read(member, here, out.insert_or_assign(out.end(), std::string(key), T())->second);
    }
}

/// One object, and which of its members were taken; the others are rest().
class Object {
public:
    /// @throws Error(invalid) when `value` is no object
    Object(Json& value, const Place& place);

    const Place& place() const noexcept { return place_; }

    /// Reads the member into `out` and returns true; leaves `out` alone when the member is absent or null.
    template <class T>
    bool get(std::string_view name, T& out) {
        Json* member = take(name);
        if (member == nullptr) return false;
        read(*member, Place(place_, name), out);
        return true;
    }

    /// As get. @throws Error(invalid): `PLACE.NAME: missing`
    template <class T>
    void need(std::string_view name, T& out) {
        if (!get(name, out)) fail(Place(place_, name), "missing");
    }

    /// A string as it is, NUL bytes too: for what only people read (labels, authors).
    bool get_free_text(std::string_view name, std::string& out);
    bool get_free_text(std::string_view name, std::map<std::string, std::string>& out);

    /// The member itself, or null when it is absent or null. For shapes that need more than get.
    Json* take(std::string_view name);
    bool has(std::string_view name) const noexcept;

    /// The members that nobody took, as the text of one object; empty when there are none.
    std::string rest() const;

private:
    std::span<const json::Member> members_;
    const Place& place_;
    std::vector<bool> taken_;
};

}  // namespace locald::oci::reader
