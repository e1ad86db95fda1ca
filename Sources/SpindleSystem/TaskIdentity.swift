// SPDX-License-Identifier: Apache-2.0

internal import CTasks

/// Which task it is: to be compared and never used otherwise, since the task may be gone.
public struct TaskIdentity: Equatable, Sendable {
    private let address: UInt

    /// The calling task's; of code that is no task's, `none`.
    public static var current: TaskIdentity { TaskIdentity(address: unsafe UInt(bitPattern: ct_current_task())) }

    /// No task.
    public static var none: TaskIdentity { TaskIdentity(address: 0) }
}
