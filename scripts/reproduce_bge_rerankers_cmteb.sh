#!/usr/bin/env bash
# BGE rerankers over bge-large-zh-v1.5, per dataset of C-MTEB/Retrieval.
#
#   scripts/reproduce_bge_rerankers_cmteb.sh                                             # one GPU, bfloat16
#   scripts/reproduce_bge_rerankers_cmteb.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce bge-rerankers cmteb "suite=cmteb" "$@"
