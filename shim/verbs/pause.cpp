#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/state.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

struct Found {
    StateDir dir;
    Record record;
    std::string status;
};

Found find(const Globals& globals, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    StateDir dir = find_state(globals.root, id);
    Record record = dir.read();
    std::string status = dir.status(record);
    return {std::move(dir), std::move(record), std::move(status)};
}

int pause_container(const Globals& globals, Walker& walker) {
    const Found found = find(globals, walker);
    if (found.status != "running" && found.status != "created") {
        throw Error(ErrorKind::invalid, "pause " + found.dir.id() + ": container not running: it is " + found.status);
    }
    in_step("pause " + found.dir.id(), [&] { Cgroup::from_paths(found.record.cgroups).freeze(); });
    return 0;
}

int resume_container(const Globals& globals, Walker& walker) {
    const Found found = find(globals, walker);
    if (found.status != "paused") {
        throw Error(ErrorKind::invalid, "resume " + found.dir.id() + ": container not paused: it is " + found.status);
    }
    in_step("resume " + found.dir.id(), [&] { Cgroup::from_paths(found.record.cgroups).thaw(); });
    return 0;
}

}  // namespace

const Verb pause_verb{
    "pause", "  pause ID                           stop every process of the container where it is\n",
    "Usage: locald-shim [OPTION...] pause ID\n"
    "\n"
    "Stops every process of the container where it is and waits until all of them are; `resume` lets\n"
    "them go on. It needs a cgroup.\n",
    pause_container};

const Verb resume_verb{"resume", "  resume ID                          let a paused container go on\n",
                       "Usage: locald-shim [OPTION...] resume ID\n"
                       "\n"
                       "Lets every process of a paused container go on.\n",
                       resume_container};

}  // namespace locald::shim
