"""Trials: one thing each, measured once, in this process and in those it starts. ``run(**arguments)`` gives numbers."""
