// The command line of the shim: every verb's options, read and not carried out. The first byte says which verb's, then
// the words, a NUL after each.

#include <array>
#include <string>
#include <vector>

#include "core/base/text.hpp"
#include "shim/cgroup/exec_cgroup.hpp"
#include "shim/options/global_options.hpp"
#include "shim/options/options.hpp"
#include "shim/verbs/exec_options.hpp"
#include "shim/verbs/update_options.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace locald;
using namespace locald::shim;
using fuzz::need;
using Words = std::vector<std::string>;

void read_globals_of(const Words& words) {
    const CommandLine line = read_globals(words);
    need(line.at <= words.size());
    if (line.wanted != Wanted::verb) return;
    need(line.at == words.size() || !words[line.at].starts_with('-'));
    need(line.globals.root != "/");
}

void read_exec(const Words& words, Walker& walker) {
    const ExecOptions options = parse_exec({}, walker);
    need(words.size() > options.args.size());
    if (!options.process_file.empty()) return;
    const oci::Process process = exec_process(options, std::nullopt);
    need(!process.args.empty() && process.cwd.starts_with('/') && process.user.uid != ~0U && process.user.gid != ~0U);
    need(!process.capabilities || process.capabilities->inheritable.empty());
    // No container to look for it in: every argument is refused, by its text or as not found.
    if (!options.cgroup.empty()) need(!fuzz::accepted([&] { ExecCgroup({}, options.cgroup); }));
}

void read_update(Walker& walker) {
    const UpdateOptions update = parse_update(walker);
    const auto& memory = *update.resources.memory;
    for (const auto& size : {memory.limit, memory.reservation, memory.swap}) need(!size || *size >= -1);
}

void read_words(unsigned verb, const Words& words) {
    Walker walker(words, 0, "verb");
    switch (verb % 6) {
        case 0:
            return read_globals_of(words);
        case 1:
            need(!parse_make({}, walker, true).id.empty() || words.size() == 1 || walker.arguments()[0].empty());
            return;
        case 2:
            parse_make({}, walker, false);
            return;
        case 3:
            need(!parse_bundle({}, walker).id.empty());
            return;
        case 4:
            return read_exec(words, walker);
        default:
            return read_update(walker);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view rest = fuzz::text_of(data + 1, size - 1);
    Words words;
    while (!rest.empty()) words.emplace_back(fuzz::take_part(rest, '\0'));
    try {
        fuzz::accepted([&] { read_words(data[0], words); });
    } catch (const UsageError& e) {
        need(e.exit_code() == 2);
    } catch (const HelpWanted&) {
    }
    return 0;
}
