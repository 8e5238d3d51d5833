#include <limits>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "shim/container/state.hpp"

namespace locald::shim {

namespace {

Error corrupt(const std::string& what) {
    return Error(ErrorKind::corrupt, "state.json: " + what)
        .with_remedy("`locald-shim delete --force ID` removes the container");
}

/// state.json while it is taken apart. What a version of ours does not know is passed over.
class Fields {
public:
    explicit Fields(const json::Value& whole) : whole_(whole) {
        if (!whole.is(json::Kind::object)) throw corrupt("expected an object");
    }

    Fields part(std::string_view key) const { return Fields(need(key)); }
    std::string text(std::string_view key) const { return text_of(need(key), key); }
    std::string text_or_empty(std::string_view key) const {
        const json::Value* value = find(key);
        return value == nullptr ? std::string() : text_of(*value, key);
    }

    template <class Number>
    Number number(std::string_view key) const {
        const json::Value& value = need(key);
        const auto number = value.as_unsigned();
        if (!number || *number > static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) {
            throw corrupt(std::string(key) + ": expected a number, got " + std::string(value.raw().substr(0, 64)));
        }
        return static_cast<Number>(*number);
    }

    bool flag(std::string_view key, bool otherwise) const {
        const json::Value* value = find(key);
        if (value == nullptr) return otherwise;
        if (!value->is(json::Kind::boolean)) throw corrupt(std::string(key) + ": expected true or false");
        return value->boolean();
    }

    std::vector<std::string> texts(std::string_view key) const {
        std::vector<std::string> list;
        const json::Value& value = need(key);
        if (!value.is(json::Kind::array)) throw corrupt(std::string(key) + ": expected a list");
        for (const auto& item : value.items()) list.push_back(text_of(item, key));
        return list;
    }

    oci::Annotations annotations(std::string_view key) const {
        oci::Annotations all;
        const json::Value& value = need(key);
        if (!value.is(json::Kind::object)) throw corrupt(std::string(key) + ": expected an object");
        for (const auto& [name, text] : value.members()) {
            all.insert_or_assign(all.end(), std::string(name), text_of(text, key));
        }
        return all;
    }

    bool has(std::string_view key) const { return find(key) != nullptr; }

private:
    static std::string text_of(const json::Value& value, std::string_view key) {
        if (!value.is(json::Kind::string)) throw corrupt(std::string(key) + ": expected a string");
        return std::string(value.string());
    }

    const json::Value* find(std::string_view key) const {
        for (const auto& member : whole_.members()) {
            if (member.key == key) return &member.value;
        }
        return nullptr;
    }

    const json::Value& need(std::string_view key) const {
        const json::Value* value = find(key);
        if (value == nullptr) throw corrupt(std::string(key) + " is missing");
        return *value;
    }

    const json::Value& whole_;
};

void append(std::string& json, std::string_view name, std::string_view text) {
    json += name;
    append_json_quoted(json, text);
}

void append(std::string& json, std::string_view name, const std::vector<std::string>& list) {
    json += name;
    json += '[';
    for (const auto& text : list) append(json, &text == &list.front() ? "" : ",", text);
    json += ']';
}

}  // namespace

std::string to_json(const Record& record) {
    const oci::State& state = record.state;
    std::string json;
    constexpr std::size_t around = 8, rest = 1024;
    std::size_t expected = rest;
    for (const auto& [key, value] : state.annotations) expected += key.size() + value.size() + around;
    json.reserve(expected);
    append(json, "{\"ociVersion\":", state.oci_version);
    append(json, ",\"id\":", state.id);
    append(json, ",\"status\":", state.status);
    json += ",\"pid\":" + std::to_string(state.pid);
    append(json, ",\"bundle\":", state.bundle);
    append(json, ",\"rootfs\":", state.rootfs);
    append(json, ",\"created\":", state.created);
    json += ",\"annotations\":{";
    bool first = true;
    for (const auto& [key, value] : state.annotations) {
        append(json, std::exchange(first, false) ? "" : ",", key);
        append(json, ":", value);
    }
    json += "},\"startTime\":" + std::to_string(record.start_time) + ",\"shimPid\":" + std::to_string(record.shim_pid) +
            ",\"shimStartTime\":" + std::to_string(record.shim_start_time);
    append(json, ",\"cgroups\":", record.cgroups);
    append(json, ",\"resctrl\":", record.resctrl);
    if (record.shared_root) {
        const SharedRoot& shared = *record.shared_root;
        json += ",\"sharedRoot\":{\"mountNamespace\":" + std::to_string(shared.mount_namespace);
        append(json, ",\"namespacePath\":", shared.namespace_path);
        json += ",\"mount\":" + std::to_string(shared.mount) +
                ",\"uniqueMount\":" + std::to_string(shared.unique_mount) +
                ",\"device\":" + std::to_string(shared.device) + ",\"inode\":" + std::to_string(shared.inode);
        append(json, ",\"place\":", shared.place);
        json += '}';
    }
    if (!record.systemd_unit.empty()) append(json, ",\"systemdUnit\":", record.systemd_unit);
    if (!record.keyring) json += ",\"keyring\":false";
    if (!record.process) json += ",\"process\":false";
    if (record.poststart) json += ",\"poststart\":true";
    if (record.poststop) json += ",\"poststop\":true";
    return json + "}\n";
}

Record parse_record(const std::string& json) {
    const auto document = [&] {
        try {
            return json::Document(json);
        } catch (const Error& e) {
            throw corrupt(e.what());
        }
    }();
    const Fields fields(document.root());
    Record record;
    oci::State& state = record.state;
    state.oci_version = fields.text("ociVersion");
    state.id = fields.text("id");
    state.status = fields.text("status");
    state.pid = fields.number<int>("pid");
    state.bundle = fields.text("bundle");
    state.rootfs = fields.text("rootfs");
    state.created = fields.text("created");
    state.annotations = fields.annotations("annotations");
    record.start_time = fields.number<std::uint64_t>("startTime");
    record.shim_pid = fields.number<pid_t>("shimPid");
    record.shim_start_time = fields.number<std::uint64_t>("shimStartTime");
    record.cgroups = fields.texts("cgroups");
    if (fields.has("resctrl")) record.resctrl = fields.texts("resctrl");
    if (fields.has("sharedRoot")) {
        const Fields part = fields.part("sharedRoot");
        SharedRoot& shared = record.shared_root.emplace();
        shared.mount_namespace = part.number<std::uint64_t>("mountNamespace");
        shared.namespace_path = part.text("namespacePath");
        shared.mount = part.number<std::uint64_t>("mount");
        shared.unique_mount = part.number<std::uint64_t>("uniqueMount");
        shared.device = part.number<std::uint64_t>("device");
        shared.inode = part.number<std::uint64_t>("inode");
        shared.place = part.text("place");
    }
    record.systemd_unit = fields.text_or_empty("systemdUnit");
    record.keyring = fields.flag("keyring", true);
    record.process = fields.flag("process", true);
    record.poststart = fields.flag("poststart", false);
    record.poststop = fields.flag("poststop", false);
    return record;
}

}  // namespace locald::shim
