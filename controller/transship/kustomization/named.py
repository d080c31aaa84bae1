"""What a kustomization, or the configuration of a plugin, names: files, and patches that it has as text.

kustomize takes names of fields in any case, so they have to be written as they are documented: then nothing is named
that is not seen here.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transship.kustomization.files import refused

_FILE_FIELDS = frozenset({"path", "files", "envs", "env"})
_TEXT_FIELDS = ("patch", "patches", "jsonOp")
"""What has YAML as text in the configuration of a plugin."""
_EXACT = frozenset({*_FILE_FIELDS, *_TEXT_FIELDS, "paths", "targetFilePath", "replacements"})
_INNER = _FILE_FIELDS | {"patch"}


def strings(content: Mapping[str, Any], name: str) -> Sequence[str]:
    """The texts of a list that a kustomization may have.

    Raises:
        NeedsHuman: InvalidRequest: it is no list, or has what is no text: others may read it as one.
    """
    value = content.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise refused(f"{name} of a kustomization has to be a list of texts; quote what is not read as text")
    return value


def mappings(content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """The mappings of a list that a kustomization may have.

    Raises:
        NeedsHuman: InvalidRequest: it is no such list.
    """
    value = content.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise refused(f"{name} of a kustomization has to be a list of mappings")
    return value


def require_exact_names(content: Mapping[str, Any], shown: Path) -> None:
    """The fields of files, in small letters: kustomize takes `Path` for `path`; nobody needs that."""
    lists = ("patches", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator")
    openapi = content.get("openapi")
    inner = [each for name in lists for each in mappings(content, name)]
    for each in [*inner, openapi] if isinstance(openapi, dict) else inner:
        for name in each:
            if name not in _INNER and str(name).casefold() in _INNER:
                raise refused(f"{shown} has {str(name)[:80]!r}; write it in small letters")


def is_inline(text: str) -> bool:
    """Whether kustomize may take for YAML what else would be a file's name."""
    return any(each in text for each in "\n{[")


def is_written_out(text: str) -> bool:
    """Whether it is a patch itself, rather than the name of a file with one."""
    return "\n" in text or text.lstrip()[:1] in {"{", "["}


def inline(content: Mapping[str, Any]) -> Iterator[str]:
    """YAML that a kustomization has as text, without plugins."""
    yield from (each for each in strings(content, "patchesStrategicMerge") if is_inline(each))
    for name in ("patches", "patchesJson6902"):
        yield from (each["patch"] for each in mappings(content, name) if isinstance(each.get("patch"), str))


def inline_of_plugin(content: Mapping[str, Any]) -> Iterator[str]:
    """YAML that the configuration of a plugin has as text."""
    yield from (content[name] for name in _TEXT_FIELDS if isinstance(content.get(name), str))
    yield from (each for each in _texts(content.get("paths")) if is_inline(each))


def read_by_plugin(content: Mapping[str, Any], shown: Path) -> tuple[list[str], list[str]]:
    """The files of YAML that a built-in plugin reads, and its other files."""
    given = content.get("replacements")
    inner = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    for name in (name for each in (content, *inner) for name in each):
        if name not in _EXACT and str(name).casefold() in {each.casefold() for each in _EXACT}:
            raise refused(f"{shown} has {str(name)[:80]!r}; write it as it is documented")
    yaml = [one for each in (content, *inner) for one in _texts(each.get("path"))]
    yaml += (each for each in _texts(content.get("paths")) if "\n" not in each)
    yaml += _texts(content.get("targetFilePath"))
    others = [each.rpartition("=")[2] for each in _texts(content.get("files"))]
    return yaml, [*others, *_texts(content.get("envs")), *_texts(content.get("env"))]


def _texts(value: object) -> list[str]:
    """A text, or the texts of a list."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each]


def _patches(content: Mapping[str, Any]) -> Iterator[str]:
    """Every file of YAML a kustomization names beside resources, components and plugins."""
    yield from strings(content, "configurations")
    names = strings(content, "patchesStrategicMerge")
    yield from (each for each in names if not is_written_out(each))
    for name in ("patches", "patchesJson6902", "replacements"):
        yield from (each["path"] for each in mappings(content, name) if isinstance(each.get("path"), str))


def read_as_yaml(content: Mapping[str, Any]) -> Iterator[str]:
    """Patches, and the schemas of resources."""
    yield from _patches(content)
    yield from strings(content, "crds")
    openapi = content.get("openapi")
    if isinstance(openapi, dict) and isinstance(openapi.get("path"), str):
        yield openapi["path"]


def files_of(content: Mapping[str, Any]) -> Iterator[str]:
    """Every file a kustomization names beside resources, components and plugins."""
    yield from read_as_yaml(content)
    for name in ("configMapGenerator", "secretGenerator"):
        for generator in mappings(content, name):
            yield from (each.rpartition("=")[2] for each in strings(generator, "files"))
            yield from strings(generator, "envs")
            if isinstance(generator.get("env"), str):
                yield generator["env"]
