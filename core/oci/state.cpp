#include "core/oci/state.hpp"

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/oci/json_reader.hpp"
#include "core/oci/json_writer.hpp"

namespace locald::oci {

using writer::put_always;
using writer::put_some;

State parse_state(std::string_view json) {
    static constexpr std::array<std::string_view, 5> known{"creating", "created", "running", "stopped", "paused"};
    auto document = reader::parse_document(json);
    const reader::Place place;
    reader::Object object(document, place);
    State state;
    object.need("ociVersion", state.oci_version);
    object.need("id", state.id);
    object.need("status", state.status);
    if (std::find(known.begin(), known.end(), state.status) == known.end()) {
        reader::fail(reader::Place(place, "status"), "expected creating, created, running, stopped or paused, got " +
                                                         json_quote(state.status.substr(0, 64)));
    }
    object.get("pid", state.pid);
    if (state.pid < 0) {
        reader::fail(reader::Place(place, "pid"), "expected a process id, got " + std::to_string(state.pid));
    }
    object.need("bundle", state.bundle);
    object.get("rootfs", state.rootfs);
    object.get("created", state.created);
    object.get("owner", state.owner);
    object.get("annotations", state.annotations);
    return state;
}

std::string to_hook_json(const State& state) {
    writer::Json object = writer::Json::object();
    put_always(object, "ociVersion", state.oci_version);
    put_always(object, "id", state.id);
    put_always(object, "status", state.status);
    put_always(object, "pid", state.pid);
    put_always(object, "bundle", state.bundle);
    put_some(object, "annotations", state.annotations);
    return writer::text_of(object, false);
}

std::string to_json(const State& state, bool pretty) {
    writer::Json object = writer::Json::object();
    put_always(object, "ociVersion", state.oci_version);
    put_always(object, "id", state.id);
    put_always(object, "pid", state.pid);
    put_always(object, "status", state.status);
    put_always(object, "bundle", state.bundle);
    put_always(object, "rootfs", state.rootfs);
    put_always(object, "created", state.created);
    put_some(object, "annotations", state.annotations);
    put_always(object, "owner", state.owner);
    return writer::text_of(object, pretty);
}

}  // namespace locald::oci
