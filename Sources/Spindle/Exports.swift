// SPDX-License-Identifier: Apache-2.0

// What users need of the lower layers, under the one name that they import.
@_exported public import SpindleCore
@_exported public import SpindleReactor
@_exported public import SpindleTopology
