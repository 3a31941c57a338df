#!/bin/sh
# Would what another revision writes load with the code that is checked out here?
#
#   against.sh REF WRITER MODULE
#
# REF is a revision, for instance origin/main; MODULE is the package to check against, as for `pickleseal check --import`;
# WRITER is a module of yours, `python -m WRITER FOLDER`, that writes an artifact of each kind into a folder. It runs with
# the code of REF, in a worktree of its own that is removed afterwards. Further arguments go to `pickleseal check`.
set -eu

ref=$1 writer=$2 module=$3
shift 3
folder=$(mktemp -d)
trap 'git worktree remove --force "$folder/code"; rm -rf "$folder"' EXIT
git worktree add --quiet --detach "$folder/code" "$ref"
mkdir "$folder/artifacts"
(cd "$folder/code" && "${PYTHON:-python}" -m "$writer" "$folder/artifacts")
"${PYTHON:-python}" -m pickleseal check "$folder/artifacts" --import "$module" "$@"
