"""Configurations, under aihwkit's names."""
