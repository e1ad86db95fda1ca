// SPDX-License-Identifier: Apache-2.0
//
// The peer on Tokio: one thread, a task and a buffer per connection.
//
// usage: tokio_echo PORT      prints `listening on 127.0.0.1:PORT`

use std::net::{Ipv4Addr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn echo(mut stream: TcpStream) {
    // Not zeroed, so that pages become resident only as far as bytes come.
    let mut buffer = Vec::with_capacity(64 * 1024);
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        if stream.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(4096)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(echo(stream));
        }
    }
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: tokio_echo PORT");
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve(port))
}
