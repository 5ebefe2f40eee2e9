#!/usr/bin/env bash
# MiniCPM-Reranker's model card: MKQA En-Zh_CN, NeuCLIR22 and NeuCLIR23 of MiniCPM-Reranker and three others.
#
#   scripts/reproduce_minicpm_reranker_crosslingual.sh                                             # one GPU, bfloat16
#   scripts/reproduce_minicpm_reranker_crosslingual.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce minicpm-reranker crosslingual "suite=crosslingual" "$@"
