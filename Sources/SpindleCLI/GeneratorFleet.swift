// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
import SpindleSystem
import Subprocess

/// Several generator processes that drive one server, where the descriptors of one don't suffice: this command again,
/// each with a part of the connections. They begin together, and their results are added up.
struct GeneratorFleet: Sendable {
    /// What one of them does, and of how many it is one.
    struct Part: Sendable, Equatable {
        let index: Int
        let count: Int

        /// As in `--part 2/3`, counted from 1.
        init?(_ text: String) {
            let words = text.split(separator: "/").compactMap { Int($0) }
            guard words.count == 2, words[1] > 0, (1...words[1]).contains(words[0]) else { return nil }
            (index, count) = (words[0] - 1, words[1])
        }

        init(index: Int, of count: Int) { (self.index, self.count) = (index, count) }

        var text: String { "\(index + 1)/\(count)" }

        /// The part's connections and rates.
        func plan(of whole: LoadPlan) -> LoadPlan {
            var plan = whole
            plan.firstConnection = whole.connections * index / count
            plan.connections = whole.connections * (index + 1) / count - plan.firstConnection
            let share = Double(plan.connections) / Double(whole.connections)
            if case .open(let rate) = whole.pace { plan.pace = .open(messagesPerSecond: rate * share) }
            plan.churn = whole.churn.map { $0 * share }
            return plan
        }
    }

    enum Failure: Error, CustomStringConvertible {
        case ended(part: String, code: Int32)
        case garbled(part: String)

        var description: String {
            switch self {
            case .ended(let part, let code):
                "generator process \(part) ended with \(code); what it said is above"
            case .garbled(let part): "generator process \(part) gave no result"
            }
        }
    }

    let count: Int
    /// The words of this command, without those that name a part.
    let words: [String]
    let whole: LoadPlan
    let progress: LoadProgress
    let control: RunControl

    /// What a part says when all of its connections stand; it begins when it is answered.
    static let ready = "ready"
    /// Descriptors of a process that are no connections.
    static let spareDescriptors = 256

    /// How many processes it takes, each of which has so many connections that come and go besides.
    static func partsNeeded(connections: Int, comeAndGo: Int = 0, descriptorLimit: UInt64) -> Int {
        let room = Int(clamping: descriptorLimit) - spareDescriptors - comeAndGo
        return room > 0 ? max(1, (connections + room - 1) / room) : 1
    }

    /// Runs them all.
    ///
    /// - Parameter usage: Reads what the server's process has used so far.
    func run(usage: @escaping @Sendable () -> ServerUsage?) async throws -> LoadResult {
        let before = usage()
        let start = Gathering(count)
        return try await withThrowingTaskGroup(of: LoadResult.self) { group in
            for index in 0..<count {
                group.addTask { try await runPart(Part(index: index, of: count), start) }
            }
            async let measured = measure(usage, after: start)
            var results: [LoadResult] = []
            do { while let result = try await group.next() { results.append(result) } } catch {
                // The others wait for it, or for each other.
                start.open()
                group.cancelAll()
                throw error
            }
            let (first, last) = try await measured
            return LoadResult.sum(
                results,
                usage: last.flatMap { last in first.map { last.since($0) } },
                bytesPerConnection: whole.bytesPerConnection(from: before, to: last)
            )
        }
    }

    /// What the server had used when measuring began, about, and when it ended.
    private func measure(
        _ usage: @Sendable () -> ServerUsage?,
        after start: Gathering
    ) async throws -> (ServerUsage?, ServerUsage?) {
        await start.wait()
        try await ContinuousClock().sleep(for: whole.warmup)
        let first = usage()
        let end = ContinuousClock.now + whole.duration
        while ContinuousClock.now < end, !progress.isEnding {
            try await ContinuousClock().sleep(until: min(end, .now + .milliseconds(200)))
        }
        return (first, usage())
    }

    private func runPart(_ part: Part, _ start: Gathering) async throws -> LoadResult {
        let all = [OwnProgram.path ?? "spindle"] + words + ["--connect", "\(whole.address)", "--part", part.text]
        let text = all.map(ShellText.quoted).joined(separator: " ")
        var platform = PlatformOptions()
        // Ctrl-C comes to this process, which tells them.
        platform.processGroupID = 0
        let configuration = Configuration(
            executable: .name("sh"),
            arguments: ["-c", "exec \(text)"],
            platformOptions: platform
        )
        let done = try await Subprocess.run(
            configuration,
            input: .inputWriter,
            output: .sequence,
            error: .currentStandardError
        ) { execution in
            let process = Int(execution.processIdentifier.value)
            control.childStarted(process)
            defer { control.childEnded(process) }
            let ending = Task {
                while !progress.isEnding { try await ContinuousClock().sleep(for: .milliseconds(100)) }
                // Without input it ends; a signal could meet one that does not listen to signals yet.
                try await execution.standardInputWriter.finish()
            }
            defer { ending.cancel() }
            var lines: [String] = []
            for try await line in execution.standardOutput.strings() {
                if line == GeneratorFleet.ready {
                    start.arrive()
                    await start.wait()
                    // One that has ended meanwhile says why by how it ended.
                    _ = try? await execution.standardInputWriter.write("go\n")
                } else {
                    lines.append(line)
                }
            }
            return lines
        }
        guard case .exited(0) = done.terminationStatus else {
            if case .exited(let code) = done.terminationStatus { throw Failure.ended(part: part.text, code: code) }
            throw Failure.ended(part: part.text, code: ExitStatus.system)
        }
        guard let result = LoadResult(transferLines: done.closureResult) else { throw Failure.garbled(part: part.text) }
        return result
    }
}
