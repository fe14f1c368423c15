"""Projected labels: tags of English words, carried over word links to the words of their translations."""
