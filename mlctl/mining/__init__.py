"""Pairs from text that is not parallel: mining by margin over nearest neighbours, and alignment of the sentences of documents.

Below the stages: `mlctl.corpora` makes a source's text into jobs, which run on the execution layer. Only the module `encoder` loads torch.
"""
