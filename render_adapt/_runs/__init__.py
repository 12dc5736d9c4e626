"""Runs: plan, render, adapt, write, commit, resume."""
