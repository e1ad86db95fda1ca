// SPDX-License-Identifier: Apache-2.0
//
// The peer on libevent: its loop and a persistent event per connection, one receive buffer for all, each read answered
// at once; what the socket does not take waits in an evbuffer, and reading waits for it. (A bufferevent reads 4 KiB at
// a time in libevent 2.1.)
//
// usage: libevent_echo PORT      prints `listening on 127.0.0.1:PORT`

#include "peer.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/listener.h>

static char received[64 * 1024];

struct connection {
    struct event *readable, *writable;
    struct evbuffer *rest;  // Made when first needed.
};

static void end(struct connection *connection) {
    close(event_get_fd(connection->readable));
    event_free(connection->readable);
    if (connection->writable) event_free(connection->writable);
    if (connection->rest) evbuffer_free(connection->rest);
    free(connection);
}

static void write_rest(evutil_socket_t descriptor, short what, void *context) {
    (void)what;
    struct connection *connection = context;
    if (evbuffer_write(connection->rest, descriptor) < 0 && errno != EAGAIN) return end(connection);
    if (evbuffer_get_length(connection->rest) > 0) return;
    event_del(connection->writable);
    event_add(connection->readable, NULL);
}

static void answer(evutil_socket_t descriptor, short what, void *context) {
    (void)what;
    struct connection *connection = context;
    ssize_t count = recv(descriptor, received, sizeof received, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return end(connection);
    ssize_t written = send(descriptor, received, (size_t)count, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) return end(connection);
    if (written == count) return;

    if (written < 0) written = 0;
    if (!connection->rest) {
        struct event_base *base = event_get_base(connection->readable);
        connection->rest = evbuffer_new();
        connection->writable = event_new(base, descriptor, EV_WRITE | EV_PERSIST, write_rest, connection);
    }
    evbuffer_add(connection->rest, received + written, (size_t)(count - written));
    event_del(connection->readable);
    event_add(connection->writable, NULL);
}

static void accepted(
    struct evconnlistener *listener, evutil_socket_t descriptor, struct sockaddr *peer, int length, void *context
) {
    (void)peer, (void)length, (void)context;
    set_no_delay(descriptor);
    struct connection *connection = calloc(1, sizeof *connection);
    struct event_base *base = evconnlistener_get_base(listener);
    connection->readable = event_new(base, descriptor, EV_READ | EV_PERSIST, answer, connection);
    event_add(connection->readable, NULL);
}

int main(int argc, char **argv) {
    int listener = listen_on(argc, argv);
    struct event_config *configuration = event_config_new();
    event_config_set_flag(configuration, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(configuration);
    if (!base || !evconnlistener_new(base, accepted, NULL, LEV_OPT_CLOSE_ON_FREE, 0, listener))
        return fail("libevent", errno);
    return event_base_dispatch(base) < 0;
}
