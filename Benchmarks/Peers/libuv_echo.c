// SPDX-License-Identifier: Apache-2.0
//
// The peer on libuv: one loop, one receive buffer for all connections, each read answered at once (uv_try_write); what
// the socket does not take is copied, and reading waits until it has left.
//
// usage: libuv_echo PORT      prints `listening on 127.0.0.1:PORT`

#include "peer.h"

#include <uv.h>

static char received[64 * 1024];

struct rest {
    uv_write_t request;
    char bytes[];
};

static void closed(uv_handle_t *handle) {
    free(handle);
}

static void end(uv_stream_t *stream) {
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, closed);
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(received, sizeof received);
}

static void read_some(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

static void rest_written(uv_write_t *request, int status) {
    uv_stream_t *stream = request->handle;
    free(request);
    if (status < 0) end(stream);
    else uv_read_start(stream, lend_buffer, read_some);
}

static void read_some(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0) return end(stream);
    uv_buf_t bytes = uv_buf_init(buffer->base, (unsigned)count);
    int written = count > 0 ? uv_try_write(stream, &bytes, 1) : 0;
    if (written == UV_EAGAIN) written = 0;
    if (written < 0) return end(stream);
    if (written == count) return;

    size_t left = (size_t)(count - written);
    struct rest *rest = malloc(sizeof *rest + left);
    memcpy(rest->bytes, buffer->base + written, left);
    bytes = uv_buf_init(rest->bytes, (unsigned)left);
    uv_read_stop(stream);
    if (uv_write(&rest->request, stream, &bytes, 1, rest_written) < 0) {
        free(rest);
        end(stream);
    }
}

static void connected(uv_stream_t *listener, int status) {
    if (status < 0) return;
    uv_tcp_t *connection = malloc(sizeof *connection);
    uv_tcp_init(listener->loop, connection);
    if (uv_accept(listener, (uv_stream_t *)connection) < 0) return end((uv_stream_t *)connection);
    uv_tcp_nodelay(connection, 1);
    uv_read_start((uv_stream_t *)connection, lend_buffer, read_some);
}

int main(int argc, char **argv) {
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    uv_tcp_init(loop, &listener);
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", port_of(argc, argv), &address);
    int error = uv_tcp_bind(&listener, (struct sockaddr *)&address, 0);
    if (!error) error = uv_listen((uv_stream_t *)&listener, 4096, connected);
    if (error) return fail("listen", -error);
    say_listening(argc, argv);
    return uv_run(loop, UV_RUN_DEFAULT);
}
