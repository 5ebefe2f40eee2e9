#!/usr/bin/env bash
# MiniCPM-Reranker on the 8 sets of C-MTEB/Retrieval, as two people reported it.
#
#   scripts/reproduce_minicpm_reranker_cmteb.sh                                             # one GPU, bfloat16
#   scripts/reproduce_minicpm_reranker_cmteb.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce minicpm-reranker-cmteb cmteb "suite=cmteb" "$@"
