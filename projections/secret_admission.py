"""Admission of calls on secrets. Pure."""

import difflib

from journal.events import (
    AppliedWorkload,
    Event,
    SecretCreated,
    SecretRemoved,
    SecretRevealed,
    SecretRotated,
    WorkloadEnvRevealed,
)
from projections.intents import CreateSecret, RemoveSecret, RevealEnv, RevealSecret, RotateSecret, SecretIntent
from projections.refusals import Refusal, conflict, invalid, missing, no_workload, refused
from projections.rules import NAME, bad_name
from projections.secrets import SEAL_BROKEN, env_users, names_in, users_of
from projections.state import Machine, Secret

VALUE_BYTES_MAX = 512 << 10


def admit_secret(machine: Machine, call: SecretIntent) -> tuple[Event, ...] | Refusal:
    """The events that the call leads to (none, if all was so already), or why it is refused."""
    if isinstance(call, CreateSecret | RotateSecret) and not 0 < call.size_bytes <= VALUE_BYTES_MAX:
        return invalid("BAD_VALUE", "a secret's value has 1 byte to 512 KiB", "value")
    if isinstance(call, CreateSecret):
        return _create(machine, call)
    secret = machine.secrets.get(call.name)
    if secret is None:
        return no_secret(machine, call.name)
    match call:
        case RotateSecret():
            if call.sealed == secret.sealed:
                return _again(machine, secret)
            if not call.text and (users := env_users(machine, secret.name)):
                return _no_variable(secret.name, users)
            rotated = SecretRotated(
                secret.name, secret.uid, secret.version + 1, call.sealed, call.size_bytes, text=call.text
            )
            return (rotated,)
        case RevealSecret():
            return (SecretRevealed(secret.name, secret.uid, secret.version),)
        case RemoveSecret():
            return _remove(machine, secret)


def reveal_env(machine: Machine, call: RevealEnv) -> tuple[Event, ...] | Refusal:
    """The fact that a workload's own variables are shown; nothing, where it has none."""
    workload = machine.workloads.get(call.name)
    if workload is None:
        return no_workload(call.name, machine.workloads)
    variables = tuple(one.name for one in workload.spec.env)
    if not variables:
        return ()
    return (WorkloadEnvRevealed(workload.name, workload.uid, workload.revision, variables),)


def check_secrets(machine: Machine, item: AppliedWorkload) -> Refusal | None:
    """A workload is given what there is, in a form that it can have."""
    for one in item.container.secret_env:
        field = f"container.secretEnv.{one.name}"
        secret = machine.secrets.get(one.secret)
        if secret is None:
            return no_secret(machine, one.secret, field, code="FAILED_PRECONDITION")
        if not secret.text:
            return conflict(
                "NO_VARIABLE",
                f"the value of secret {one.secret} cannot be an environment variable: it would have at most 96 KiB of "
                "UTF-8 without NUL",
                field,
            )
    for number, file in enumerate(item.container.secrets):
        if file.secret not in machine.secrets:
            return no_secret(machine, file.secret, f"container.secrets[{number}].secret", code="FAILED_PRECONDITION")
    return None


def _again(machine: Machine, secret: Secret) -> tuple[Event, ...]:
    """The same value is news only to who could not open what was kept of it, which is whole again by now."""
    troubles = (machine.workloads[user].trouble for user in users_of(machine, secret.name))
    if not any(trouble is not None and trouble.reason == SEAL_BROKEN for trouble in troubles):
        return ()
    again = SecretRotated(
        secret.name, secret.uid, secret.version, secret.sealed, secret.size_bytes, text=secret.text, again=True
    )
    return (again,)


def _remove(machine: Machine, secret: Secret) -> tuple[Event, ...] | Refusal:
    users = users_of(machine, secret.name)
    if not users:
        return (SecretRemoved(secret.name, secret.uid),)
    if not any(secret.name in names_in(machine.workloads[user].spec) for user in users):
        words = f"what runs of {', '.join(users)} with secret {secret.name} is just ending: try again in a moment"
        return conflict("SECRET_IN_USE", words, "name")
    them = "it" if len(users) == 1 else "them"
    return conflict(
        "SECRET_IN_USE",
        f"secret {secret.name} is used by {', '.join(users)}: delete {' and '.join(users)}, or apply {them} without "
        "the secret, first",
        "name",
    )


def _no_variable(name: str, users: tuple[str, ...]) -> Refusal:
    return conflict(
        "NO_VARIABLE",
        f"{', '.join(users)} {'has' if len(users) == 1 else 'have'} secret {name} as an environment variable, which "
        "this value cannot be (at most 96 KiB of UTF-8 without NUL): give the secret as a file, then rotate it",
        "value",
    )


def no_secret(machine: Machine, name: str, field: str = "name", code: str = "NOT_FOUND") -> Refusal:
    """No secret has that name. The one that was probably meant is named."""
    near = difflib.get_close_matches(name[:64], machine.secrets, 1)
    hint = f"do you mean {near[0]}?" if near else f"`capsulectl secret create {name[:64]}` makes one"
    return missing("SECRET_NOT_FOUND", f"there is no secret {name}: {hint}", field, code=code)


def _create(machine: Machine, call: CreateSecret) -> tuple[Event, ...] | Refusal:
    if not NAME.fullmatch(call.name):
        return bad_name("a secret", call.name)
    if call.name in machine.secrets:
        return refused(
            "ALREADY_EXISTS",
            "SECRET_EXISTS",
            f"there is a secret {call.name} already: `capsulectl secret rotate {call.name}` gives it another value",
            "name",
        )
    return (SecretCreated(call.name, call.sealed, call.size_bytes, text=call.text),)
