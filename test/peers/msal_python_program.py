"""A program: an application of MSAL for Python with its extensions.

The first line of standard input is a job, each further line a command. It answers each line with
one line. All lines are JSON. test/helpers/peers/python-process.ts describes them.
"""

import json
import sys

import msal
from msal_extensions import PersistedTokenCache

from write_msal_python import LoopbackClient, open_persistence


class Application:
    def __init__(self, job):
        self._application = msal.PublicClientApplication(
            job["clientId"],
            authority=job["authority"],
            token_cache=PersistedTokenCache(open_persistence(job["store"], job["cachePath"])),
            http_client=LoopbackClient(job["server"]["port"], job["server"]["ca"]))

    def _account(self, username):
        return self._application.get_accounts(username)[0]

    def accounts(self, _):
        return [account["username"] for account in self._application.get_accounts()]

    def sign_in(self, command):
        flow = self._application.initiate_device_flow(scopes=command["scopes"])
        return self._application.acquire_token_by_device_flow(flow)["access_token"]

    def silent(self, command):
        return self._application.acquire_token_silent(
            command["scopes"],
            self._account(command["username"]),
            force_refresh=command.get("forceRefresh", False))["access_token"]

    def sign_out(self, command):
        self._application.remove_account(self._account(command["username"]))
        return "done"


def main():
    application = Application(json.loads(sys.stdin.readline()))
    actions = {
        "accounts": application.accounts,
        "signIn": application.sign_in,
        "silent": application.silent,
        "signOut": application.sign_out,
    }
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"value": actions[command["do"]](command)}
        except Exception as error:  # Report every error to the test.
            answer = {"error": "%s: %s" % (type(error).__name__, error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
