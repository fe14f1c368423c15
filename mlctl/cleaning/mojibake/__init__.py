"""Text that was decoded with the wrong encoding: which readings a text can have, and which of them is the language."""
