#!/usr/bin/env bash
# bge-m3 (dense) alone, per dataset.
#
#   scripts/reproduce_first_stages_bge_m3.sh                                             # one GPU, bfloat16
#   scripts/reproduce_first_stages_bge_m3.sh compute=ray compute.device=cuda compute.dtype=bfloat16    # all GPUs of this machine
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
reproduce first-stages bge-m3 "dataset=CmedqaRetrieval,CovidRetrieval,arguana,nfcorpus,scidocs,scifact,trec-covid" "$@"
