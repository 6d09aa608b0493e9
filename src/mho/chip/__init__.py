"""One chip: its state, what is packed of it, and the product by it.

Start with :mod:`mho.chip.tile`, where the stages meet.
"""
