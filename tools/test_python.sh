#!/usr/bin/env bash
# Installs the Python package into a fresh environment and tests it: pytest, its stubs against the module, its types.
#
# The package shares the target folder with the program, which it is compared with. Without Python or a package index it prints
# NOT TESTED (python).
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
environment="$CARGO_TARGET_DIR/python-test"
bin="$environment/bin"
rm -rf "$environment"
if ! { python3 -m venv "$environment" && "$bin/pip" install -q numpy pillow fsspec pytest mypy; }; then
  echo "NOT TESTED (python): no environment can be made, or packages cannot be installed"
  exit 0
fi
"$bin/pip" install -q --no-deps --no-cache-dir ./python
"$bin/pytest" -q -rs python
cd python
"$bin/mypy" --strict -p lacuna_inpaint
"$bin/mypy" --strict tests/typing_cases.py
"$bin/python" -m mypy.stubtest --mypy-config-file pyproject.toml lacuna_inpaint._native
