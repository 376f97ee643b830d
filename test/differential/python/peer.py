"""Runs Python's SharedTokenCacheCredential on one case after another. Standard input and output
contain one JSON text per line.

The first line names the embedded endpoint: {"port", "ca"}. Each further line is a case: {"home",
"environment", "options", "scopes", "request"}. The answer is {"kind", "message", "token",
"expiresOn"}.
"""

import json
import logging
import os
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, SharedTokenCacheCredential, _version
import msal
from urllib3.util import connection

VARIABLES = ("AZURE_USERNAME", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH")


def lead_to_loopback(port):
    """Connects to loopback for every host name. TLS still verifies the name."""
    connect = connection.create_connection
    connection.create_connection = lambda address, *args, **kwargs: connect(("127.0.0.1", port), *args, **kwargs)


def kind_of(error):
    if isinstance(error, CredentialUnavailableError):
        return "unavailable"
    if isinstance(error, ClientAuthenticationError):
        return "auth"
    if type(error) is ValueError:
        return "argument"
    return "raw"


def answer(case, ca):
    os.environ["HOME"] = case["home"]
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(case["environment"])
    try:
        credential = SharedTokenCacheCredential(**case["options"], connection_verify=ca, retry_total=0)
        try:
            token = credential.get_token(*case["scopes"], **case["request"])
        finally:
            credential.close()
        return {"kind": "token", "token": token.token, "expiresOn": token.expires_on}
    except Exception as error:  # any exception that callers may get
        return {"kind": kind_of(error), "type": type(error).__name__, "message": str(error)}


def main():
    # The answers contain the same information as the log.
    logging.disable(logging.CRITICAL)
    first = json.loads(sys.stdin.readline())
    lead_to_loopback(first["port"])
    print(json.dumps({"python": sys.version.split()[0], "azure-identity": _version.VERSION, "msal": msal.__version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), first["ca"])), flush=True)


main()
