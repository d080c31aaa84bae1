"""Generated layers are what their names say."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from copying.content import write_layer

import benchmarks.conftest  # noqa: F401 - it makes `copying` importable


def test_a_layer_is_a_gzipped_tar_with_the_digests_it_is_said_to_have(tmp_path: Path) -> None:
    size = 2_500_000
    file = tmp_path / "layer"

    blob = write_layer(file, seed=7, size=size)

    packed = file.read_bytes()
    unpacked = gzip.decompress(packed)
    assert blob.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert blob.diff_id == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"
    assert blob.size == len(packed)
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        assert archive.getmember("data").size == size


def test_a_layer_does_not_shrink_when_it_is_compressed_again(tmp_path: Path) -> None:
    file = tmp_path / "layer"

    blob = write_layer(file, seed=1, size=1_000_000)

    assert len(gzip.compress(file.read_bytes())) > 0.99 * blob.size
