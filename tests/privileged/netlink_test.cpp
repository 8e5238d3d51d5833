#include "shim/namespaces/netlink.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"

namespace {

using locald::posix::UniqueFd;
using locald::shim::Netlink;
using locald::shim::NetlinkMessage;

/// A refusal as the kernel would word it, from a process of the same network namespace.
ssize_t forge_refusal(std::uint32_t sequence) {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct {
        nlmsghdr header;
        nlmsgerr error;
    } forged{};
    forged.header.nlmsg_len = sizeof forged;
    forged.header.nlmsg_type = NLMSG_ERROR;
    forged.header.nlmsg_seq = sequence;
    forged.error.error = -EPERM;
    sockaddr_nl target{};
    target.nl_family = AF_NETLINK;
    target.nl_pid = static_cast<__u32>(::getpid());  // the first socket of a process gets its id
    return ::sendto(socket.get(), &forged, sizeof forged, 0, reinterpret_cast<const sockaddr*>(&target), sizeof target);
}

TEST(Netlink, ListensToTheKernelAlone) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    const UniqueFd home = locald::posix::open("/proc/self/ns/net", O_RDONLY);
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    Netlink netlink;
    const NetlinkMessage request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    EXPECT_EQ(netlink.call(request, "list interfaces"), 0);
    const ssize_t sent = forge_refusal(2);
    int links = 0;
    const int err = netlink.call(request, "list interfaces", [&](const nlmsghdr&) { ++links; });
    ASSERT_EQ(::setns(home.get(), CLONE_NEWNET), 0);
    EXPECT_GT(sent, 0) << std::strerror(errno);
    EXPECT_EQ(err, 0);
    EXPECT_GE(links, 1);
}

}  // namespace
