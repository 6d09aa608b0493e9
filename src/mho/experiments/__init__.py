"""Whole studies: hardware, a model and data in, tidy tables out.

Import the study that you want: :mod:`mho.experiments.drift`. What it shows is drawn by
:mod:`mho.report`.
"""
