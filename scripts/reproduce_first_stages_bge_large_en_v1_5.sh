#!/usr/bin/env bash
# bge-large-en-v1.5 alone, per dataset of BEIR.
#
#   scripts/reproduce_first_stages_bge_large_en_v1_5.sh                                             # one GPU, bfloat16
#   scripts/reproduce_first_stages_bge_large_en_v1_5.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce first-stages bge-large-en-v1.5 "suite=beir" "$@"
