#pragma once

#include <memory>

#include "cli/command.hpp"

namespace locald::cli {

// One file a command; table.cpp says how each is called.
std::unique_ptr<CommandBody> make_container_run();
std::unique_ptr<CommandBody> make_container_ls();
std::unique_ptr<CommandBody> make_container_exec();
std::unique_ptr<CommandBody> make_container_attach();
std::unique_ptr<CommandBody> make_container_logs();
std::unique_ptr<CommandBody> make_container_wait();
std::unique_ptr<CommandBody> make_container_stop();
std::unique_ptr<CommandBody> make_container_kill();
std::unique_ptr<CommandBody> make_container_rm();
std::unique_ptr<CommandBody> make_image_pull();
std::unique_ptr<CommandBody> make_image_ls();
std::unique_ptr<CommandBody> make_image_inspect();
std::unique_ptr<CommandBody> make_image_rm();
std::unique_ptr<CommandBody> make_image_import();
std::unique_ptr<CommandBody> make_image_export();
std::unique_ptr<CommandBody> make_image_copy();
std::unique_ptr<CommandBody> make_bundle_prepare();
std::unique_ptr<CommandBody> make_bundle_inspect();
std::unique_ptr<CommandBody> make_host_add();
std::unique_ptr<CommandBody> make_host_ls();
std::unique_ptr<CommandBody> make_host_use();
std::unique_ptr<CommandBody> make_host_show();
std::unique_ptr<CommandBody> make_host_rm();
std::unique_ptr<CommandBody> make_host_disconnect();
std::unique_ptr<CommandBody> make_admin_setup();
std::unique_ptr<CommandBody> make_admin_status();
std::unique_ptr<CommandBody> make_admin_remove();
std::unique_ptr<CommandBody> make_doctor();
std::unique_ptr<CommandBody> make_version();

}  // namespace locald::cli
