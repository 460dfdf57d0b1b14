"""gRPC servicers: decode, hand on, reply. Nothing is decided here."""
