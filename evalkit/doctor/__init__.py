"""Checks that a checkpoint is loaded correctly, to run before spending hours on its numbers: `evalkit doctor`.

`rerankers` and `retrievers` each give the rows of a table. Where files look right, scores decide: of texts alone and in
batches, of obviously relevant and irrelevant documents, and of the pairs whose scores a model's authors published.
"""
