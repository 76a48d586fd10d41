#!/usr/bin/env bash
# Label images in several processes, one for each GPU, or on the CPU where there is none:
#   tools/dist_generate_pseudo_labels.sh CONFIG CHECKPOINT [CHECKPOINT ...] PROCESSES \
#     [arguments of tools/generate_pseudo_labels.py]
# For several machines see tools/dist_train.sh.
set -euo pipefail

model=()
while (($#)) && ! [[ $1 =~ ^[0-9]+$ ]]; do
  model+=("$1")
  shift
done
if (($# < 1 || ${#model[@]} < 2)); then
  echo "usage: $0 CONFIG CHECKPOINT [CHECKPOINT ...] PROCESSES" \
    "[arguments of tools/generate_pseudo_labels.py]" >&2
  exit 2
fi
processes=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/torchrun.sh"

PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${torchrun[@]}" \
  "$here/generate_pseudo_labels.py" "${model[@]}" --launcher pytorch "$@"
