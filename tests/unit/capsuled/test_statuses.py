"""What a driver's error is to a client: what an operator can mend is no fault inside of capsuled."""

import grpc
import pytest

from capsuled.rpc import status_of_error
from capsuled.sealing import SealBroken
from effects.errors import DriverError, HostPathMissing, LayerDamaged, SenderQuiet

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SealBroken("its key is another machine's"), Code.FAILED_PRECONDITION),
        (HostPathMissing("/srv is not there"), Code.FAILED_PRECONDITION),
        (LayerDamaged("it cannot be mounted"), Code.FAILED_PRECONDITION),
        (SenderQuiet("nothing more came"), Code.DEADLINE_EXCEEDED),
    ],
    ids=lambda one: one.reason if isinstance(one, DriverError) else one.name,
)
def test_a_condition_has_its_status(error: DriverError, code: grpc.StatusCode) -> None:
    assert status_of_error(error) == (code, error.reason, error.message, ())
