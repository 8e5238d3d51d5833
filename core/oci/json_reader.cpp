#include "core/oci/json_reader.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::oci::reader {

namespace {

constexpr std::size_t shown_bytes = 64;  // of a wrong value in a message

bool is_plain_word(std::string_view key) noexcept {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    });
}

std::string shown(Json& value) {
    switch (value.kind()) {
        case json::Kind::object:
            return "an object";
        case json::Kind::array:
            return "a list";
        case json::Kind::string:
            if (value.string().size() <= shown_bytes) return json_quote(value.string());
            return json_quote(value.string().substr(0, shown_bytes)) + "…";
        default:
            return std::string(value.raw());
    }
}

std::span<const json::Member> members_of(Json& value, const Place& place) {
    if (!value.is(json::Kind::object)) fail_expected(place, "an object", value);
    return value.members();
}

}  // namespace

std::string Place::str() const {
    std::string text = outer_ == nullptr ? std::string() : outer_->str();
    if (index_ != no_index) return text + "[" + std::to_string(index_) + "]";
    if (outer_ == nullptr) return std::string(key_);
    if (!is_plain_word(key_)) return text + "[" + json_quote(key_.substr(0, shown_bytes)) + "]";
    if (!text.empty()) text += '.';
    return text.append(key_);
}

void fail(const Place& place, std::string_view what) {
    const std::string where = place.str();
    throw Error(ErrorKind::invalid, (where.empty() ? "document" : where) + ": " + std::string(what));
}

void fail_expected(const Place& place, std::string_view expected, Json& got) {
    fail(place, "expected " + std::string(expected) + ", got " + shown(got));
}

std::uint64_t unsigned_at(Json& value, const Place& place, std::uint64_t max) {
    const auto number = value.as_unsigned();
    if (number && *number <= max) return *number;
    fail_expected(place, "0.." + std::to_string(max), value);
}

std::int64_t signed_at(Json& value, const Place& place, std::int64_t min, std::int64_t max) {
    const auto number = value.as_signed();
    if (number && *number >= min && *number <= max) return *number;
    fail_expected(place, std::to_string(min) + ".." + std::to_string(max), value);
}

void refuse_nul(std::string_view text, const Place& place) {
    if (text.find('\0') != std::string_view::npos) fail(place, "holds a NUL byte");
}

void read(Json& value, const Place& place, bool& out) {
    if (!value.is(json::Kind::boolean)) fail_expected(place, "true or false", value);
    out = value.boolean();
}

void read(Json& value, const Place& place, std::string& out) {
    if (!value.is(json::Kind::string)) fail_expected(place, "a string", value);
    refuse_nul(value.string(), place);
    out = value.string();
}

Object::Object(Json& value, const Place& place)
    : members_(members_of(value, place)), place_(place), taken_(members_.size(), false) {}

bool Object::get_free_text(std::string_view name, std::string& out) {
    Json* member = take(name);
    if (member == nullptr) return false;
    if (!member->is(json::Kind::string)) fail_expected(Place(place_, name), "a string", *member);
    out = member->string();
    return true;
}

bool Object::get_free_text(std::string_view name, std::map<std::string, std::string>& out) {
    Json* member = take(name);
    if (member == nullptr) return false;
    const Place place(place_, name);
    if (!member->is(json::Kind::object)) fail_expected(place, "an object", *member);
    for (const auto& [key, text] : member->members()) {
        if (!text.is(json::Kind::string)) fail_expected(Place(place, key), "a string", text);
        out.insert_or_assign(out.end(), std::string(key), text.string());
    }
    return true;
}

Json* Object::take(std::string_view name) {
    Json* found = nullptr;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (members_[i].key != name) continue;
        found = &members_[i].value;  // the last of several
        taken_[i] = true;
    }
    return found == nullptr || found->is(json::Kind::null) ? nullptr : found;
}

bool Object::has(std::string_view name) const noexcept {
    for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
        if (member->key == name) return !member->value.is(json::Kind::null);
    }
    return false;
}

std::string Object::rest() const {
    std::string text;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (taken_[i]) continue;
        text += text.empty() ? '{' : ',';
        append_json_quoted(text, members_[i].key);
        text += ':';
        json::append_compact(text, members_[i].value);
    }
    return text.empty() ? text : text + '}';
}

}  // namespace locald::oci::reader
