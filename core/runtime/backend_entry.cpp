#include "core/runtime/backend_entry.hpp"

#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::runtime {

namespace {

std::string names_of(const BackendTable& table) {
    std::string names;
    for (const auto& entry : table.entries) names.append(names.empty() ? "" : ", ").append(entry.name);
    return names;
}

[[noreturn]] void refuse(const BackendTable& table, std::string what, std::string way_out) {
    throw Error(ErrorKind::unsupported_platform,
                "run containers on " + std::string(table.platform) + ": " + std::move(what))
        .with_remedy(std::move(way_out));
}

}  // namespace

std::unique_ptr<ContainerRuntime> choose_backend(const BackendTable& table, const RuntimeChoice& choice) {
    if (!choice.host.empty() && table.remote != nullptr && choice.backend.empty()) return table.remote->make(choice);
    if (!choice.host.empty() && table.remote != nullptr) {
        throw Error(ErrorKind::invalid, "use the backend " + json_quote(choice.backend) + " and the host " +
                                            json_quote(without_query(choice.host)) + ": a host has its own backend")
            .with_remedy("leave out --backend, or --host");
    }
    if (!choice.host.empty()) {
        refuse(table, "this build has no backend for remote hosts (" + json_quote(without_query(choice.host)) + ")",
               "run the command on that host, without --host");
    }
    if (table.entries.empty()) refuse(table, std::string(table.missing), std::string(table.way_out));
    if (choice.backend.empty()) return table.entries.front().make(choice);
    for (const auto& entry : table.entries) {
        if (entry.name == choice.backend) return entry.make(choice);
    }
    if (choice.backend == "lima") {
        refuse(table, "the backend lima runs containers from macOS in a Lima virtual machine",
               "here use --backend " + names_of(table) + ", or none");
    }
    if (choice.backend == "wsl") {
        refuse(table, "the backend wsl runs containers from Windows in a WSL2 distribution",
               "here use --backend " + names_of(table) + ", or none");
    }
    refuse(table, "there is no backend " + json_quote(choice.backend), "backends here: " + names_of(table));
}

}  // namespace locald::runtime
