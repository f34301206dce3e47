"""Starts LocalStack on this machine. Its web server listens on every interface, whatever
GATEWAY_LISTEN says (4.14.0, runtime/server/twisted.py): keep it on the loopback."""

import functools
import os
import warnings

# A session of its own: Ctrl-C for the caller's children must not stop it before they are done.
os.setsid()

warnings.filterwarnings("ignore", message=".*service_identity.*")

from twisted.internet import endpoints  # noqa: E402

endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")

from localstack.runtime.main import main  # noqa: E402

main()
