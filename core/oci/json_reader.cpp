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

std::string shown(const Json& value) {
    switch (value.type()) {
        case Json::value_t::object:
            return "an object";
        case Json::value_t::array:
            return "a list";
        case Json::value_t::string: {
            const auto& text = value.get_ref<const std::string&>();
            if (text.size() <= shown_bytes) return json_quote(text);
            return json_quote(std::string_view(text).substr(0, shown_bytes)) + "…";
        }
        default:
            return value.dump();
    }
}

/// The byte offset at which brackets nest deeper than max_depth; npos when they never do. Up to the first byte that is
/// no JSON it sees the same brackets as the parser, and the parser goes no further.
std::size_t find_too_deep(std::string_view text) noexcept {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (text[i]) {
            case '{':
            case '[':
                if (++depth > max_depth) return i;
                break;
            case '}':
            case ']':
                --depth;
                break;
            case '"':
                for (++i; i < text.size() && text[i] != '"'; ++i) {
                    if (text[i] == '\\') ++i;
                }
                break;
            default:
                break;
        }
    }
    return std::string_view::npos;
}

std::string position_of(std::string_view text, std::size_t byte) {
    const auto before = text.substr(0, std::min(byte, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_start = before.rfind('\n');
    const auto column = line_start == std::string_view::npos ? before.size() + 1 : before.size() - line_start;
    return "byte " + std::to_string(byte) + " (line " + std::to_string(line) + ", column " + std::to_string(column) +
           ")";
}

/// nlohmann's words without its own numbering and position: `[json.exception.…] parse error at line 1, column 5: …`.
std::string parser_words(std::string_view what) {
    constexpr std::string_view position = ", column ";
    const auto column = what.find(position);
    const auto colon = column == std::string_view::npos ? what.find("] ") : what.find(": ", column);
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
    constexpr std::size_t longest = 160;
    return what.size() <= longest ? std::string(what) : std::string(what.substr(0, longest)) + "…";
}

Json::object_t& members_of(Json& value, const Place& place) {
    if (!value.is_object()) fail_expected(place, "an object", value);
    return value.get_ref<Json::object_t&>();
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

void fail_expected(const Place& place, std::string_view expected, const Json& got) {
    fail(place, "expected " + std::string(expected) + ", got " + shown(got));
}

Json parse_document(std::string_view text) {
    if (trim(text).empty()) throw Error(ErrorKind::invalid, "not JSON: the text is empty");
    const auto deep = find_too_deep(text);
    if (deep != std::string_view::npos) {
        throw Error(ErrorKind::invalid,
                    position_of(text, deep) + ": nested deeper than " + std::to_string(max_depth) + " levels");
    }
    try {
        return Json::parse(text.begin(), text.end());
    } catch (const Json::parse_error& e) {
        // `byte` counts from 1 and stands on the last byte read, which is the wrong one.
        const std::size_t at = e.byte > 0 ? e.byte - 1 : 0;
        throw Error(ErrorKind::invalid, "not JSON at " + position_of(text, at) + ": " + parser_words(e.what()));
    } catch (const Json::exception& e) {
        throw Error(ErrorKind::invalid, "not JSON: " + parser_words(e.what()));
    }
}

std::uint64_t unsigned_at(const Json& value, const Place& place, std::uint64_t max) {
    if (value.is_number_integer()) {
        const bool negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
        const auto number = value.get<std::uint64_t>();
        if (!negative && number <= max) return number;
    }
    fail_expected(place, "0.." + std::to_string(max), value);
}

std::int64_t signed_at(const Json& value, const Place& place, std::int64_t min, std::int64_t max) {
    if (value.is_number_integer()) {
        const bool fits = !value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(max);
        const auto number = value.get<std::int64_t>();
        if (fits && number >= min && number <= max) return number;
    }
    fail_expected(place, std::to_string(min) + ".." + std::to_string(max), value);
}

void refuse_nul(const std::string& text, const Place& place) {
    if (text.find('\0') != std::string::npos) fail(place, "holds a NUL byte");
}

void read(Json& value, const Place& place, bool& out) {
    if (!value.is_boolean()) fail_expected(place, "true or false", value);
    out = value.get<bool>();
}

void read(Json& value, const Place& place, std::string& out) {
    if (!value.is_string()) fail_expected(place, "a string", value);
    out = std::move(value.get_ref<std::string&>());
    refuse_nul(out, place);
}

Object::Object(Json& value, const Place& place) : members_(members_of(value, place)), place_(place) {}

bool Object::get_free_text(std::string_view name, std::string& out) {
    Json* member = find(name);
    if (member == nullptr) return false;
    if (!member->is_string()) fail_expected(Place(place_, name), "a string", *member);
    out = std::move(member->get_ref<std::string&>());
    take(*member);
    return true;
}

bool Object::get_free_text(std::string_view name, std::map<std::string, std::string>& out) {
    Json* member = find(name);
    if (member == nullptr) return false;
    const Place place(place_, name);
    if (!member->is_object()) fail_expected(place, "an object", *member);
    for (auto& [key, text] : member->get_ref<Json::object_t&>()) {
        if (!text.is_string()) fail_expected(Place(place, key), "a string", text);
        out.emplace_hint(out.end(), key, std::move(text.get_ref<std::string&>()));
    }
    take(*member);
    return true;
}

Json* Object::find(std::string_view name) {
    const auto found = members_.find(name);
    if (found == members_.end()) return nullptr;
    if (!found->second.is_null()) return &found->second;
    take(found->second);
    return nullptr;
}

void Object::take(Json& member) {
    member = Json(Json::value_t::discarded);
    ++taken_;
}

std::string Object::rest() const {
    if (taken_ == members_.size()) return {};
    Json others = Json::object();
    auto& target = others.get_ref<Json::object_t&>();
    for (auto& [key, member] : members_) {
        if (!member.is_discarded()) target.emplace_hint(target.end(), key, std::move(member));
    }
    return others.dump();
}

}  // namespace locald::oci::reader
