#!/usr/bin/env bash
# bge-reranker-v2-minicpm-layerwise over e5-mistral-7b-instruct, per dataset of BEIR.
#
#   RUNS=DIR scripts/reproduce_bge_rerankers_e5_mistral_beir.sh           # one GPU, bfloat16
#
# evalkit has no e5-mistral: RUNS is a folder with a run of it for each dataset, DIR/<dataset>.trec, those of CQADupStack
# as DIR/cqadupstack/<forum>.trec. They are what the published table was reranked from.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
runs=${RUNS:?is not set. Give the folder with the runs of e5-mistral-7b-instruct, RUNS=DIR}
settings=("$@")
[ ${#settings[@]} -gt 0 ] || settings=(compute=cuda)
"$evalkit" fetch suite=beir
stage=(suite=beir retriever=saved retriever.name=e5_mistral_7b_instruct
    "retriever.path=$runs/\${dataset.name}.trec" "results_dir=$results")
"$evalkit" evaluate -m "${stage[@]}" reranker=none
"$evalkit" evaluate -m "${stage[@]}" reranker=bge_reranker_v2_minicpm_layerwise reranker.max_length=1024 "${settings[@]}"
"$evalkit" reproduce bge-rerankers-e5-mistral --table beir --results "$results"
