"""What a chip costs and loses, and why: readers of models that are converted or programmed."""
