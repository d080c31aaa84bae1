"""Overlays: rendering them, finding the images in what comes out, and changing the one image somebody names.

Here belongs everything that reads or writes files of kustomize, and the program itself. ruamel.yaml is imported
nowhere else. What an image is, and whether it may be promoted, is not known here.

An *overlay* is a folder with a kustomization. It is a *layer*, and stands on others: *bases* and *components*. A
*place* is a value in a file that decides which image a container gets. Everything in those files is untrusted: whoever
checks an overlay out of a pull request has not read it.
"""

HOOK = "promote-images.yaml"
"""The file of an overlay's hook that `transship check --fix` writes."""
