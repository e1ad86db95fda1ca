// SPDX-License-Identifier: Apache-2.0
//
// The peer on Boost.Asio: one io_context without locks, a session with a buffer per connection, each read answered at
// once. (Waiting for readiness, to share a buffer, costs an epoll_ctl per message.)
//
// usage: asio_echo PORT      prints `listening on 127.0.0.1:PORT`

#define BOOST_ASIO_DISABLE_THREADS
#include "peer.h"

#include <boost/asio.hpp>
#include <memory>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct Session : std::enable_shared_from_this<Session> {
    tcp::socket socket;
    char bytes[64 * 1024];

    explicit Session(tcp::socket &&accepted) : socket(std::move(accepted)) {}

    void read() {
        socket.async_read_some(asio::buffer(bytes), [self = shared_from_this()](error_code error, size_t count) {
            if (!error) self->answer(count);
        });
    }

    void answer(size_t count) {
        error_code error;
        size_t written = socket.write_some(asio::buffer(bytes, count), error);
        if (error && error != asio::error::would_block) return;
        if (written == count) return read();
        auto rest = asio::buffer(bytes + written, count - written);
        asio::async_write(socket, rest, [self = shared_from_this()](error_code failure, size_t) {
            if (!failure) self->read();
        });
    }
};

static void accept_next(tcp::acceptor &acceptor) {
    acceptor.async_accept([&acceptor](error_code error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true), error);
            socket.non_blocking(true, error);
            std::make_shared<Session>(std::move(socket))->read();
        }
        accept_next(acceptor);
    });
}

int main(int argc, char **argv) {
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    tcp::acceptor acceptor(context, tcp::v4(), listen_on(argc, argv));
    accept_next(acceptor);
    context.run();
}
