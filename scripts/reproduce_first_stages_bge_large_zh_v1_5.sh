#!/usr/bin/env bash
# bge-large-zh-v1.5 alone, per dataset of C-MTEB/Retrieval.
#
#   scripts/reproduce_first_stages_bge_large_zh_v1_5.sh                                             # one GPU, bfloat16
#   scripts/reproduce_first_stages_bge_large_zh_v1_5.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce first-stages bge-large-zh-v1.5 "suite=cmteb" "$@"
