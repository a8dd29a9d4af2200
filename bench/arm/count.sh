#!/usr/bin/env bash
# Count the instructions of a prediction on 64-bit Arm, with NEON and with the portable code, in QEMU's emulator.
#
# usage: bench/arm/count.sh [SIDE WIDTH BLOCKS]       needs: gcc, gcc-aarch64-linux-gnu, qemu-user; rustup target aarch64-unknown-linux-gnu
#
# One thread, so that waiting for work is not counted. Packing the weights is counted, too. The default is a picture of 128 x 128 with big-lama's width
# and three of its blocks, half a minute. Counts are no times: no Arm processor is involved.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/arm.sh

plugin="$(mktemp -d)/instructions.so"
gcc -shared -fPIC -O2 -o "$plugin" bench/arm/instructions.c
cargo build --release --locked --target "$ARM" -p lacuna-cpu --example engine_pass
program="${CARGO_TARGET_DIR:-target}/$ARM/release/examples/engine_pass"
if [ $# -eq 0 ]; then set -- 128 64 3; fi
for isa in portable neon; do
  LACUNA_ISA=$isa RAYON_NUM_THREADS=1 $EMULATOR -plugin "file=$plugin" "$program" "$@"
done
