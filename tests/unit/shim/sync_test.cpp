#include "shim/base/sync.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "core/posix/syscalls.hpp"
#include "shim/seccomp/packet.hpp"

namespace {

using namespace locald;
using namespace locald::shim;

TEST(Sync, CarriesAPayload) {
    auto [a, b] = posix::make_socket_pair();
    send(a, Sync::execute, std::string(40000, 'x'));
    EXPECT_EQ(wait_for(b, Sync::execute), std::string(40000, 'x'));
    send(a, Sync::mapped);
    EXPECT_EQ(wait_for(b, Sync::mapped), "");
}

TEST(Sync, TreatsAClosedSocketAsFailure) {
    auto [a, b] = posix::make_socket_pair();
    a.reset();
    EXPECT_THROW(wait_for(b, Sync::mapped), Error);
    EXPECT_THROW(check_peer(b), Error);
}

TEST(Sync, KnowsThatAnOpenPeerIsThere) {
    auto [a, b] = posix::make_socket_pair();
    EXPECT_NO_THROW(check_peer(b));
    send(a, Sync::mapped);
    EXPECT_NO_THROW(check_peer(b));
    EXPECT_EQ(wait_for(b, Sync::mapped), "") << "a look takes nothing away";
}

TEST(Sync, RefusesAMessageOutOfOrder) {
    auto [a, b] = posix::make_socket_pair();
    send(a, Sync::execute);
    EXPECT_THROW(wait_for(b, Sync::mapped), Error);
}

TEST(Sync, ThrowsThePeersOwnError) {
    auto [a, b] = posix::make_socket_pair();
    send_error(a, Error(ErrorKind::command_not_found, "exec: no", 2).with_remedy("spell it"));
    try {
        wait_for(b, Sync::execute);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::command_not_found);
        EXPECT_EQ(e.os_errno(), 2);
        EXPECT_EQ(e.message(), "exec: no");
        EXPECT_EQ(e.remedy(), "spell it");
    }
}

TEST(Sync, HearsTheLastWordsOfAPeerThatReadNothing) {
    auto [a, b] = posix::make_socket_pair();
    send(b, Sync::execute);
    send_error(a, Error(ErrorKind::denied, "mount"));
    a.reset();  // with `execute` unread: the kernel says ECONNRESET first
    Message message;
    ASSERT_TRUE(receive(b, message));
    EXPECT_EQ(error_of(message).message(), "mount");
    EXPECT_FALSE(receive(b, message));
}

TEST(Sync, RefusesPacketsThatAreNoMessages) {
    auto [a, b] = posix::make_socket_pair();
    Message message;
    ASSERT_EQ(::send(a.get(), "x", 1, 0), 1);
    EXPECT_THROW(receive(b, message), Error);
    const std::uint32_t unknown = 99;
    ASSERT_EQ(::send(a.get(), &unknown, sizeof unknown, 0), 4);
    EXPECT_THROW(receive(b, message), Error);
    message.payload = "short";
    EXPECT_EQ(error_of(message).kind(), ErrorKind::system);
}

TEST(SeccompPacket, MayBeWithoutInstructions) {
    EXPECT_TRUE(unpack_filter(pack_filter(SeccompFilter(), 3)).filter.program.empty());
    EXPECT_EQ(unpack_filter(pack_filter(SeccompFilter(), 3)).pid, 3);
}

TEST(SeccompPacket, ComesBackAsItWent) {
    SeccompFilter filter;
    filter.program = {1, 2, 0xffffffffffffffffULL};
    filter.flags = 5;
    const auto back = unpack_filter(pack_filter(filter)).filter;
    EXPECT_EQ(back.program, filter.program);
    EXPECT_EQ(back.flags, 5U);
    EXPECT_THROW(unpack_filter("abc"), Error);
}

}  // namespace
