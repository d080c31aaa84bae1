"""What is shipped: the image, built with whatever builder is there, and the list of what is in it.

`python -m shipping image` builds, `push` pushes what was built (nothing else does), `sbom` writes the list.
"""
