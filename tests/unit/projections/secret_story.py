"""Calls about secrets, and workloads that use them, in few words."""

from msgspec.structs import replace

from journal.specs import SealedEnv, SecretEnv, SecretFile
from projections.intents import CreateSecret, Declared, Intent, RotateSecret
from projections.refusals import Refusal
from tests.support.story import Story, declared


def create(name: str = "db", sealed: str = "first", size_bytes: int = 5, text: bool = True) -> CreateSecret:
    return CreateSecret(name, sealed, size_bytes, text)


def rotate(sealed: str = "second", name: str = "db", size_bytes: int = 6, text: bool = True) -> RotateSecret:
    return RotateSecret(name, sealed, size_bytes, text)


def using(name: str, env: str = "", file: str = "") -> Declared:
    one = declared(name)
    return replace(
        one,
        spec=replace(
            one.spec,
            secret_env=(SecretEnv("TOKEN", env),) if env else (),
            secrets=(SecretFile(file, f"/run/secrets/{file}"),) if file else (),
        ),
    )


def with_env(name: str, **sealed: str) -> Declared:
    """A workload with variables, by the names under which their values are sealed."""
    one = declared(name)
    return replace(one, spec=replace(one.spec, env=tuple(SealedEnv(key, of, 1) for key, of in sealed.items())))


def refused(story: Story, call: Intent) -> Refusal:
    before = story.machine.seq
    verdict = story.call(call)
    assert isinstance(verdict, Refusal) and story.machine.seq == before, verdict
    return verdict
