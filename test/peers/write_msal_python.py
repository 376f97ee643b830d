"""Signs a user in with MSAL for Python and its extensions, which write the cache to a plaintext
file or a keyring.

Sets the persistence up as azure-identity for Python does. Prints the home account ID. Standard
input is the job that job.mjs describes.
"""

import http.client
import json
import socket
import ssl
import sys
import urllib.parse

import msal
from msal_extensions import FilePersistence, LibsecretPersistence, PersistedTokenCache

# Source: azure-identity for Python, azure/identity/_persistent_cache.py.
CLIENT_ATTRIBUTES = {"MsalClientID": "Microsoft.Developer.IdentityService"}
LABEL = "MSALCache"


class Response:
    """A response with the fields of MSAL's HttpClient interface."""

    def __init__(self, answer):
        self.status_code = answer.status
        self.headers = dict(answer.getheaders())
        self.text = answer.read().decode()

    def raise_for_status(self):
        if self.status_code >= 400:
            raise RuntimeError("HTTP %d" % self.status_code)


class LoopbackConnection(http.client.HTTPSConnection):
    """Connects to the endpoint on loopback and verifies its certificate for the name in the URL."""

    def __init__(self, host, port, context):
        super().__init__(host, context=context)
        self._loopback_port = port
        self._tls = context

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self._loopback_port))
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class LoopbackClient:
    """MSAL's HttpClient interface over TLS to the endpoint on loopback, whatever host a URL names.
    """

    def __init__(self, port, ca):
        self._port = port
        self._tls = ssl.create_default_context(cadata=ca)

    def get(self, url, params=None, headers=None, **kwargs):
        return self._send("GET", url, params, None, headers)

    def post(self, url, params=None, data=None, headers=None, **kwargs):
        return self._send("POST", url, params, data, headers)

    def close(self):
        """Required by the interface. Connections here last for one request."""

    def _send(self, method, url, params, data, headers):
        parts = urllib.parse.urlsplit(url)
        query = "&".join(filter(None, [parts.query, urllib.parse.urlencode(params or {})]))
        path = parts.path + ("?" + query if query else "")
        headers = dict(headers or {})
        if isinstance(data, dict):
            data = urllib.parse.urlencode(data)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = LoopbackConnection(parts.hostname, self._port, self._tls)
        try:
            connection.request(method, path, body=data, headers=headers)
            return Response(connection.getresponse())
        finally:
            connection.close()


def open_persistence(store, cache_path):
    if store == "keyring":
        schema_name = cache_path.rsplit("/", 1)[-1]
        return LibsecretPersistence(
            cache_path, schema_name=schema_name, attributes=CLIENT_ATTRIBUTES, label=LABEL)
    return FilePersistence(cache_path)


def main():
    job = json.load(sys.stdin)
    cache = PersistedTokenCache(open_persistence(job["store"], job["cachePath"]))
    application = msal.PublicClientApplication(
        job["clientId"],
        authority=job["authority"],
        token_cache=cache,
        http_client=LoopbackClient(job["server"]["port"], job["server"]["ca"]))
    for scopes in job["scopes"]:
        flow = application.initiate_device_flow(scopes=scopes)
        answer = application.acquire_token_by_device_flow(flow)
        if "access_token" not in answer:
            sys.exit("The sign-in failed: %s" % answer.get("error"))
    print(application.get_accounts()[0]["home_account_id"])


if __name__ == "__main__":
    main()
