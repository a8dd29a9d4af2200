#!/usr/bin/env bash
# Test the kernels for 64-bit Arm. On another machine they run in QEMU's emulator.
#
# usage: tools/test_arm.sh          the kernels, a minute
#        tools/test_arm.sh --all    whole networks, too: five minutes
set -euo pipefail
cd "$(dirname "$0")/.."

what=(--lib)
if [ "${1:-}" = --all ]; then what=(--lib --tests); fi

if [ "$(uname -m)" = aarch64 ]; then
  exec cargo test --locked -p lacuna-cpu "${what[@]}"
fi
source tools/arm.sh
if ! command -v aarch64-linux-gnu-gcc > /dev/null || ! command -v qemu-aarch64 > /dev/null; then
  echo "NOT TESTED (arm): gcc-aarch64-linux-gnu and qemu-user are not installed"
  exit
fi
if ! rustup target add "$ARM"; then
  echo "NOT TESTED (arm): the target $ARM cannot be installed"
  exit
fi
cargo test --locked --target "$ARM" -p lacuna-cpu "${what[@]}"
