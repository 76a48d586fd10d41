#!/usr/bin/env bash
# Train in several processes, one for each GPU, or on the CPU where there is none:
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# On several machines run it on each, with the same NNODES, MASTER_ADDR and PORT and
# with NODE_RANK 0, 1, ...; PROCESSES is the number on this machine.
set -euo pipefail

if (($# < 2)); then
  echo "usage: $0 CONFIG PROCESSES [arguments of tools/train.py]" >&2
  exit 2
fi
config=$1
processes=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/torchrun.sh"

PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${torchrun[@]}" \
  "$here/train.py" "$config" --launcher pytorch "$@"
