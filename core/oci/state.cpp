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
    const json::Document document(json);
    const reader::Place place;
    reader::Object object(document.root(), place);
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

// (Not in an unnamed namespace, where the templates of the writer would not look.)

/// What hooks are told (runtime.md, "State") and what `state` prints differ in order and members.
struct HookState {
    const State& state;
};

static void write(writer::Text& text, const writer::Place& place, const HookState& hook) {
    writer::Object object(text, place);
    put_always(object, "ociVersion", hook.state.oci_version);
    put_always(object, "id", hook.state.id);
    put_always(object, "status", hook.state.status);
    put_always(object, "pid", hook.state.pid);
    put_always(object, "bundle", hook.state.bundle);
    put_some(object, "annotations", hook.state.annotations);
    object.close();
}

static void write(writer::Text& text, const writer::Place& place, const State& state) {
    writer::Object object(text, place);
    put_always(object, "ociVersion", state.oci_version);
    put_always(object, "id", state.id);
    put_always(object, "pid", state.pid);
    put_always(object, "status", state.status);
    put_always(object, "bundle", state.bundle);
    put_always(object, "rootfs", state.rootfs);
    put_always(object, "created", state.created);
    put_some(object, "annotations", state.annotations);
    put_always(object, "owner", state.owner);
    object.close();
}

std::string to_hook_json(const State& state) { return writer::text_of(HookState{state}, false); }

std::string to_json(const State& state, bool pretty) { return writer::text_of(state, pretty); }

}  // namespace locald::oci
