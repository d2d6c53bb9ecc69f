"""Names of images in a real engine: tags, ids, digests of a registry; and what stays of a foreign image's container."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from helpers.added import OTHER_ID, make_added
from helpers.registry import registry

from contract.errors import UsageError
from coordinator.conformance.targets import ImageTarget
from coordinator.runners import describing
from coordinator.runners.docker import DockerRunner
from coordinator.runners.images import find_image, refuse_changed
from coordinator.tools.finding import Tool

pytestmark = pytest.mark.docker
REPOSITORY = "label-quality-test/names"


def build(engine: docker.DockerClient, tag: str, *lines: str) -> str:
    """Build an image of these lines, which need no file but `text`; returns its id."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in {"Dockerfile": "\n".join(lines), "text": tag}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    context.seek(0)
    image, _ = engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    return str(image.id)


@pytest.fixture
def image(engine: docker.DockerClient) -> Iterator[str]:
    """Id of a tiny image with a tag."""
    yield build(engine, f"{REPOSITORY}:1", "FROM scratch", "COPY text /")
    engine.images.remove(f"{REPOSITORY}:1")


def test_an_image_is_found_by_tag_id_and_name_with_id(image: str, engine: docker.DockerClient):
    for name in (f"{REPOSITORY}:1", f"docker.io/{REPOSITORY}:1", image, f"{REPOSITORY}@{image}"):
        found = find_image(engine, name)

        assert found is not None, name
        assert found.id == image


def test_an_image_is_not_found_by_a_name_that_is_anothers(image: str, engine: docker.DockerClient):
    unknown = f"sha256:{'0' * 64}"

    for name in (
        f"{REPOSITORY}:2",
        REPOSITORY,
        f"label-quality-test/other@{image}",
        f"{REPOSITORY}@{unknown}",
        unknown,
    ):
        assert find_image(engine, name) is None, name


@pytest.mark.parametrize("name", ["Lab/Seg:1", "", "lab seg", "\udcff", "lab/seg@sha256:12", "a" * 300])
def test_a_name_that_no_image_can_have_is_refused(name: str, engine: docker.DockerClient):
    with pytest.raises(UsageError, match="image '.*': must be a name as Docker has it"):
        find_image(engine, name)


def test_an_image_is_found_by_the_digest_that_a_registry_gave(image: str, engine: docker.DockerClient):
    with registry() as address:
        repository = f"{address}/lab/seg"
        engine.images.get(image).tag(f"{repository}:1")
        pushed = engine.images.push(repository, "1")
        digests = tuple(engine.images.get(image).attrs["RepoDigests"])
        added = make_added(f"{repository}:1", id=image, digests=digests)
        found = find_image(engine, added.pinned)
        elsewhere = make_added(added.pinned, id=OTHER_ID, digests=digests)
        with pytest.raises(UsageError, match=f"this machine's architecture, .* it is {image}; `coordinator tool add"):
            refuse_changed(DockerRunner(), Tool(Path(), elsewhere.manifest, elsewhere), elsewhere)
        engine.images.remove(f"{repository}:1")

    assert digests, pushed
    assert added.pinned == digests[0]
    assert image not in added.pinned
    assert found is not None
    assert found.id == image


def test_an_image_that_is_gone_is_refused_with_what_is_called_so_now(image: str, engine: docker.DockerClient):
    gone = make_added(f"{REPOSITORY}@sha256:{'0' * 64}", id=f"sha256:{'0' * 64}")
    unknown = make_added(f"nobody/has@{gone.id}", id=gone.id)

    with pytest.raises(UsageError, match=f"but it changed: {REPOSITORY}:1 is {image} now"):
        refuse_changed(DockerRunner(), Tool(Path(), gone.manifest, gone), gone)
    with pytest.raises(UsageError, match="but no image here is called so"):
        refuse_changed(DockerRunner(), Tool(Path(), unknown.manifest, unknown), unknown)
    with pytest.raises(UsageError, match="must be here, as sha256:0000"):
        DockerRunner().code_id(Tool(Path(), gone.manifest, gone))


def test_the_volumes_of_a_foreign_image_go_with_its_container(engine: docker.DockerClient, base_image: str):
    tag, before = "label-quality-test/volume:1", {volume.name for volume in engine.volumes.list()}
    added = make_added(tag, id=build(engine, tag, f"FROM {base_image}", "VOLUME /scratch", 'ENTRYPOINT ["mountpoint"]'))

    with pytest.raises(UsageError, match="must end with exit code 0, but ends with 1"):  # `describe` is no mount point
        DockerRunner().describe(Tool(Path(), added.manifest, added))
    engine.images.remove(tag)

    assert {volume.name for volume in engine.volumes.list()} == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sleep 600", "`describe` must end within 2 s, but does not"),
        ("yes 1234567890", "`describe` must end within 2 s, but does not"),
        ("yes 1234567890 | head -c 1000001", "`describe` must print at most 1,000,000 bytes, but prints more"),
        ("yes 1234567890 | head -c 40000000", "`describe` must print at most 1,000,000 bytes, but prints more"),
    ],
)
def test_a_description_without_end_is_refused(
    command: str, message: str, engine: docker.DockerClient, base_image: str, monkeypatch: pytest.MonkeyPatch
):
    if "head" not in command:
        monkeypatch.setattr(describing, "DESCRIBE_S", 2)
    tag = "label-quality-test/endless:1"
    added = make_added(
        tag, id=build(engine, tag, f"FROM {base_image}", f"ENTRYPOINT {json.dumps(['sh', '-c', command])}")
    )
    runs = [
        lambda: DockerRunner().describe(Tool(Path(), added.manifest, added)),
        ImageTarget(added.id, engine).describe,
    ]

    for describe in runs:
        with pytest.raises(UsageError, match=message):
            describe()
    engine.images.remove(tag)

    assert not engine.containers.list(all=True, filters={"ancestor": added.id})
