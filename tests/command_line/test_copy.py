"""What `transship copy` leaves at the destination, and what it says of it."""

import json
from typing import Any

import pytest
import yaml

from command_line.command import Command, Images, Said
from oci.images import Content, artifact, blob_descriptor, bytes_of, image, index, multi_arch
from oci.store_contract import TAG, push
from transship.oci.reference import Tag

OTHER = Tag("v2")


def images_of(said: Said) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)["images"]
    return found


def assert_is_there(place: Images, content: Content, tag: Tag | None) -> None:
    there = place.open()
    assert there.resolve(tag or content.root.descriptor.digest) == content.root.descriptor
    assert all(there.fetch_manifest(each.descriptor.digest) == each for each in content.manifests)
    assert all(bytes_of(there, blob_descriptor(blob)) == blob for blob in content.blobs)


def assert_is_empty(place: Images, content: Content) -> None:
    there = place.open()
    assert not list(there.list_tags())
    assert len(there.missing_blobs(map(blob_descriptor, content.blobs))) == len(set(content.blobs))


CONTENTS = {
    "an image": image([b"a layer", b"another"]),
    "a docker image": image([b"a docker layer"], docker=True),
    "an index": multi_arch(),
    "an index of indexes": index([multi_arch(seed=b"below"), image([b"beside"])]),
    "an artifact": artifact(None, b"a chart"),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_everything_arrives_as_it_is_and_the_digest_is_said(
    transship: Command, source: Images, destination: Images, content: Content
) -> None:
    push(source.open(), content, TAG)
    said = transship("copy", f"{source}:{TAG}", f"{destination}:{OTHER}")
    assert (said.status, said.out) == (0, f"{destination}:{OTHER} {content.root.descriptor.digest}\n")
    assert_is_there(destination, content, OTHER)
    assert destination.open().resolve(TAG) is None


def test_a_destination_without_a_tag_keeps_the_sources(transship: Command, source: Images, destination: Images) -> None:
    push(source.open(), multi_arch(), TAG)
    assert transship("copy", f"{source}:{TAG}", str(destination)).status == 0
    assert list(destination.open().list_tags()) == [TAG]
    assert_is_there(destination, multi_arch(), TAG)


def test_of_a_tag_and_a_digest_the_digest_decides_and_the_tag_is_kept(
    transship: Command, source: Images, destination: Images
) -> None:
    old, new = image([b"old"]), image([b"new"])
    push(source.open(), old, TAG)
    push(source.open(), new, TAG)
    said = transship("copy", f"{source}:{TAG}@{old.root.descriptor.digest}", str(destination))
    assert said.status == 0
    assert_is_there(destination, old, TAG)
    assert destination.open().resolve(new.root.descriptor.digest) is None


def test_a_digest_alone_is_copied_without_a_tag(transship: Command, source: Images, destination: Images) -> None:
    push(source.open(), image([b"untagged"]))
    digest = image([b"untagged"]).root.descriptor.digest
    assert transship("copy", f"{source}@{digest}", str(destination)).status == 0
    assert_is_there(destination, image([b"untagged"]), None)
    assert not list(destination.open().list_tags())


def test_all_tags_are_copied_and_what_they_share_once(transship: Command, source: Images, destination: Images) -> None:
    contents = {Tag(f"v{number}"): multi_arch(seed=b"%d" % (number // 2)) for number in range(6)}
    for tag, content in contents.items():
        push(source.open(), content, tag)
    said = transship("copy", "--all-tags", "-o", "json", str(source), str(destination))
    assert said.status == 0
    for tag, content in contents.items():
        assert_is_there(destination, content, tag)
    different = {blob: None for content in contents.values() for blob in content.blobs}
    assert sum(each["blobsCopied"] for each in images_of(said)) == len(different)
    assert [each["destination"] for each in images_of(said)] == [f"{destination}:{tag}" for tag in contents]


def test_a_second_run_moves_nothing_and_says_so(transship: Command, source: Images, destination: Images) -> None:
    push(source.open(), multi_arch(), TAG)
    command = ("copy", f"{source}:{TAG}", str(destination))
    transship(*command)
    said = transship(*command)
    assert (said.status, said.err) == (0, f"{destination}:{TAG}: already present\n")
    assert said.out == f"{destination}:{TAG} {multi_arch().root.descriptor.digest}\n"
    (told,) = images_of(transship(*command, "-o", "json"))
    assert (told["verdict"], told["bytesMissing"], told["proven"]) == ("present", 0, True)
    assert "bytesCopied" not in told


def test_what_an_earlier_copy_left_is_not_sent_again(transship: Command, source: Images, destination: Images) -> None:
    content = image([b"there already", b"missing"])
    push(source.open(), content, TAG)
    destination.open().push_blob(blob_descriptor(b"there already"), iter([b"there already"]))
    (told,) = images_of(transship("copy", "-o", "json", f"{source}:{TAG}", str(destination)))
    assert (told["blobsCopied"], told["bytesSkipped"]) == (2, len(b"there already"))


def test_inside_one_registry_nothing_is_sent(transship: Command, source: Images) -> None:
    push(source.open(), multi_arch(), TAG)
    there = Images(source.host)
    (told,) = images_of(transship("copy", "-o", "json", f"{source}:{TAG}", str(there)))
    assert (told["blobsMounted"], told["blobsCopied"]) == (len(multi_arch().blobs), 0)
    assert_is_there(there, multi_arch(), TAG)


def test_the_result_for_programs_is_json_and_nothing_else(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), multi_arch(), TAG)
    said = transship("copy", "-o", "json", f"{source}:{TAG}", str(destination))
    (told,) = images_of(said)
    total = sum(map(len, multi_arch().blobs)) + sum(each.descriptor.size for each in multi_arch().manifests)
    assert told["digest"] == str(multi_arch().root.descriptor.digest)
    assert told["mediaType"] == multi_arch().root.descriptor.media_type
    assert (told["source"], told["destination"]) == (f"{source}:{TAG}", f"{destination}:{TAG}")
    assert told["bytesTotal"] == told["bytesMissing"] == told["bytesCopied"] == total
    assert (told["manifestsCopied"], told["blobsCopied"]) == (3, len(multi_arch().blobs))
    assert told["proven"] is True


def test_the_result_is_yaml_or_a_name_that_can_be_pulled_where_that_is_asked_for(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), multi_arch(), TAG)
    digest = multi_arch().root.descriptor.digest

    whole = transship("copy", "-q", "-o", "yaml", "-v", f"{source}:{TAG}", str(destination))
    name = transship("copy", "-q", "-o", "name", f"{source}:{TAG}", str(destination))

    assert yaml.safe_load(whole.out)["images"][0]["digest"] == str(digest)
    assert whole.err == f"{source}:{TAG} -> {destination}:{TAG}\n"
    assert (name.out, name.err) == (f"{destination}@{digest}\n", "")


def test_a_plan_says_what_is_missing_and_writes_nothing(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), multi_arch(), TAG)
    command = ("copy", "--plan", f"{source}:{TAG}", str(destination))
    said = transship(*command)
    assert said.status == 2
    assert f"{source}:{TAG} -> {destination}:{TAG}" in said.out
    assert "3 of 3 manifests" in said.out
    blobs = len(multi_arch().blobs)
    assert f"{blobs} of {blobs} blobs" in said.out
    assert f"{blobs} read blob, {2 * blobs} push blob, 3 push manifest, 3 prove" in said.out
    (told,) = images_of(transship(*command, "-o", "json"))
    assert (told["verdict"], told["manifestsMissing"]) == ("copy", 3)
    assert "proven" not in told
    assert_is_empty(destination, multi_arch())


def test_a_plan_of_what_is_there_has_nothing_to_do(transship: Command, source: Images, destination: Images) -> None:
    push(source.open(), multi_arch(), TAG)
    push(destination.open(), multi_arch(), TAG)
    said = transship("copy", "--plan", f"{source}:{TAG}", str(destination))
    assert said.status == 0
    assert "verdict   present" in said.out
    said = transship("copy", "--plan", f"{source}:{TAG}", f"{destination}:{OTHER}")
    assert said.status == 2
    assert "verdict   add-tag" in said.out


def test_a_tag_at_another_digest_is_a_conflict_and_moves_when_it_is_told_to(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), image([b"new"]), TAG)
    push(destination.open(), image([b"old"]), TAG)
    command = ("copy", f"{source}:{TAG}", str(destination))
    said = transship(*command)
    assert (said.status, said.out) == (1, "")
    (sentence,) = [line for line in said.err.splitlines() if "is at" in line]
    for part in (image([b"new"]), image([b"old"])):
        assert str(part.root.descriptor.digest) in sentence
    assert destination.open().resolve(TAG) == image([b"old"]).root.descriptor
    assert transship(*command, "--plan").status == 1
    assert f"replaces  {image([b'old']).root.descriptor.digest}" in transship(*command, "--plan", "--overwrite").out
    assert transship(*command, "--overwrite").status == 0
    assert_is_there(destination, image([b"new"]), TAG)


class TestReferrers:
    """What is attached to an image: a signature that names it, and cosign's tag."""

    IMAGE = image([b"signed"])
    NAMING = artifact(IMAGE.root.descriptor, b"by subject")
    TAGGED = artifact(None, b"by tag")
    COSIGN = Tag(f"sha256-{IMAGE.root.descriptor.digest.hex}.sig")

    @pytest.fixture(autouse=True)
    def signed(self, source: Images) -> None:
        push(source.open(), self.IMAGE, TAG)
        push(source.open(), self.NAMING)
        push(source.open(), self.TAGGED, self.COSIGN)

    @pytest.mark.parametrize("mode", ["require", "best-effort"])
    def test_come_along(self, transship: Command, source: Images, destination: Images, mode: str) -> None:
        command = ("copy", "--referrers", mode, f"{source}:{TAG}", str(destination))
        said = transship(*command)
        assert said.status == 0
        assert "2 attached manifests with it; proven" in said.err
        assert_is_there(destination, self.IMAGE, TAG)
        assert_is_there(destination, self.NAMING, None)
        assert_is_there(destination, self.TAGGED, self.COSIGN)
        (listed,) = destination.open().list_referrers(self.IMAGE.root.descriptor.digest)
        assert listed.digest == self.NAMING.root.descriptor.digest
        assert "already present" in transship(*command).err

    def test_are_added_to_an_image_that_is_there(self, transship: Command, source: Images, destination: Images) -> None:
        push(destination.open(), self.IMAGE, TAG)
        said = transship("copy", "--referrers", "require", "-o", "json", f"{source}:{TAG}", str(destination))
        (told,) = images_of(said)
        assert (told["referrers"]["missing"], told["referrersCopied"]) == (2, 2)
        assert_is_there(destination, self.TAGGED, self.COSIGN)

    def test_stay_where_they_are_when_they_are_ignored(
        self, transship: Command, source: Images, destination: Images
    ) -> None:
        assert transship("copy", "--referrers", "ignore", f"{source}:{TAG}", str(destination)).status == 0
        assert list(destination.open().list_tags()) == [TAG]
        assert destination.open().resolve(self.NAMING.root.descriptor.digest) is None

    def test_that_cannot_be_had_stop_only_those_who_require_them(
        self, transship: Command, source: Images, destination: Images
    ) -> None:
        lost = artifact(self.IMAGE.root.descriptor, b"its payload will be gone")
        push(source.open(), lost)
        source.delete_blob(blob_descriptor(b"its payload will be gone"))
        command = ("copy", f"{source}:{TAG}", str(destination))
        said = transship(*command, "--referrers", "require")
        assert said.status == 1
        assert destination.open().resolve(TAG) is None
        said = transship(*command, "--referrers", "best-effort")
        assert said.status == 0
        assert "1 attached could not be copied" in said.err
        assert_is_there(destination, self.IMAGE, TAG)
