#include <ctime>

#include "cli/commands/commands.hpp"
#include "cli/container_list.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::size_t command_columns = 20;

class ContainerLs final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("-a,--all", all_, "Also those that do not run");
        flags.flag("-q,--ids", ids_, "Print ids only");
        flags.flag("--no-trunc", full_, "Do not shorten ids and commands");
        flags.text("--format", "table|json", format_, "A table (default), or one line of JSON a container");
        flags.list("-f,--filter", "KEY=VALUE", filters_, "Only those with this status, name, id or ancestor (image)");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        if (format_ != "table" && format_ != "json") {
            throw Error(ErrorKind::invalid, "--format " + json_quote(format_) + ": expected table or json");
        }
        const ContainerFilter filter(filters_);
        const auto runtime = runtime::make_runtime(globals.choice());
        auto containers = runtime->containers();
        std::erase_if(containers, [&](const auto& one) {
            const bool runs = one.status == runtime::ContainerInfo::Status::running;
            return !(runs || all_ || filter.names_status()) || !filter.takes(one);
        });
        print(ids_ ? ids(containers) : format_ == "json" ? json(containers) : table(containers));
        return 0;
    }

private:
    std::string shown_id(const std::string& id) const { return full_ ? id : short_container_id(id); }

    std::string ids(const std::vector<runtime::ContainerInfo>& containers) const {
        std::string lines;
        for (const auto& one : containers) lines += shown_id(one.id) + "\n";
        return lines;
    }

    static std::string json(const std::vector<runtime::ContainerInfo>& containers) {
        std::string lines;
        for (const auto& one : containers) lines += container_json(one, std::time(nullptr));
        return lines;
    }

    std::string table(const std::vector<runtime::ContainerInfo>& containers) const {
        const std::int64_t now = std::time(nullptr);
        Table table({"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS"});
        for (const auto& one : containers) {
            table.add(
                {shown_id(one.id), one.image, command(one), human_age(one.created, now), container_status(one, now)});
        }
        return table.str();
    }

    std::string command(const runtime::ContainerInfo& container) const {
        std::string text;
        for (const auto& word : container.command) text += (text.empty() ? "" : " ") + word;
        if (full_ || text_columns(text) <= command_columns) return text;
        std::size_t end = 0;
        for (std::size_t columns = 0; columns + 1 < command_columns; ++columns) {
            end += std::max<std::size_t>(1, utf8_length(std::string_view(text).substr(end)));
        }
        return text.substr(0, end) + "…";
    }

    bool all_ = false, ids_ = false, full_ = false;
    std::string format_ = "table";
    std::vector<std::string> filters_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_ls() { return make_body<ContainerLs>(); }

}  // namespace locald::cli
