// SPDX-License-Identifier: Apache-2.0

package import SpindleSystem

extension SteeringProgram {
    // Opcodes of classic BPF: <linux/bpf_common.h>.
    private static let loadWord: UInt16 = 0x20  // BPF_LD | BPF_W | BPF_ABS
    private static let loadHalf: UInt16 = 0x28  // BPF_LD | BPF_H | BPF_ABS
    private static let loadByte: UInt16 = 0x30  // BPF_LD | BPF_B | BPF_ABS
    private static let loadHalfAtIndex: UInt16 = 0x48  // BPF_LD | BPF_H | BPF_IND
    private static let accumulatorToIndex: UInt16 = 0x07  // BPF_MISC | BPF_TAX
    private static let and: UInt16 = 0x54  // BPF_ALU | BPF_AND | BPF_K
    private static let shiftLeft: UInt16 = 0x64  // BPF_ALU | BPF_LSH | BPF_K
    private static let modulo: UInt16 = 0x94  // BPF_ALU | BPF_MOD | BPF_K
    private static let jump: UInt16 = 0x05  // BPF_JMP | BPF_JA
    private static let jumpIfEqual: UInt16 = 0x15  // BPF_JMP | BPF_JEQ | BPF_K
    private static let returnConstant: UInt16 = 0x06  // BPF_RET | BPF_K
    private static let returnAccumulator: UInt16 = 0x16  // BPF_RET | BPF_A
    // Where loads may go besides the packet: <linux/filter.h>.
    private static let cpuNumber = UInt32(bitPattern: -0x1000 + 36)  // SKF_AD_OFF + SKF_AD_CPU
    private static let networkHeader = UInt32(bitPattern: -0x100000)  // SKF_NET_OFF

    /// The program: it returns the index of a socket in the group. socket(7), SO_ATTACH_REUSEPORT_CBPF.
    package var instructions: [FilterInstruction] {
        switch self {
        case .cpu(let socketOfCPU): SteeringProgram.cpuProgram(socketOfCPU)
        case .sourcePort(let socketCount): SteeringProgram.sourcePortProgram(socketCount)
        }
    }

    /// A comparison per CPU, and not the CPU's number itself: an index outside of the group silently falls back
    /// to the hash.
    private static func cpuProgram(_ socketOfCPU: [Int]) -> [FilterInstruction] {
        var program = [FilterInstruction(code: loadWord, constant: cpuNumber)]
        for (cpu, socket) in socketOfCPU.enumerated().dropLast() {
            program.append(.init(code: jumpIfEqual, jumpTrue: 0, jumpFalse: 1, constant: UInt32(cpu)))
            program.append(.init(code: returnConstant, constant: UInt32(socket)))
        }
        program.append(.init(code: returnConstant, constant: UInt32(socketOfCPU.last ?? 0)))
        return program
    }

    /// The kernel hands the program the packet from behind the TCP header on, so the port is found from the
    /// network header: behind the IPv4 header, whose length stands in it, or 40 bytes into IPv6.
    private static func sourcePortProgram(_ socketCount: Int) -> [FilterInstruction] {
        [
            .init(code: loadByte, constant: networkHeader),
            .init(code: and, constant: 0xf0),
            .init(code: jumpIfEqual, jumpTrue: 6, jumpFalse: 0, constant: 0x60),
            .init(code: loadByte, constant: networkHeader),
            .init(code: and, constant: 0x0f),
            .init(code: shiftLeft, constant: 2),
            .init(code: accumulatorToIndex, constant: 0),
            .init(code: loadHalfAtIndex, constant: networkHeader),
            .init(code: jump, constant: 1),
            .init(code: loadHalf, constant: networkHeader &+ 40),
            .init(code: modulo, constant: UInt32(max(socketCount, 1))),
            .init(code: returnAccumulator, constant: 0),
        ]
    }
}
