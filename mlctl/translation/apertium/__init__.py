"""Backend `apertium`: rule-based translation by the programs of the Apertium project."""
