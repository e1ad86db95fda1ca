// SPDX-License-Identifier: Apache-2.0

// What tests need of the lower layers, under the one name that they import.
@_exported public import Spindle
@_exported public import SpindleSimulation
