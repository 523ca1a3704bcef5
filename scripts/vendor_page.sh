#!/bin/sh
# Fetches the layout library that the page of `dataforge graph --format html` carries, and puts it beside the page.
#
#   scripts/vendor_page.sh
#
# The version is pinned here and the content by page/vendored.sha256, which the tests check. To take another version,
# change it here, run this, look at the page, and commit what changed.
set -eu

version=3.1.3
page=$(dirname "$0")/../dataforge/plan/page
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

npm pack --silent --pack-destination "$work" "@dagrejs/dagre@$version" > /dev/null
tar -xzf "$work"/*.tgz -C "$work"
# Without its last line, which names a source map that is not here.
grep -v '^//# sourceMappingURL=' "$work/package/dist/dagre.min.js" > "$page/dagre.min.js"
cp "$work/package/LICENSE" "$page/dagre.LICENSE"
cd "$page"
sha256sum dagre.min.js dagre.LICENSE > vendored.sha256
