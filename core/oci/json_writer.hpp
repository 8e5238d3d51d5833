#pragma once

// Private to core/oci: writes values straight into the text of a document, members in the order in which they are put.
// What equals "absent" (an empty optional, list, map or string, a false flag) is left out, as the specs' own Go types
// do.

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/digest.hpp"
#include "core/oci/json_reader.hpp"

namespace locald::oci::writer {

using reader::Place;

/// The text of a document while it is written.
class Text {
public:
    void add(std::string_view raw) { text_ += raw; }
    /// @throws Error(invalid) that names the place of a text that is not UTF-8, which JSON cannot hold
    void add_string(std::string_view text, const Place& place);
    std::string& str() noexcept { return text_; }

private:
    std::string text_;
};

/// One object while its members are put.
class Object {
public:
    Object(Text& text, const Place& place) : text_(text), place_(place), start_(text.str().size()) { text.add("{"); }
    void close() { text_.add("}"); }

    /// The place for the value that follows, with the name before it.
    Place key(std::string_view name);
    Text& text() noexcept { return text_; }
    /// What was put so far.
    std::string_view so_far() const noexcept { return std::string_view(text_.str()).substr(start_); }

private:
    Text& text_;
    const Place& place_;
    std::size_t start_;
};

inline void write(Text& text, const Place& /*place*/, bool value) { text.add(value ? "true" : "false"); }
template <std::integral T>
    requires(!std::same_as<T, bool>)
void write(Text& text, const Place& /*place*/, T value) {
    text.add(std::to_string(value));
}
inline void write(Text& text, const Place& place, const std::string& value) { text.add_string(value, place); }
inline void write(Text& text, const Place& place, const Digest& digest) { text.add_string(digest.str(), place); }

template <class T>
void write(Text& text, const Place& place, const std::vector<T>& items) {
    text.add("[");
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) text.add(",");
        write(text, Place(place, i), items[i]);
    }
    text.add("]");
}

template <class T>
void write(Text& text, const Place& place, const std::map<std::string, T>& members) {
    Object object(text, place);
    for (const auto& [key, value] : members) write(text, object.key(key), value);
    object.close();
}

/// Puts a member that is always there.
template <class T>
void put_always(Object& object, std::string_view key, const T& value) {
    write(object.text(), object.key(key), value);
}

/// Puts a member unless it equals absent.
template <std::same_as<bool> T>
void put_some(Object& object, std::string_view key, T value) {
    if (value) put_always(object, key, true);
}
template <class T>
    requires requires(const T& value) { value.empty(); }
void put_some(Object& object, std::string_view key, const T& value) {
    if (!value.empty()) put_always(object, key, value);
}
template <class T>
void put_some(Object& object, std::string_view key, const std::optional<T>& value) {
    if (value) put_always(object, key, *value);
}

/// Appends the members of `unknown` (an object as text, or empty) that are not there yet.
/// @throws Error(invalid) when it is no object
void put_unknown(Object& object, const std::string& unknown);

/// A document of its own of what a write() of its type makes of `value`.
/// @param pretty  one member or item a line, tabs in front
std::string indented(const std::string& compact);
template <class T>
std::string text_of(const T& value, bool pretty) {
    Text text;
    write(text, Place(), value);
    return pretty ? indented(text.str()) : std::move(text.str());
}

}  // namespace locald::oci::writer
