"""Measurements: ``scripts/bench NAME [--write]``. How they are made and read stands in README.md beside this file."""
