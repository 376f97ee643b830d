/** When to refresh a token for which the authority gave no time. */

/** Tokens with at least this lifetime are refreshed at half of it. Source: azure-identity for Python 1.26, `aad_client_base.py`. Seconds. */
const longLifeSec = 7200;

/**
 * @param issuedSec Unix seconds, as is `expiresOnSec`.
 * @returns Unix seconds. `undefined` if the token does not live that long, or if it is not known how long it lives.
 */
export function halfLifeSec(issuedSec: number | undefined, expiresOnSec: number): number | undefined {
	const lifeSec = expiresOnSec - (issuedSec ?? expiresOnSec);
	return lifeSec >= longLifeSec ? expiresOnSec - Math.floor(lifeSec / 2) : undefined;
}
