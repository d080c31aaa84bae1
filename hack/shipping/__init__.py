"""What is shipped: the image, built with whatever builder is there, a list of Python packages in it, and the chart.

`python -m shipping image` builds, `push` pushes what was built, `sbom` writes the list; `chart` and `push-chart` are
the same for the chart. Nothing else pushes. `release-check` and `sign` are what a release does besides.
"""
