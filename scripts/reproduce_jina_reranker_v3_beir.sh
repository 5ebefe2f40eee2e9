#!/usr/bin/env bash
# jina-reranker-v3 and others over jina-embeddings-v3, per dataset of BEIR.
#
#   RUNS=DIR scripts/reproduce_jina_reranker_v3_beir.sh                   # one GPU, bfloat16
#
# evalkit has no jina-embeddings-v3: RUNS is a folder with a run of it for each dataset, DIR/<dataset>.trec. They are what
# the published table was reranked from.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.bash"
runs=${RUNS:?is not set. Give the folder with the runs of jina-embeddings-v3, RUNS=DIR}
settings=("$@")
[ ${#settings[@]} -gt 0 ] || settings=(compute=cuda)
datasets=trec-covid,nfcorpus,nq,hotpotqa,fiqa,arguana,webis-touche2020,dbpedia-entity,scidocs,fever,climate-fever,scifact,quora
rerankers=jina_reranker_v3,jina_reranker_v2_base_multilingual,bge_reranker_v2_m3,mxbai_rerank_base_v2,mxbai_rerank_large_v2,qwen3_reranker_0_6b,qwen3_reranker_4b
"$evalkit" fetch "dataset=$datasets"
stage=("dataset=$datasets" retriever=saved retriever.name=jina_embeddings_v3
    "retriever.path=$runs/\${dataset.name}.trec" "results_dir=$results")
"$evalkit" evaluate -m "${stage[@]}" reranker=none
"$evalkit" evaluate -m "${stage[@]}" "reranker=$rerankers" "${settings[@]}"
"$evalkit" reproduce jina-reranker-v3 --table beir --results "$results"
