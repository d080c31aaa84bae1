"""Stock clients push, pull, list and fail through the twin as on ECR; the transcripts are the tests."""

from pathlib import Path

import pytest

from twin import transcript
from twin.clients import (
    DESTINATION,
    OCI_CONFIG,
    REGION,
    SOURCE,
    World,
    digest_of,
    document,
    grant,
    manifest,
    tarball,
)

pytestmark = pytest.mark.twin
TRANSCRIPTS = Path(__file__).with_name("transcripts")
NAMES = {
    "source": f"{SOURCE}.dkr.ecr.{REGION}.amazonaws.com",
    "destination": f"{DESTINATION}.dkr.ecr.{REGION}.amazonaws.com",
}


@pytest.fixture(scope="module")
def programs(crane_binary: Path, regctl_binary: Path, skopeo_binary: Path, aws_binary: Path) -> dict[str, Path]:
    return {"crane": crane_binary, "regctl": regctl_binary, "skopeo": skopeo_binary, "aws": aws_binary}


@pytest.mark.parametrize("client", ["crane", "skopeo", "regctl", "aws"])
def test_the_client_does_and_says_what_its_transcript_has(
    world: World, programs: dict[str, Path], client: str, tmp_path: Path
) -> None:
    for who in ("ci", "promoter"):
        ecr = world.client("ecr", who)
        ecr.create_repository(repositoryName=f"shop/{client}")
        ecr.create_repository(repositoryName=f"shop/{client}-fixed", imageTagMutability="IMMUTABLE")
    tarball(tmp_path / "layer.tar", client.encode())
    tarball(tmp_path / "other.tar", b"other " + client.encode())
    made = world.crane("append", "--new_layer", str(tmp_path / "layer.tar"), "--output", str(tmp_path / "image.tar"),
                       "--new_tag", f"{client}:v1", "--oci-empty-base")  # fmt: skip
    assert made.returncode == 0, made.stderr
    allowed = grant({"AWS": f"arn:aws:iam::{DESTINATION}:root"}, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    (tmp_path / "policy.json").write_text(document(allowed))
    (tmp_path / "config.json").write_bytes(b"{}")
    config = {"digest": digest_of(b"{}"), "size": 2, "mediaType": OCI_CONFIG}
    (tmp_path / "manifest.json").write_bytes(manifest(config, []))
    player = transcript.Player(programs, world.environment, tmp_path)
    for step in transcript.read(TRANSCRIPTS / f"{client}.txt", NAMES):
        player.play(step)
