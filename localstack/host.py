"""Starts LocalStack on this machine. Its web server listens on every interface, whatever
GATEWAY_LISTEN says (4.14.0, runtime/server/twisted.py): keep it on the loopback."""

import functools
import warnings

warnings.filterwarnings("ignore", message=".*service_identity.*")

from twisted.internet import endpoints  # noqa: E402

endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")

from localstack.runtime.main import main  # noqa: E402

main()
