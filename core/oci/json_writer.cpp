#include "core/oci/json_writer.hpp"

#include "core/oci/json_reader.hpp"

namespace locald::oci::writer {

namespace {

bool is_json_text(const std::string& text) {
    try {
        static_cast<void>(Json(text).dump());
        return true;
    } catch (const Json::type_error&) {
        return false;
    }
}

/// Throws for the first text below `value` that is not UTF-8; only called when there is one.
void refuse_bad_text(const Json& value, const reader::Place& place) {
    if (value.is_string() && !is_json_text(value.get_ref<const std::string&>())) reader::fail(place, "is not UTF-8");
    if (value.is_array()) {
        std::size_t index = 0;
        for (const auto& item : value) refuse_bad_text(item, reader::Place(place, index++));
    }
    if (value.is_object()) {
        for (const auto& [key, member] : value.get_ref<const Json::object_t&>()) {
            if (!is_json_text(key)) reader::fail(place, "has a member whose name is not UTF-8");
            refuse_bad_text(member, reader::Place(place, key));
        }
    }
}

}  // namespace

void put_unknown(Json& object, const std::string& unknown) {
    if (unknown.empty()) return;
    const auto members = reader::parse_document(unknown);
    if (!members.is_object()) reader::fail_expected(reader::Place("unknown members"), "an object", members);
    // Compared with the few that were there before only: unknown members are unique among themselves, and may be many.
    const auto& present = object.get_ref<const Json::object_t&>();
    const auto known = present.size();
    for (const auto& [key, value] : members.get_ref<const reader::Json::object_t&>()) {
        bool taken = false;
        for (std::size_t i = 0; i < known && !taken; ++i)
            taken = (present.begin() + static_cast<std::ptrdiff_t>(i))->first == key;
        if (!taken) put(object, key, Json(value));
    }
}

std::string text_of(const Json& document, bool pretty) {
    try {
        return pretty ? document.dump(1, '\t') : document.dump();
    } catch (const Json::type_error&) {
        refuse_bad_text(document, reader::Place());
        throw;
    }
}

}  // namespace locald::oci::writer
