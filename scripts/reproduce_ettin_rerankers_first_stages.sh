#!/usr/bin/env bash
# Six first stages on the 10 retrieval sets of MTEB(eng, v2).
#
#   scripts/reproduce_ettin_rerankers_first_stages.sh                                             # one GPU, bfloat16
#   scripts/reproduce_ettin_rerankers_first_stages.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce ettin-rerankers first-stages "suite=mteb_eng_v2" "$@"
