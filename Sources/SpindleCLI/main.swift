// SPDX-License-Identifier: Apache-2.0
import SpindleCore
import SpindleReactor

final class Echo: StreamProtocol {
    let transport: any StreamTransport
    init(_ transport: any StreamTransport) { self.transport = transport }
    func dataReceived(_ bytes: Span<UInt8>) { transport.write(bytes) }
}
let drivers = EpollDrivers()
var options = ListenOptions()
let socket = try drivers.bind(.loopback(port: 0), options)
_ = try drivers.listen(socket, backlog: 4096)
let address = try drivers.localAddress(of: socket)
let driver = try drivers.makeDriver(reactor: 0, configuration: ReactorConfiguration())
let reactor = Reactor(driver: driver)
try reactor.perform { try reactor.listen(on: socket, address: address, use: FactoryUse(ClosureFactory { Echo($0) })) }
print("listening on \(address)")
import Glibc
fflush(nil)
reactor.run()
