# SPDX-License-Identifier: Apache-2.0
"""The peer on asyncio with uvloop: a protocol per connection, receiving into one buffer for all.

usage: uvloop_echo.py PORT      prints `listening on 127.0.0.1:PORT`
"""

import asyncio
import socket
import sys

import uvloop

received = memoryview(bytearray(64 * 1024))


class Echo(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, hint):
        return received

    def buffer_updated(self, count):
        # What a transport cannot send at once it keeps as it is: it needs bytes of its own.
        self.transport.write(bytes(received[:count]))

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=4096)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


uvloop.run(serve(int(sys.argv[1])))
