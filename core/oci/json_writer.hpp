#pragma once

// Private to core/oci: builds documents whose members keep the order in which they are put. What equals "absent" (an
// empty optional, list, map or string, a false flag) is left out, as the specs' own Go types do.

#include <nlohmann/json.hpp>

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/digest.hpp"

namespace locald::oci::writer {

using Json = nlohmann::ordered_json;

/// Appends without looking for the key first, which would make large objects quadratic.
inline void put(Json& object, std::string_view key, Json value) {
    object.get_ref<Json::object_t&>().emplace_back(std::string(key), std::move(value));
}

template <class T>
    requires std::is_arithmetic_v<T> || std::same_as<T, std::string>
Json write(const T& value) {
    return Json(value);
}

inline Json write(const Digest& digest) { return Json(digest.str()); }

template <class T>
Json write(const std::vector<T>& items) {
    Json list = Json::array();
    list.get_ref<Json::array_t&>().reserve(items.size());
    for (const auto& item : items) list.push_back(write(item));
    return list;
}

template <class T>
Json write(const std::map<std::string, T>& members) {
    Json object = Json::object();
    for (const auto& [key, value] : members) put(object, key, write(value));
    return object;
}

/// Puts a member that is always there.
template <class T>
void put_always(Json& object, std::string_view key, const T& value) {
    put(object, key, write(value));
}

/// Puts a member unless it equals absent.
template <std::same_as<bool> T>
void put_some(Json& object, std::string_view key, T value) {
    if (value) put(object, key, Json(true));
}
template <class T>
    requires requires(const T& value) { value.empty(); }
void put_some(Json& object, std::string_view key, const T& value) {
    if (!value.empty()) put(object, key, write(value));
}
template <class T>
void put_some(Json& object, std::string_view key, const std::optional<T>& value) {
    if (value) put(object, key, write(*value));
}

/// Appends the members of `unknown` (an object as text, or empty) that are not there yet.
/// @throws Error(invalid) when it is no object
void put_unknown(Json& object, const std::string& unknown);

/// @throws Error(invalid) that names the place of a text that is not UTF-8, which JSON cannot hold
std::string text_of(const Json& document, bool pretty);

}  // namespace locald::oci::writer
