#!/usr/bin/env bash
# Lints and tests of training over several processes (feature `mpi`), with a real mpiexec.
#
# Uses the MPI library of `mpicc`. Without one, MPICH and libclang come from pip packages (122 MB, no root). Extra arguments go
# to the tests: tools/test_mpi.sh killed
set -euo pipefail
cd "$(dirname "$0")/.."

python=${CARGO_TARGET_DIR:-target}/mpi/python
if ! command -v mpicc > /dev/null; then
  test -x "$python/bin/mpicc" || { python3 -m venv "$python" && "$python/bin/pip" install -q mpich libclang; }
  python=$(realpath "$python")
  export PATH="$python/bin:$PATH" LD_LIBRARY_PATH="$python/lib:${LD_LIBRARY_PATH:-}"
  LIBCLANG_PATH=$(echo "$python"/lib/python3*/site-packages/clang/native)
  export LIBCLANG_PATH
  # The package's libclang has no headers of its own; the compiler's will do.
  BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)"
  export BINDGEN_EXTRA_CLANG_ARGS
fi

packages=(-p lacuna-train -p lacuna-cli --features lacuna-cli/mpi --locked)
cargo clippy "${packages[@]}" --all-targets -- -D warnings
cargo test "${packages[@]}" --test mpi -- "$@"
