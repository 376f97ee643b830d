"""Runs Python's SharedTokenCacheCredential on one case after another. Standard input and output
contain one JSON text per line.

The first line names the embedded endpoint: {"port", "ca"}. Each further line is a case: {"home",
"environment", "options", "calls": [{"scopes", "request"}]}. One credential makes all its calls. The
answer is a list of {"kind", "message", "token", "expiresOn", "sent"}. `sent` counts the requests so
far.
"""

import json
import logging
import os
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, SharedTokenCacheCredential, _version
import msal
import msal_extensions
from msal_extensions import token_cache
from urllib3 import connectionpool
from urllib3.util import connection

VARIABLES = ("AZURE_USERNAME", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH")


class NoWait:
    """Stands for the module `time`: a cache that cannot be read is read again at once."""

    def __init__(self, module):
        self.time = module.time

    def sleep(self, _seconds):
        pass


def lead_to_loopback(port):
    """Connects to loopback for every host name. TLS still verifies the name."""
    connect = connection.create_connection
    connection.create_connection = lambda address, *args, **kwargs: connect(("127.0.0.1", port), *args, **kwargs)


class Requests:
    """Counts the requests."""

    sent = 0

    @classmethod
    def count(cls):
        send = connectionpool.HTTPConnectionPool.urlopen

        def counted(*args, **kwargs):
            cls.sent += 1
            return send(*args, **kwargs)

        connectionpool.HTTPConnectionPool.urlopen = counted


def kind_of(error):
    if isinstance(error, CredentialUnavailableError):
        return "unavailable"
    if isinstance(error, ClientAuthenticationError):
        return "auth"
    if type(error) is ValueError:
        return "argument"
    return "raw"


def failed(error):
    return {"kind": kind_of(error), "type": type(error).__name__, "message": str(error), "sent": Requests.sent}


def answer(case, ca):
    os.environ["HOME"] = case["home"]
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(case["environment"])
    answers = []
    Requests.sent = 0
    try:
        credential = SharedTokenCacheCredential(**case["options"], connection_verify=ca, retry_total=0)
    except Exception as error:
        return [failed(error) for _ in case["calls"]]
    try:
        for call in case["calls"]:
            try:
                token = credential.get_token(*call["scopes"], **call["request"])
                answers.append({"kind": "token", "token": token.token, "expiresOn": token.expires_on, "sent": Requests.sent})
            except Exception as error:  # any exception that callers may get
                answers.append(failed(error))
    finally:
        credential.close()
    return answers


def main():
    # The answers contain the same information as the log.
    logging.disable(logging.CRITICAL)
    token_cache.time = NoWait(token_cache.time)
    first = json.loads(sys.stdin.readline())
    lead_to_loopback(first["port"])
    Requests.count()
    versions = {"python": sys.version.split()[0], "azure-identity": _version.VERSION, "msal": msal.__version__, "msal-extensions": msal_extensions.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), first["ca"])), flush=True)


main()
