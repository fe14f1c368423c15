"""What training changed, beyond the scores: which items, sentences of which length, and the geometry of the sentence vectors."""
