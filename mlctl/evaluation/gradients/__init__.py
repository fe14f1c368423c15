"""Gradients of alignment and of tasks, compared layer by layer (arXiv 2603.18863)."""
