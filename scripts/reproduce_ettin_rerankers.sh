#!/usr/bin/env bash
# 22 rerankers over six first stages on the 10 retrieval sets of MTEB(eng, v2): 1,320 evaluations.
#
#   scripts/reproduce_ettin_rerankers.sh                                             # one GPU, bfloat16
#   scripts/reproduce_ettin_rerankers.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce ettin-rerankers rerankers "suite=mteb_eng_v2" "$@"
