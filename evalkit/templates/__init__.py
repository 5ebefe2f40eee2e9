"""How each family of rerankers writes a query and a document as one sequence of tokens. One file a family.

Every file gives `tokenize(tokenizer, pairs, ...) -> TokenizedPairs`. Each distinct text is tokenised once, then cut and
joined. Knows nothing of models.
"""
