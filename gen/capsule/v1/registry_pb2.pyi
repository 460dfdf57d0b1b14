from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegistryLoginRequest(_message.Message):
    __slots__ = ("host", "username", "password", "ca_pem", "plain_http", "unchecked")
    HOST_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    PLAIN_HTTP_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_FIELD_NUMBER: _ClassVar[int]
    host: str
    username: str
    password: str
    ca_pem: str
    plain_http: bool
    unchecked: bool
    def __init__(self, host: _Optional[str] = ..., username: _Optional[str] = ..., password: _Optional[str] = ..., ca_pem: _Optional[str] = ..., plain_http: _Optional[bool] = ..., unchecked: _Optional[bool] = ...) -> None: ...

class RegistryLoginResponse(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class RegistryLogoutRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class RegistryLogoutResponse(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class RegistryListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegistryListResponse(_message.Message):
    __slots__ = ("registries",)
    REGISTRIES_FIELD_NUMBER: _ClassVar[int]
    registries: _containers.RepeatedCompositeFieldContainer[Registry]
    def __init__(self, registries: _Optional[_Iterable[_Union[Registry, _Mapping]]] = ...) -> None: ...

class Registry(_message.Message):
    __slots__ = ("host", "username", "own_ca", "plain_http", "since_unix")
    HOST_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    OWN_CA_FIELD_NUMBER: _ClassVar[int]
    PLAIN_HTTP_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_FIELD_NUMBER: _ClassVar[int]
    host: str
    username: str
    own_ca: bool
    plain_http: bool
    since_unix: int
    def __init__(self, host: _Optional[str] = ..., username: _Optional[str] = ..., own_ca: _Optional[bool] = ..., plain_http: _Optional[bool] = ..., since_unix: _Optional[int] = ...) -> None: ...
