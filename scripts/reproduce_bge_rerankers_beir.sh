#!/usr/bin/env bash
# BGE rerankers over bge-large-en-v1.5, per dataset of BEIR.
#
#   scripts/reproduce_bge_rerankers_beir.sh                                             # one GPU, bfloat16
#   scripts/reproduce_bge_rerankers_beir.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce bge-rerankers beir "suite=beir" "$@"
