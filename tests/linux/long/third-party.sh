#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Programs from Debian's archive as unikernels on a complete KVM (tests/third-party; those that were
# compiled before, outside of the lab).
set -euo pipefail
tests/third-party/run "$(dirname "$(dirname "$SKETE")")" zlib lua sqlite coreutils
