"""What an image is: the vocabulary of this project, as types.

A **reference** names an image in a **repository** of a **registry** by **tag** (a movable pointer), by **digest**
(`algorithm:hex` of content) or by both. To **resolve** a tag gives a **descriptor**: media type, digest and size. A
**manifest** is the JSON of one image; an **index** is a manifest that lists manifests. **Blobs** (config and layers)
are bytes by digest. A manifest that is attached to another, such as a signature or an SBOM, is a **referrer**, and the
other is its **subject**.

Here belongs what is true of images whatever registry serves them: names, digests, manifests, the ports a registry
has to fill (`store`) and the walk that copies an image (`copy`). Nothing here does I/O of its own, logs, or imports a
third-party package.
"""
