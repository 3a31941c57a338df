#!/bin/sh
# Check whether artifacts that another revision writes would load with the code that is checked out here.
#
#   against.sh REF WRITER MODULE [ARGUMENTS]
#
# REF     a revision, for example origin/main
# WRITER  a module of yours: `python -m WRITER FOLDER` writes one artifact of each kind into a folder. It runs with the
#         code of REF, in a worktree of its own that is removed afterwards.
# MODULE  the package to check against, as for `pickleseal check --import`
# Further ARGUMENTS go to `pickleseal check`.
set -eu

ref=$1 writer=$2 module=$3
shift 3
folder=$(mktemp -d)
trap 'git worktree remove --force "$folder/code"; rm -rf "$folder"' EXIT
git worktree add --quiet --detach "$folder/code" "$ref"
mkdir "$folder/artifacts"
(cd "$folder/code" && "${PYTHON:-python}" -m "$writer" "$folder/artifacts")
"${PYTHON:-python}" -m pickleseal check "$folder/artifacts" --import "$module" "$@"
