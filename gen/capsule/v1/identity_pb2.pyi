from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperatorRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATOR_ROLE_UNSPECIFIED: _ClassVar[OperatorRole]
    OPERATOR_ROLE_ADMIN: _ClassVar[OperatorRole]
    OPERATOR_ROLE_OPERATOR: _ClassVar[OperatorRole]
    OPERATOR_ROLE_READER: _ClassVar[OperatorRole]
OPERATOR_ROLE_UNSPECIFIED: OperatorRole
OPERATOR_ROLE_ADMIN: OperatorRole
OPERATOR_ROLE_OPERATOR: OperatorRole
OPERATOR_ROLE_READER: OperatorRole

class AdoptRequest(_message.Message):
    __slots__ = ("pubkey", "name")
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    pubkey: bytes
    name: str
    def __init__(self, pubkey: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class AdoptResponse(_message.Message):
    __slots__ = ("capsule_id", "kid", "tls_fingerprint_sha256", "role")
    CAPSULE_ID_FIELD_NUMBER: _ClassVar[int]
    KID_FIELD_NUMBER: _ClassVar[int]
    TLS_FINGERPRINT_SHA256_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    capsule_id: str
    kid: str
    tls_fingerprint_sha256: str
    role: OperatorRole
    def __init__(self, capsule_id: _Optional[str] = ..., kid: _Optional[str] = ..., tls_fingerprint_sha256: _Optional[str] = ..., role: _Optional[_Union[OperatorRole, str]] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("capsule_id", "kid", "name", "role")
    CAPSULE_ID_FIELD_NUMBER: _ClassVar[int]
    KID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    capsule_id: str
    kid: str
    name: str
    role: OperatorRole
    def __init__(self, capsule_id: _Optional[str] = ..., kid: _Optional[str] = ..., name: _Optional[str] = ..., role: _Optional[_Union[OperatorRole, str]] = ...) -> None: ...

class AuthorizedKey(_message.Message):
    __slots__ = ("kid", "name", "added_by_kid", "added_at_unix", "role")
    KID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDED_BY_KID_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_UNIX_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    kid: str
    name: str
    added_by_kid: str
    added_at_unix: int
    role: OperatorRole
    def __init__(self, kid: _Optional[str] = ..., name: _Optional[str] = ..., added_by_kid: _Optional[str] = ..., added_at_unix: _Optional[int] = ..., role: _Optional[_Union[OperatorRole, str]] = ...) -> None: ...

class KeyAddRequest(_message.Message):
    __slots__ = ("pubkey", "name", "role")
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    pubkey: bytes
    name: str
    role: OperatorRole
    def __init__(self, pubkey: _Optional[bytes] = ..., name: _Optional[str] = ..., role: _Optional[_Union[OperatorRole, str]] = ...) -> None: ...

class KeyAddResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: AuthorizedKey
    def __init__(self, key: _Optional[_Union[AuthorizedKey, _Mapping]] = ...) -> None: ...

class KeyListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyListResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[AuthorizedKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[AuthorizedKey, _Mapping]]] = ...) -> None: ...

class KeyRemoveRequest(_message.Message):
    __slots__ = ("kid",)
    KID_FIELD_NUMBER: _ClassVar[int]
    kid: str
    def __init__(self, kid: _Optional[str] = ...) -> None: ...

class KeyRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetRoleRequest(_message.Message):
    __slots__ = ("kid", "role")
    KID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    kid: str
    role: OperatorRole
    def __init__(self, kid: _Optional[str] = ..., role: _Optional[_Union[OperatorRole, str]] = ...) -> None: ...

class SetRoleResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: AuthorizedKey
    def __init__(self, key: _Optional[_Union[AuthorizedKey, _Mapping]] = ...) -> None: ...
