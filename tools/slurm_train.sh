#!/usr/bin/env bash
# Train on a Slurm cluster:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# GPUS (4) in all, GPUS_PER_NODE (at most 8, by default all of them on one node),
# CPUS_PER_TASK (5) for each GPU, SRUN_ARGS for anything else. One task a node starts
# tools/dist_train.sh; PORT (29500) must be free on the first node.
set -euo pipefail

if (($# < 3)); then
  echo "usage: $0 PARTITION JOB_NAME CONFIG [arguments of tools/train.py]" >&2
  exit 2
fi
partition=$1
job_name=$2
config=$3
shift 3
gpus=${GPUS:-4}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if ((gpus % gpus_per_node)); then
  echo "GPUS=$gpus is not a multiple of GPUS_PER_NODE=$gpus_per_node" >&2
  exit 2
fi
export NNODES=$((gpus / gpus_per_node))
export PORT=${PORT:-29500}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck disable=SC2016,SC2086 # expanded on the nodes; SRUN_ARGS are words
exec srun --partition "$partition" --job-name "$job_name" \
  --nodes "$NNODES" --ntasks "$NNODES" --ntasks-per-node 1 \
  --gres "gpu:$gpus_per_node" \
  --cpus-per-task $((${CPUS_PER_TASK:-5} * gpus_per_node)) \
  --kill-on-bad-exit 1 ${SRUN_ARGS:-} \
  bash -c '
    export NODE_RANK=$SLURM_NODEID
    MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
    export MASTER_ADDR
    exec "$@"' slurm_train "$here/dist_train.sh" "$config" "$gpus_per_node" "$@"
