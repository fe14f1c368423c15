"""Execution of a stage's steps: the scheduler, and the backends it runs on (processes of this machine, or a Ray cluster)."""
