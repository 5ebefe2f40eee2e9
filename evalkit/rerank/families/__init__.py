"""The kinds of rerankers that read query and document as one sequence: a file has settings, template and head."""
