# Sourced by dist_train.sh and dist_test.sh: sets the array torchrun from processes and
# the environment (PYTHON, NNODES, NODE_RANK, MASTER_ADDR, PORT).
nodes=${NNODES:-1}
torchrun=("${PYTHON:-python}" -m torch.distributed.run --nproc_per_node "$processes")
if [[ $nodes == 1 && -z ${PORT:-} ]]; then
  # a free port, so that two runs on one machine do not meet
  torchrun+=(--standalone)
else
  torchrun+=(
    --nnodes "$nodes"
    --node_rank "${NODE_RANK:-0}"
    --master_addr "${MASTER_ADDR:-127.0.0.1}"
    --master_port "${PORT:-29500}"
  )
fi
