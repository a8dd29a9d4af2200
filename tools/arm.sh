# To source: builds for 64-bit Arm and runs them, in an emulator where the machine is another.
# Debian: apt install gcc-aarch64-linux-gnu qemu-user; rustup target add aarch64-unknown-linux-gnu

ARM=aarch64-unknown-linux-gnu
EMULATOR="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$EMULATOR"
