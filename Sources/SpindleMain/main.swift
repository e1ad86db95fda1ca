// SPDX-License-Identifier: Apache-2.0

import SpindleCLI

SpindleProgram.main()
