#!/usr/bin/env bash
# MiniCPM-Reranker's model card: averages over C-MTEB/Retrieval and BEIR of MiniCPM-Reranker and five others.
#
#   scripts/reproduce_minicpm_reranker_cn_en.sh                                             # one GPU, bfloat16
#   scripts/reproduce_minicpm_reranker_cn_en.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce minicpm-reranker cn-en "suite=cmteb suite=beir" "$@"
