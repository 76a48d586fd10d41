#!/usr/bin/env bash
# Test in several processes, one for each GPU, or on the CPU where there is none:
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
# For several machines see tools/dist_train.sh.
set -euo pipefail

if (($# < 3)); then
  echo "usage: $0 CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]" >&2
  exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/torchrun.sh"

PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${torchrun[@]}" \
  "$here/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
