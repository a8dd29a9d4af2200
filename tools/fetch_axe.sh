#!/usr/bin/env bash
# Downloads axe-core (MPL-2.0), an accessibility checker, to target/axe-core for the tests of lacuna-serve. Needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target/axe-core
cd target/axe-core
npm pack --silent axe-core@4 > name
tar -xzf "$(cat name)" --strip-components=1 package/axe.min.js package/LICENSE
rm -f -- *.tgz name
test -s axe.min.js
