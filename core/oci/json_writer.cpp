#include "core/oci/json_writer.hpp"

#include <algorithm>

#include "core/base/json.hpp"
#include "core/base/text.hpp"

namespace locald::oci::writer {

void Text::add_string(std::string_view text, const Place& place) {
    if (!append_json_quoted(text_, text)) reader::fail(place, "is not UTF-8");
}

Place Object::key(std::string_view name) {
    if (text_.str().size() > start_ + 1) text_.add(",");
    if (!append_json_quoted(text_.str(), name)) reader::fail(place_, "has a member whose name is not UTF-8");
    text_.add(":");
    return {place_, name};
}

void put_unknown(Object& object, const std::string& unknown) {
    if (unknown.empty()) return;
    const json::Document others(unknown);
    if (!others.root().is(json::Kind::object)) {
        reader::fail_expected(Place("unknown members"), "an object", others.root());
    }
    const std::string present = std::string(object.so_far()) + "}";
    const json::Document known(present);
    for (const auto& [key, value] : others.root().members()) {
        const auto members = known.root().members();
        if (std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.key == key; }))
            continue;
        static_cast<void>(object.key(key));
        json::append_compact(object.text().str(), value);
    }
}

std::string indented(const std::string& compact) {
    std::string out;
    std::size_t depth = 0;
    const auto new_line = [&] { out.append("\n").append(depth, '\t'); };
    for (std::size_t i = 0; i < compact.size(); ++i) {
        const char c = compact[i];
        if (c == '"') {
            std::size_t end = i + 1;
            while (compact[end] != '"') end += compact[end] == '\\' ? 2U : 1U;
            out.append(compact, i, end + 1 - i);
            i = end;
        } else if (c == '{' || c == '[') {
            out += c;
            if (compact[i + 1] == '}' || compact[i + 1] == ']') {
                out += compact[++i];
            } else {
                ++depth;
                new_line();
            }
        } else if (c == '}' || c == ']') {
            --depth;
            new_line();
            out += c;
        } else {
            out += c;
            if (c == ',') new_line();
            if (c == ':') out += ' ';
        }
    }
    return out;
}

}  // namespace locald::oci::writer
