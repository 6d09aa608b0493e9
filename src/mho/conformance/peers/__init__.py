"""Scripts that have another simulator make its numbers, in its interpreter, where mho need not be.

Each takes two folders, the reference numbers and an empty one, does the cases of the first again and leaves
files of the same format in the second. The last line that it prints is a JSON object: the cases that the
simulator could not do, and what it said. Nothing here imports mho.
"""
