// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Spindle
import SpindleLoad
import SpindleTopology

/// Ends the command with what went wrong on standard error and the exit code for it.
struct CommandFailure {
    /// Prints the error; throw the result.
    static func report(_ error: any Error) -> any Error {
        Console.complain("\(error)")
        return ExitCode(code(of: error))
    }

    /// Runs `body`, turning its errors into exit codes.
    static func translate<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw report(error) }
    }

    static func code(of error: any Error) -> Int32 {
        switch error {
        case let error as ListenError:
            error.errno == .accessDenied || error.errno == .notPermitted
                ? ExitStatus.permission : ExitStatus.unavailable
        case DatagramError.bind(let error): code(of: error)
        case is DatagramError: ExitStatus.unavailable
        case let failure as SettingsFailure: failure.code
        case is PlacementError, is OptionError, is PluginError: ExitStatus.usage
        case is AdoptError, is PassedSocketError: ExitStatus.unavailable
        case StartError.owner(_, .notPermitted): ExitStatus.permission
        case LoadFailure.connect, LoadFailure.open, LoadFailure.noAnswer: ExitStatus.unavailable
        case LoadFailure.interrupted: ExitStatus.interrupted
        case GeneratorFleet.Failure.ended(_, let code): code
        case is ServerProcess.Failure: ExitStatus.unavailable
        case is LoadFailure: ExitStatus.failure
        case is OutputFile.Failure: ExitStatus.output
        default: ExitStatus.system
        }
    }
}
